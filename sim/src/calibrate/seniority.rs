//! The head start that priority customers were given, from the order in which simultaneously waiting pairs were taken.
//!
//! As in [`crate::bank::fit_head_start`]: for each whole second of head start the pairs (one class, one of high standing and one
//! not, waiting at the same moment, both served) that were taken in the other order are counted, and the second with the fewest
//! wins. Here with an interval: days are resampled, and the interval reaches from the 2.5th percentile of the shortest best
//! second to the 97.5th of the longest, because a plateau of equally good seconds is all that whole seconds can tell.
//!
//! It refuses to know the policy under which they were taken.

use super::contact::{At, ClassId, Standing};
use super::stats::quantile;
use crate::kernel::sample::pick;
use crate::kernel::{Purpose, Streams};
use serde::Serialize;

/// Longest head start that is tried, in seconds.
pub const LONGEST_TRIED_S: i64 = 600;
/// Longest head start or delay between classes that is tried, in seconds.
pub const CLASS_TRIED_S: i64 = 600;
/// Pairs without which nothing is said.
pub const MIN_PAIRS: u64 = 50;
const REPLICATES: u64 = 400;

/// A served caller who waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiter {
    /// What for.
    pub class: ClassId,
    /// Since when.
    pub began: At,
    /// When taken.
    pub taken: At,
    /// Of which standing.
    pub standing: Standing,
}

/// A served caller of ordinary standing, taken by an agent who serves both classes that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OfClass {
    /// Since when.
    pub began: At,
    /// When taken.
    pub taken: At,
}

/// How much earlier one class's callers are taken than another's, in seconds; below zero for later.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClassHeadStart {
    /// The middle of the best seconds.
    pub seconds: f64,
    /// The interval.
    pub ci95: [f64; 2],
    /// Pairs compared.
    pub pairs: u64,
    /// Pairs taken in the other order under it.
    pub inversions: u64,
    /// The same under none.
    pub inversions_without: u64,
}

/// One day's pairs: by how many seconds the one of high standing came later, and whether taken first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs(Vec<(i16, bool)>);

/// The head start with the fewest inversions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HeadStart {
    /// The middle of the best seconds.
    pub seconds: f64,
    /// The shortest and the longest best second: no pair tells them apart.
    pub best_s: [u32; 2],
    /// The interval.
    pub ci95: [f64; 2],
    /// Pairs compared.
    pub pairs: u64,
    /// Days they come from.
    pub days: u64,
    /// Pairs taken in the other order under the best head start.
    pub inversions: u64,
    /// The same without any head start.
    pub inversions_without: u64,
}

impl Pairs {
    /// The pairs among one day's waiters. O(n log n + pairs).
    pub fn of(mut waiters: Vec<Waiter>) -> Self {
        waiters.sort_unstable();
        let mut pairs = Vec::new();
        for (at, one) in waiters.iter().enumerate() {
            let beside = waiters[at + 1..].iter().take_while(|other| other.class == one.class && other.began < one.taken);
            for other in beside {
                if one.taken == other.taken {
                    continue;
                }
                let (high, low) = match (one.standing, other.standing) {
                    (Standing::High, Standing::High) => continue,
                    (Standing::High, _) => (one, other),
                    (_, Standing::High) => (other, one),
                    _ => continue,
                };
                let later_ms = high.began.0 - low.began.0;
                // Beyond what is tried it does not matter how far.
                let later_s = later_ms.div_euclid(1_000).clamp(-LONGEST_TRIED_S - 1, LONGEST_TRIED_S + 1) as i16;
                pairs.push((later_s, high.taken < low.taken));
            }
        }
        Self(pairs)
    }

