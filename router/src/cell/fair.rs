//! Who goes first into a batch: precedence between classes with a share for each, deficit round robin by tenant inside one.
//!
//! Three classes: agents' acts and administration, customers, results of effects. A higher class goes first, but of every
//! batch the second class has an eighth and the third a sixteenth for certain, so that a flood of agents' acts delays
//! customers and never stops them. Inside a class tenants take turns by bytes (deficit round robin: Shreedhar and Varghese,
//! SIGCOMM 1995): a tenant that sends ten times as much waits for its own entries, not the others for it.
//!
//! Plain data: no thread, no clock. Values of one tenant and class leave in the order in which they came.

use std::collections::VecDeque;
use tidegate_model::TenantId;
use tidegate_model::codec::Precedence;

/// Bytes that a tenant may send a turn.
const QUANTUM: usize = 2_048;
/// What an entry costs at least and at most: a tiny one is not free, a policy does not hold its tenant up for rounds.
const COST: std::ops::RangeInclusive<usize> = 128..=8_192;

/// One class: tenants with something to send, in turn.
struct Class<T> {
    tenants: Vec<Tenant<T>>,
    /// Indices of tenants that have something, the next turn first.
    turn: VecDeque<usize>,
    length: usize,
}

struct Tenant<T> {
    id: TenantId,
    queue: VecDeque<(T, usize)>,
    deficit: usize,
}

/// The three classes.
pub(crate) struct Fair<T> {
    classes: [Class<T>; 3],
}

const fn index(class: Precedence) -> usize {
    match class {
        Precedence::First => 0,
        Precedence::Second => 1,
        Precedence::Third => 2,
    }
}

impl<T> Fair<T> {
    pub fn new() -> Self {
        Self { classes: std::array::from_fn(|_| Class { tenants: Vec::new(), turn: VecDeque::new(), length: 0 }) }
    }

    /// What stands in a class. The caller keeps the limit.
    pub fn len(&self, class: Precedence) -> usize {
        self.classes[index(class)].length
    }

    /// What stands in all classes.
    pub fn waiting(&self) -> usize {
        self.classes.iter().map(|class| class.length).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.classes.iter().all(|class| class.length == 0)
    }

    pub fn push(&mut self, class: Precedence, tenant: TenantId, value: T, bytes: usize) {
        self.classes[index(class)].push(tenant, value, bytes);
    }

    /// Takes at most `most` values and about `bytes` bytes (one value always goes) into `out`.
    pub fn take(&mut self, most: usize, bytes: usize, out: &mut Vec<T>) {
        let shares = [0, (most / 8).min(self.classes[1].length), (most / 16).min(self.classes[2].length)];
        let mut room = Room { entries: most, bytes };
        // What the lower classes are owed is held back from each higher one, then given; the second round gives what is left.
        for class in 0..3 {
            let owed: usize = shares[class + 1..].iter().sum();
            let mut own = Room { entries: room.entries.saturating_sub(owed), bytes: room.bytes - room.bytes * owed / most.max(1) };
            let before = (own.entries, own.bytes);
            self.classes[class].take(&mut own, out);
            room.entries -= before.0 - own.entries;
            room.bytes = room.bytes.saturating_sub(before.1 - own.bytes);
        }
        for class in &mut self.classes {
            class.take(&mut room, out);
        }
        if out.is_empty() {
            // One value longer than the room: it goes alone.
            let mut room = Room { entries: 1, bytes: usize::MAX };
            for class in &mut self.classes {
                class.take(&mut room, out);
            }
        }
    }

    /// Everything, in no fair order: for answering all of it when nothing can be proposed any more.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.classes.iter_mut().flat_map(|class| {
            class.length = 0;
            class.turn.clear();
            class.tenants.iter_mut().flat_map(|tenant| tenant.queue.drain(..).map(|(value, _)| value))
        })
    }
}

struct Room {
    entries: usize,
    bytes: usize,
}

impl<T> Class<T> {
    fn push(&mut self, id: TenantId, value: T, bytes: usize) {
        let at = match self.tenants.binary_search_by_key(&id, |t| t.id) {
            Ok(at) => at,
            Err(at) => {
                self.tenants.insert(at, Tenant { id, queue: VecDeque::new(), deficit: 0 });
                for turn in &mut self.turn {
                    *turn += usize::from(*turn >= at);
                }
                at
            }
        };
        let tenant = &mut self.tenants[at];
        if tenant.queue.is_empty() {
            self.turn.push_back(at);
        }
        tenant.queue.push_back((value, bytes));
        self.length += 1;
    }

