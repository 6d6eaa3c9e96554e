//! What the clients themselves saw, and what an independent reader makes of it.
//!
//! Customers note when they asked, what their transcript said and how it ended; desks note each offer, claim and release. From
//! these two sides alone follow: who was lost, who had two agents, which desk had more than it can hold, who was nobody's.
//! The node's counters are not consulted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Longest time that a contact may be nobody's, in wall time.
pub const UNOWNED_AFTER: Duration = Duration::from_secs(5);

/// One customer's history.
#[derive(Clone, Debug, Default)]
pub struct Visit {
    /// The conversation, as the client knows it.
    pub conversation: String,
    /// The contact's number.
    pub contact: u64,
    /// When it asked for an agent, and when that was acknowledged.
    pub asked: Option<(Instant, Instant)>,
    /// When the transcript said that it waits in a queue.
    pub queued: Option<Instant>,
    /// Each time the transcript named an agent.
    pub assigned: Vec<(Instant, String)>,
    /// Each end that the transcript told.
    pub exits: Vec<String>,
    /// When it told the first of them.
    pub ended: Option<Instant>,
    /// What went wrong with the connection, if anything.
    pub fault: Option<String>,
}

/// One claim as its desk saw it.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The desk.
    pub seat: String,
    /// The conversation.
    pub conversation: String,
    /// The contact.
    pub contact: u64,
    /// From the notice of assignment.
    pub from: Instant,
    /// To the end of its segment.
    pub until: Option<Instant>,
}

/// One offer as its desk saw it.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The contact.
    pub contact: u64,
    /// When it was on the wire.
    pub at: Instant,
    /// When its acceptance was sent and acknowledged.
    pub accepted: Option<(Instant, Instant)>,
}

#[derive(Debug, Default)]
struct Inner {
    visits: BTreeMap<u32, Visit>,
    claims: Vec<Claim>,
    offers: Vec<Offer>,
    over_capacity: u64,
    faults: Vec<String>,
}

/// All histories. Written by the players, read once at the end.
#[derive(Debug, Default)]
pub struct Histories {
    inner: Mutex<Inner>,
    done: AtomicU64,
    beats: AtomicU64,
}

/// What an independent reader finds.
#[derive(Debug, Default)]
pub struct Findings {
    /// Customers who never learned how it ended.
    pub lost: Vec<u32>,
    /// Contacts that two desks held at once.
    pub double_assignments: u64,
    /// Moments at which a desk held more than one contact.
    pub over_capacity: u64,
    /// Contacts that were nobody's for longer than [`UNOWNED_AFTER`].
    pub unowned: u64,
    /// Customers who learned of more than one end.
    pub ended_twice: u64,
    /// Exits, as customers saw them.
    pub exits: BTreeMap<String, u64>,
    /// Faults of connections.
    pub faults: Vec<String>,
}