    /// The pairs of two classes' callers who waited at the same moment and were taken by agents who serve both; those of `ours` are
    /// the ones asked for. O(n log n + pairs).
    pub fn between(mut ours: Vec<OfClass>, mut theirs: Vec<OfClass>) -> Self {
        ours.sort_unstable();
        theirs.sort_unstable();
        let mut pairs = Vec::new();
        for one in &ours {
            // Whoever began so long before was taken long ago, or waits beyond what is tried.
            let from = theirs.partition_point(|other| other.began.later(CLASS_TRIED_S as u64 * 2_000) < one.began);
            for other in theirs[from..].iter().take_while(|other| other.began < one.taken) {
                if other.taken > one.began && other.taken != one.taken {
                    let later_s = (one.began.0 - other.began.0).div_euclid(1_000).clamp(-CLASS_TRIED_S - 1, CLASS_TRIED_S + 1);
                    pairs.push((later_s as i16, one.taken < other.taken));
                }
            }
        }
        Self(pairs)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Fits days' pairs; `None` below [`MIN_PAIRS`]. O(pairs + replicates · (days + pairs + seconds tried)).
pub fn fit(days: &[Pairs], streams: &Streams) -> Option<HeadStart> {
    let days: Vec<&Pairs> = days.iter().filter(|day| !day.is_empty()).collect();
    let pairs: u64 = days.iter().map(|day| day.len() as u64).sum();
    if pairs < MIN_PAIRS {
        return None;
    }
    let best = best(days.iter().copied());
    let (mut shortest, mut longest) = (Vec::new(), Vec::new());
    for replicate in 0..REPLICATES {
        let mut stream = streams.for_(Purpose::Resampling, replicate);
        let drawn = self::best((0..days.len()).map(|_| days[pick(stream.next_u01(), days.len())]));
        shortest.push(f64::from(drawn.from_s));
        longest.push(f64::from(drawn.to_s));
    }
    shortest.sort_by(f64::total_cmp);
    longest.sort_by(f64::total_cmp);
    Some(HeadStart {
        seconds: f64::from(best.from_s + best.to_s) / 2.0,
        best_s: [best.from_s, best.to_s],
        ci95: [quantile(&shortest, 0.025), quantile(&longest, 0.975)],
        pairs,
        days: days.len() as u64,
        inversions: best.inversions,
        inversions_without: best.inversions_without,
    })
}

/// Fits one class's head start over another's; `None` below [`MIN_PAIRS`].
pub fn fit_class(days: &[Pairs], streams: &Streams) -> Option<ClassHeadStart> {
    let days: Vec<&Pairs> = days.iter().filter(|day| !day.is_empty()).collect();
    let pairs: u64 = days.iter().map(|day| day.len() as u64).sum();
    if pairs < MIN_PAIRS {
        return None;
    }
    let ((from, to), inversions, inversions_without) = best_class(days.iter().copied());
    let (mut low, mut high) = (Vec::new(), Vec::new());
    for replicate in 0..REPLICATES / 2 {
        let mut stream = streams.for_(Purpose::Resampling, replicate);
        let ((from, to), ..) = best_class((0..days.len()).map(|_| days[pick(stream.next_u01(), days.len())]));
        low.push(from as f64);
        high.push(to as f64);
    }
    low.sort_by(f64::total_cmp);
    high.sort_by(f64::total_cmp);
    let ci95 = [quantile(&low, 0.025), quantile(&high, 0.975)];
    Some(ClassHeadStart { seconds: (from + to) as f64 / 2.0, ci95, pairs, inversions, inversions_without })
}

/// The first plateau of seconds, below zero too, with the fewest inversions; those, and those at zero.
fn best_class<'a>(days: impl Iterator<Item = &'a Pairs>) -> ((i64, i64), u64, u64) {
    const SECONDS: usize = 2 * CLASS_TRIED_S as usize + 1;
    // At the shortest head start only those who began that much earlier are expected first.
    let mut turned = [0_i64; SECONDS + 1];
    let mut inversions = 0_i64;
    for &(later_s, first) in days.flat_map(|day| &day.0) {
        let place = i64::from(later_s) + CLASS_TRIED_S;
        if place < 0 {
            inversions += i64::from(!first);
        } else {
            inversions += i64::from(first);
            if place < SECONDS as i64 - 1 {
                turned[place as usize + 1] += if first { -1 } else { 1 };
            }
        }
    }
    let (mut from, mut to, mut fewest, mut open, mut without) = (0, 0, inversions, true, inversions);
    for (place, turn) in turned.iter().enumerate().take(SECONDS).skip(1) {
        inversions += turn;
        if place == CLASS_TRIED_S as usize {
            without = inversions;
        }
        if inversions < fewest {
            (from, to, fewest, open) = (place, place, inversions, true);
        } else if inversions == fewest && open {
            to = place;
        } else if inversions > fewest {
            open = false;
        }
    }
    ((from as i64 - CLASS_TRIED_S, to as i64 - CLASS_TRIED_S), fewest as u64, without as u64)
}

struct Best {
    from_s: u32,
    to_s: u32,
    inversions: u64,
    inversions_without: u64,
}

/// The seconds with the fewest inversions.
fn best<'a>(days: impl Iterator<Item = &'a Pairs>) -> Best {
    const SECONDS: usize = LONGEST_TRIED_S as usize + 1;
    // Without a head start every pair is inverted in which the one of high standing came at the same time or later and was taken
    // first, or came earlier and was taken last. A head start of s turns every pair whose distance lies below s.
    let mut turned = [0_i64; SECONDS + 1];
    let mut inversions = 0_i64;
    for &(later_s, first) in days.flat_map(|day| &day.0) {
        let later_s = i64::from(later_s);
        if later_s < 0 {
            inversions += i64::from(!first);
        } else {
            inversions += i64::from(first);
            if later_s < LONGEST_TRIED_S {
                turned[later_s as usize + 1] += if first { -1 } else { 1 };
            }
        }
    }
    let without = inversions;
    let (mut from_s, mut to_s, mut fewest, mut open) = (0, 0, inversions, true);
    for (second, turn) in turned.iter().enumerate().take(SECONDS).skip(1) {
        inversions += turn;
        if inversions < fewest {
            (from_s, to_s, fewest, open) = (second, second, inversions, true);
        } else if inversions == fewest && open {
            to_s = second;
        } else if inversions > fewest {
            open = false;
        }
    }
    // Counts of pairs are never negative; seconds tried fit.
    Best { from_s: from_s as u32, to_s: to_s as u32, inversions: fewest as u64, inversions_without: without as u64 }
}
