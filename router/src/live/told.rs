//! What one desk has been told, and what must be said to bring it to a snapshot.
//!
//! Pure data, no actor: [`Told::note`] records a notice, [`Told::difference`] gives the notices that lead from what was told
//! to what a snapshot says, [`Told::is_news`] keeps a claim from being assigned or released twice when a snapshot overtook a
//! notice that was on its way. Its size is bounded by what a seat can hold (its units) and a short memory of ended claims.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tidegate_model::ids::{ClaimId, OfferId};
use tidegate_model::output::{Presence, Rescind, SeatNotice};
use tidegate_model::port::SeatSnapshot;
use tidegate_model::time::Timestamp;

/// Ended claims that are remembered, so that a late notice about one is not told again.
const ENDED_MAX: usize = 512;

/// What one desk has been told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    presence: Option<Presence>,
    offers: BTreeSet<OfferId>,
    claims: BTreeMap<ClaimId, Option<Timestamp>>,
    ended: VecDeque<ClaimId>,
}

impl Told {
    /// Records a notice that is about to be told.
    pub(crate) fn note(&mut self, notice: &SeatNotice) {
        match *notice {
            SeatNotice::Presence { presence } => self.presence = Some(presence),
            SeatNotice::Offered { offer, .. } => drop(self.offers.insert(offer)),
            SeatNotice::Rescinded { offer, .. } => drop(self.offers.remove(&offer)),
            SeatNotice::Assigned { claim, .. } => {
                self.offers.remove(&claim.offer());
                self.claims.insert(claim, None);
            }
            SeatNotice::WrapUp { claim, until } => drop(self.claims.insert(claim, Some(until))),
            SeatNotice::Released { claim } => {
                self.claims.remove(&claim);
                if self.ended.len() == ENDED_MAX {
                    self.ended.pop_front();
                }
                self.ended.push_back(claim);
            }
            _ => {}
        }
    }

    /// Whether a notice from the queue says something that a snapshot has not said before.
    pub(crate) fn is_news(&self, notice: &SeatNotice) -> bool {
        match *notice {
            SeatNotice::Offered { offer, .. } => {
                let claim = offer.claim();
                !self.offers.contains(&offer) && !self.claims.contains_key(&claim) && !self.ended.contains(&claim)
            }
            SeatNotice::Rescinded { offer, .. } => self.offers.contains(&offer),
            SeatNotice::Assigned { claim, .. } => !self.claims.contains_key(&claim) && !self.ended.contains(&claim),
            SeatNotice::WrapUp { claim, until } => self.claims.get(&claim) != Some(&Some(until)) && !self.ended.contains(&claim),
            SeatNotice::Released { claim } => !self.ended.contains(&claim),
            _ => true,
        }
    }