    fn take(&mut self, room: &mut Room, out: &mut Vec<T>) {
        while room.entries > 0
            && let Some(&at) = self.turn.front()
        {
            let alone = self.turn.len() == 1;
            let tenant = &mut self.tenants[at];
            let Some(&(_, bytes)) = tenant.queue.front() else { unreachable!("a tenant has a turn only while it has something") };
            if bytes > room.bytes {
                return;
            }
            let cost = bytes.clamp(*COST.start(), *COST.end());
            if tenant.deficit < cost && !alone {
                tenant.deficit += QUANTUM;
                self.turn.rotate_left(1);
                continue;
            }
            tenant.deficit = tenant.deficit.saturating_sub(cost);
            if let Some((value, _)) = tenant.queue.pop_front() {
                out.push(value);
            }
            room.entries -= 1;
            room.bytes -= bytes;
            self.length -= 1;
            if tenant.queue.is_empty() {
                // What was not used up is not saved for later: else an idle tenant could burst.
                tenant.deficit = 0;
                self.turn.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Fair;
    use tidegate_model::TenantId;
    use tidegate_model::codec::Precedence::{First, Second, Third};

    fn take(fair: &mut Fair<(u32, u32)>, most: usize) -> Vec<(u32, u32)> {
        let mut out = Vec::new();
        fair.take(most, 1 << 20, &mut out);
        out
    }

    #[test]
    fn order_of_one_tenant_and_class_is_kept() {
        let mut fair = Fair::new();
        for n in 0..1_000 {
            fair.push(Second, TenantId(n % 3 + 1), (n % 3, n), 256);
        }
        let mut last = [0; 3];
        while !fair.is_empty() {
            for (tenant, n) in take(&mut fair, 64) {
                assert!(n >= last[tenant as usize]);
                last[tenant as usize] = n;
            }
        }
        assert_eq!(last, [999, 997, 998]);
    }

    #[test]
    fn a_noisy_tenant_delays_another_by_no_more_than_a_turn() {
        let mut fair = Fair::new();
        for n in 0..10_000 {
            fair.push(Second, TenantId(1), (1, n), 256);
        }
        take(&mut fair, 256);
        for n in 0..8 {
            fair.push(Second, TenantId(2), (2, n), 256);
        }
        let batch = take(&mut fair, 256);
        assert_eq!(batch.iter().filter(|v| v.0 == 2).count(), 8, "all of the quiet tenant's are in the next batch");
        let worst = batch.iter().rposition(|v| v.0 == 2).unwrap();
        assert!(worst <= 2 * 8 + 16, "the quiet tenant's last entry stands at place {worst}");
    }

    #[test]
    fn bytes_count_not_entries() {
        let mut fair = Fair::new();
        for n in 0..1_000 {
            fair.push(Second, TenantId(1), (1, n), 4_096);
            fair.push(Second, TenantId(2), (2, n), 256);
        }
        let batch = take(&mut fair, 170);
        let long = batch.iter().filter(|v| v.0 == 1).count();
        assert!((5..=15).contains(&long), "{long} of 170 are the long ones: about a sixteenth");
    }

    #[test]
    fn lower_classes_have_their_share() {
        let mut fair = Fair::new();
        for n in 0..5_000 {
            fair.push(First, TenantId(1), (1, n), 100);
            fair.push(Second, TenantId(1), (2, n), 100);
            fair.push(Third, TenantId(1), (3, n), 100);
        }
        let batch = take(&mut fair, 256);
        let of = |class| batch.iter().filter(|v| v.0 == class).count();
        assert_eq!((of(1), of(2), of(3)), (256 - 32 - 16, 32, 16));
        assert_eq!(batch[0].0, 1, "agents' acts stand first");
    }

    #[test]
    fn what_nobody_else_needs_is_given_away() {
        let mut fair = Fair::new();
        for n in 0..100 {
            fair.push(Third, TenantId(1), (3, n), 100);
        }
        assert_eq!(take(&mut fair, 64).len(), 64);
        fair.push(First, TenantId(1), (1, 0), 100);
        assert_eq!(take(&mut fair, 64).len(), 37);
        assert!(fair.is_empty());
    }

    #[test]
    fn bytes_limit_a_batch_but_one_long_entry_always_goes() {
        let mut fair = Fair::new();
        fair.push(First, TenantId(1), (1, 0), 3 << 20);
        fair.push(First, TenantId(1), (1, 1), 600 << 10);
        fair.push(First, TenantId(1), (1, 2), 600 << 10);
        let sizes: Vec<usize> = (0..3).map(|_| take(&mut fair, 64).len()).collect();
        assert_eq!(sizes, [1, 1, 1]);
    }

    #[test]
    fn a_drain_gives_everything_once() {
        let mut fair = Fair::new();
        for n in 0..30 {
            fair.push(Second, TenantId(n % 4), (0, n), 100);
        }
        assert_eq!(fair.drain().count(), 30);
        assert!(fair.is_empty() && take(&mut fair, 10).is_empty());
    }
}