impl Histories {
    /// Notes a customer's history, once, at its end.
    pub fn visit(&self, row: u32, visit: Visit) {
        self.lock(|inner| inner.visits.insert(row, visit));
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes an offer on the wire; the place under which it is answered.
    pub fn offered(&self, offer: Offer) -> usize {
        self.lock(|inner| {
            inner.offers.push(offer);
            inner.offers.len() - 1
        })
    }

    /// Notes that an offer's acceptance was acknowledged.
    pub fn accepted(&self, place: usize, sent: Instant, acknowledged: Instant) {
        self.lock(|inner| inner.offers[place].accepted = Some((sent, acknowledged)));
    }

    /// Notes a claim; the place under which it is ended. `held` counts what the desk holds with it.
    pub fn claimed(&self, claim: Claim, held: usize) -> usize {
        self.lock(|inner| {
            inner.over_capacity += u64::from(held > 1);
            inner.claims.push(claim);
            inner.claims.len() - 1
        })
    }

    /// Notes that a claim's segment ended.
    pub fn ended(&self, place: usize) {
        self.lock(|inner| inner.claims[place].until = Some(Instant::now()));
    }

    /// Notes a desk's fault.
    pub fn fault(&self, fault: String) {
        self.lock(|inner| inner.faults.push(fault));
    }

    /// Customers whose history has ended.
    pub fn visits_done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// True once in ten calls: for progress without a terminal.
    pub fn beat(&self) -> bool {
        self.beats.fetch_add(1, Ordering::Relaxed).is_multiple_of(10)
    }

    /// Every offer, with the moment at which its contact asked for an agent.
    pub fn offers(&self) -> Vec<(Offer, Option<Instant>)> {
        self.lock(|inner| {
            let asked: BTreeMap<u64, Instant> =
                inner.visits.values().filter_map(|v| v.asked.map(|(sent, _)| (v.contact, sent))).collect();
            inner.offers.iter().map(|o| (o.clone(), asked.get(&o.contact).copied())).collect()
        })
    }

    /// Spans from asking to the acknowledgement of it.
    pub fn acknowledgements(&self) -> Vec<Duration> {
        self.lock(|inner| inner.visits.values().filter_map(|v| v.asked).map(|(sent, acked)| acked - sent).collect())
    }

    /// Reads both sides against each other; `rows` are all customers who were to come.
    pub fn read(&self, rows: impl Iterator<Item = u32>) -> Findings {
        self.lock(|inner| {
            let mut found = Findings { over_capacity: inner.over_capacity, faults: inner.faults.clone(), ..Findings::default() };
            for row in rows {
                match inner.visits.get(&row) {
                    Some(visit) => visit_into(&mut found, row, visit, &inner.claims),
                    None => found.lost.push(row),
                }
            }
            found.double_assignments = overlapping(&inner.claims);
            found
        })
    }

    fn lock<R>(&self, f: impl FnOnce(&mut Inner) -> R) -> R {
        f(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn visit_into(found: &mut Findings, row: u32, visit: &Visit, claims: &[Claim]) {
    match visit.exits.as_slice() {
        [] => found.lost.push(row),
        [exit] => *found.exits.entry(exit.clone()).or_default() += 1,
        [exit, ..] => {
            *found.exits.entry(exit.clone()).or_default() += 1;
            found.ended_twice += 1;
        }
    }
    if let Some(fault) = &visit.fault {
        found.faults.push(format!("row {row}: {fault}"));
    }
    // Asked for an agent, and in no queue soon after.
    if let Some((_, acknowledged)) = visit.asked {
        let late = visit.queued.is_none_or(|queued| queued.saturating_duration_since(acknowledged) > UNOWNED_AFTER);
        found.unowned += u64::from(late && visit.assigned.is_empty() && visit.exits.is_empty());
    }
    // Told of an agent whose desk does not have it.
    for (at, seat) in &visit.assigned {
        let held = claims.iter().any(|claim| {
            let near = claim.from.max(*at) - claim.from.min(*at) <= UNOWNED_AFTER;
            claim.conversation == visit.conversation && claim.seat == *seat && near
        });
        // Taken and over within less than the span that counts: the desk may have been told its end alone.
        let lasted = visit.ended.is_none_or(|ended| ended.saturating_duration_since(*at) > UNOWNED_AFTER);
        found.unowned += u64::from(!held && lasted);
    }
}

/// Pairs of claims of one conversation by two desks at one time.
fn overlapping(claims: &[Claim]) -> u64 {
    let mut by_conversation: BTreeMap<&str, Vec<&Claim>> = BTreeMap::new();
    for claim in claims {
        by_conversation.entry(&claim.conversation).or_default().push(claim);
    }
    let mut pairs = 0;
    for claims in by_conversation.values_mut() {
        claims.sort_by_key(|claim| claim.from);
        for pair in claims.windows(2) {
            pairs += u64::from(pair[0].until.is_none_or(|until| until > pair[1].from) && pair[0].contact == pair[1].contact);
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(seat: &str, from: Instant, until: Option<Instant>) -> Claim {
        Claim { seat: seat.into(), conversation: "c".into(), contact: 7, from, until }
    }

    #[test]
    fn planted_faults_are_found() {
        let now = Instant::now();
        let later = |ms| now + Duration::from_millis(ms);
        let histories = Histories::default();
        let served = Visit {
            conversation: "c".into(),
            contact: 7,
            asked: Some((now, now)),
            queued: Some(now),
            assigned: vec![(now, "a".into())],
            exits: vec!["served".into()],
            ended: Some(later(9_000)),
            fault: None,
        };
        histories.visit(1, served.clone());
        histories.visit(2, Visit { exits: Vec::new(), assigned: Vec::new(), ..served.clone() });
        histories.visit(3, Visit { exits: vec!["served".into(), "failed".into()], assigned: Vec::new(), ..served.clone() });
        histories.visit(4, Visit { assigned: vec![(now, "nobody".into())], ..served.clone() });
        let brief = Visit { assigned: vec![(now, "nobody".into())], ended: Some(later(3)), ..served.clone() };
        histories.visit(7, brief);
        histories.visit(5, Visit { queued: None, exits: Vec::new(), assigned: Vec::new(), ..served });
        histories.claimed(claim("a", now, Some(later(50))), 1);
        histories.claimed(claim("b", later(20), None), 2);
        let found = histories.read([1, 2, 3, 4, 5, 6, 7].into_iter());
        assert_eq!(found.lost, [2, 5, 6]);
        assert_eq!((found.double_assignments, found.over_capacity), (1, 1));
        assert_eq!((found.unowned, found.ended_twice), (2, 1));
        assert_eq!(found.exits["served"], 4);
    }
}