    /// The notices that lead to `snapshot`, in an order that a desk can follow: what is over first, then what is open.
    /// Every open offer is among them, told before or not.
    pub(crate) fn difference(&self, snapshot: &SeatSnapshot) -> Vec<SeatNotice> {
        let mut notices = Vec::new();
        let is_new = self.presence.is_none() && snapshot.presence == Presence::SignedOut;
        if self.presence != Some(snapshot.presence) && !is_new {
            notices.push(SeatNotice::Presence { presence: snapshot.presence });
        }
        for claim in self.claims.keys() {
            if !snapshot.claims.iter().any(|open| open.claim == *claim) {
                notices.push(SeatNotice::Released { claim: *claim });
            }
        }
        for offer in &self.offers {
            let is_open = snapshot.offers.iter().any(|open| open.offer == *offer);
            let is_accepted = snapshot.claims.iter().any(|open| open.claim == offer.claim());
            if !is_open && !is_accepted {
                // The cause is in the record; for the desk it is enough that nobody can accept it any more.
                notices.push(SeatNotice::Rescinded { offer: *offer, why: Rescind::Expired });
            }
        }
        for open in &snapshot.claims {
            let told = self.claims.get(&open.claim);
            if told.is_none() {
                let (claim, contact, conversation) = (open.claim, open.contact, open.conversation);
                notices.push(SeatNotice::Assigned { claim, contact, conversation });
            }
            if let Some(until) = open.wrap_up_until
                && told != Some(&Some(until))
            {
                notices.push(SeatNotice::WrapUp { claim: open.claim, until });
            }
        }
        for open in &snapshot.offers {
            notices.push(SeatNotice::Offered {
                offer: open.offer,
                contact: open.contact,
                conversation: open.conversation,
                queue: open.queue,
                waiting_since: open.waiting_since,
                deadline: open.deadline,
                timeout: open.deadline.since(snapshot.at),
            });
        }
        notices
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tidegate_model::ids::{ContactId, ConversationId};
    use tidegate_model::name::QueueName;
    use tidegate_model::port::{OpenClaim, OpenOffer};
    use tidegate_model::time::Millis;

    fn offered(id: u64) -> SeatNotice {
        SeatNotice::Offered {
            offer: OfferId(id),
            contact: ContactId(id),
            conversation: ConversationId(u128::from(id)),
            queue: QueueName::of("q"),
            waiting_since: Timestamp(0),
            deadline: Timestamp(10),
            timeout: Millis(10),
        }
    }

    fn assigned(id: u64) -> SeatNotice {
        SeatNotice::Assigned { claim: ClaimId(id), contact: ContactId(id), conversation: ConversationId(u128::from(id)) }
    }

    /// A seat's true life, as the machine would notice it, with the snapshot after any prefix.
    #[derive(Default, Clone, Debug)]
    struct Truth {
        offers: BTreeSet<u64>,
        claims: BTreeMap<u64, Option<Timestamp>>,
    }

    impl Truth {
        fn step(&mut self, op: u8, id: u64) -> Option<SeatNotice> {
            match op {
                0 if !self.offers.contains(&id) && !self.claims.contains_key(&id) => {
                    self.offers.insert(id);
                    Some(offered(id))
                }
                1 if self.offers.remove(&id) => Some(SeatNotice::Rescinded { offer: OfferId(id), why: Rescind::Declined }),
                2 if self.offers.remove(&id) => {
                    self.claims.insert(id, None);
                    Some(assigned(id))
                }
                3 if self.claims.get(&id) == Some(&None) => {
                    self.claims.insert(id, Some(Timestamp(id + 1)));
                    Some(SeatNotice::WrapUp { claim: ClaimId(id), until: Timestamp(id + 1) })
                }
                4 if self.claims.remove(&id).is_some() => Some(SeatNotice::Released { claim: ClaimId(id) }),
                _ => None,
            }
        }

        fn snapshot(&self) -> SeatSnapshot {
            SeatSnapshot {
                presence: Presence::Ready,
                at: Timestamp(1),
                offers: self
                    .offers
                    .iter()
                    .map(|id| OpenOffer {
                        offer: OfferId(*id),
                        contact: ContactId(*id),
                        conversation: ConversationId(u128::from(*id)),
                        queue: QueueName::of("q"),
                        waiting_since: Timestamp(0),
                        deadline: Timestamp(10),
                    })
                    .collect(),
                claims: self
                    .claims
                    .iter()
                    .map(|(id, until)| OpenClaim {
                        claim: ClaimId(*id),
                        contact: ContactId(*id),
                        conversation: ConversationId(u128::from(*id)),
                        wrap_up_until: *until,
                        n: 1,
                    })
                    .collect(),
            }
        }
    }

    /// A desk that follows notices and refuses what no desk should hear.
    #[derive(Default)]
    struct DeskModel {
        offers: BTreeSet<u64>,
        claims: BTreeMap<u64, Option<Timestamp>>,
        assigned_twice: Vec<u64>,
        ever: BTreeSet<u64>,
    }

    impl DeskModel {
        fn hear(&mut self, notice: &SeatNotice) {
            match *notice {
                SeatNotice::Offered { offer, .. } => drop(self.offers.insert(offer.0)),
                SeatNotice::Rescinded { offer, .. } => drop(self.offers.remove(&offer.0)),
                SeatNotice::Assigned { claim, .. } => {
                    self.offers.remove(&claim.0);
                    if !self.ever.insert(claim.0) {
                        self.assigned_twice.push(claim.0);
                    }
                    self.claims.insert(claim.0, None);
                }
                SeatNotice::WrapUp { claim, until } => drop(self.claims.insert(claim.0, Some(until))),
                SeatNotice::Released { claim } => drop(self.claims.remove(&claim.0)),
                _ => {}
            }
        }
    }

    proptest! {
        /// Whatever was lost on the way, and wherever the snapshot was taken, the desk ends where the machine stands, and no
        /// claim is assigned to it twice.
        #[test]
        fn a_resynchronised_desk_ends_where_the_machine_stands(
            ops in proptest::collection::vec((0_u8..5, 1_u64..8), 1..60),
            lost_from in 0_usize..60, snapshot_after in 0_usize..60,
        ) {
            let mut truth = Truth::default();
            let mut next = 0;
            let mut life: Vec<(SeatNotice, Truth)> = Vec::new();
            for (op, slot) in ops {
                // Ids are never used twice: the machine counts offers. The slot picks among the living ones.
                let id = if op == 0 { next += 1; next } else {
                    let living: Vec<u64> = truth.offers.iter().chain(truth.claims.keys()).copied().collect();
                    match living.get(slot as usize % living.len().max(1)) { Some(id) => *id, None => continue }
                };
                if let Some(notice) = truth.step(op, id) {
                    life.push((notice, truth.clone()));
                }
            }
            let lost_from = lost_from.min(life.len());
            // Everything queued between the loss and the resynchronisation is gone; the snapshot is taken later still.
            let snapshot_at = snapshot_after.clamp(lost_from, life.len());
            let resync_from = lost_from + (snapshot_at - lost_from) / 2;
            let mut told = Told::default();
            let mut desk = DeskModel::default();
            for (notice, _) in &life[..lost_from] {
                told.note(notice);
                desk.hear(notice);
            }
            let snapshot = match snapshot_at { 0 => Truth::default().snapshot(), n => life[n - 1].1.snapshot() };
            for notice in told.difference(&snapshot) {
                told.note(&notice);
                desk.hear(&notice);
            }
            for (notice, _) in &life[resync_from..] {
                if told.is_news(notice) {
                    told.note(notice);
                    desk.hear(notice);
                }
            }
            prop_assert_eq!(&desk.offers, &truth.offers);
            prop_assert_eq!(&desk.claims, &truth.claims);
            prop_assert_eq!(&desk.assigned_twice, &Vec::<u64>::new());
        }
    }
}
