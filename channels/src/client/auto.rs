//! An auto-answering agent: drives a [`DeskClient`] by a mind that says how each contact is handled.
//!
//! Several conversations at once, each rung, served and wrapped up for its own time; offers that vanish and claims that end
//! by themselves are dropped; busy answers are tried again after the pause. It refuses to know why a contact takes as long as
//! it takes: the mind ([`AutoAnswer`]) brings the times, from a trace or a distribution.

use crate::client::ClientError;
use crate::client::desk::{ClaimSeen, DeskClient, DeskEvent, OfferSeen, Snapshot};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How an offer is treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handling {
    /// Whether it is taken.
    pub accept: bool,
    /// How long it rings first.
    pub ring: Duration,
    /// How long the contact is served.
    pub talk: Duration,
    /// How long the wrap-up takes.
    pub wrap_up: Duration,
}

/// An agent's mind.
pub trait AutoAnswer: Send {
    /// An offer came: how is it treated?
    fn offered(&mut self, offer: &OfferSeen) -> Handling;

    /// A claim is there that this run did not see begin, as after a cut: how does it go on? At once to its end by default.
    fn found(&mut self, _: &ClaimSeen) -> Handling {
        Handling { accept: true, ring: Duration::ZERO, talk: Duration::ZERO, wrap_up: Duration::ZERO }
    }

    /// The contact is this agent's.
    fn assigned(&mut self, _: &ClaimSeen) {}

    /// The claim is over.
    fn released(&mut self, _: &ClaimSeen) {}
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Step {
    Answer(String),
    End(String),
    WrapUp(String),
}

#[derive(Default)]
struct Floor {
    due: BinaryHeap<Reverse<(Instant, u64, Step)>>,
    order: u64,
    offers: BTreeMap<String, Handling>,
    claims: BTreeMap<String, (ClaimSeen, Handling)>,
    served: u64,
}

impl Floor {
    fn after(&mut self, span: Duration, step: Step) {
        self.order += 1;
        self.due.push(Reverse((Instant::now() + span, self.order, step)));
    }

    fn offered(&mut self, offer: &OfferSeen, agent: &mut impl AutoAnswer) {
        if !self.offers.contains_key(&offer.offer) {
            let handling = agent.offered(offer);
            self.offers.insert(offer.offer.clone(), handling);
            self.after(handling.ring, Step::Answer(offer.offer.clone()));
        }
    }

    fn assigned(&mut self, claim: ClaimSeen, agent: &mut impl AutoAnswer) {
        if self.claims.contains_key(&claim.claim) {
            return;
        }
        // A claim carries the number of the offer that it came from.
        let handling = self.offers.remove(&claim.claim).unwrap_or_else(|| agent.found(&claim));
        agent.assigned(&claim);
        let (span, step) = match claim.wrap_up_until {
            None => (handling.talk, Step::End(claim.claim.clone())),
            Some(_) => (handling.wrap_up, Step::WrapUp(claim.claim.clone())),
        };
        self.after(span, step);
        self.claims.insert(claim.claim.clone(), (claim, handling));
    }

    fn released(&mut self, claim: &str, agent: &mut impl AutoAnswer) {
        if let Some((claim, _)) = self.claims.remove(claim) {
            self.served += 1;
            agent.released(&claim);
        }
    }

    fn snapshot(&mut self, seat: Snapshot, agent: &mut impl AutoAnswer) {
        let gone: Vec<String> =
            self.claims.keys().filter(|known| seat.claims.iter().all(|open| open.claim != **known)).cloned().collect();
        for claim in gone {
            self.released(&claim, agent);
        }
        for claim in seat.claims {
            self.assigned(claim, agent);
        }
        self.offers.retain(|known, _| seat.offers.iter().any(|open| open.offer == *known));
        for offer in &seat.offers {
            self.offered(offer, agent);
        }
    }

    fn take(&mut self, event: DeskEvent, agent: &mut impl AutoAnswer) {
        match event {
            DeskEvent::Snapshot(seat) => self.snapshot(seat, agent),
            DeskEvent::Offered(offer) => self.offered(&offer, agent),
            DeskEvent::Rescinded { offer, .. } => drop(self.offers.remove(&offer)),
            DeskEvent::Assigned(claim) => self.assigned(claim, agent),
            DeskEvent::WrapUp { claim, .. } => {
                if let Some((_, handling)) = self.claims.get(&claim) {
                    self.after(handling.wrap_up, Step::WrapUp(claim));
                }
            }
            DeskEvent::Released { claim } => self.released(&claim, agent),
            _ => {}
        }
    }

    /// Carries out a step that is due; what has vanished meanwhile is passed over.
    async fn step(&mut self, desk: &mut DeskClient, step: Step) -> Result<(), ClientError> {
        let result = match &step {
            Step::Answer(offer) => match self.offers.get(offer) {
                Some(handling) if handling.accept => desk.accept(offer).await,
                Some(_) => desk.decline(offer, "busy").await,
                None => return Ok(()),
            },
            Step::End(claim) if self.claims.contains_key(claim) => desk.end(claim).await,
            Step::WrapUp(claim) if self.claims.contains_key(claim) => desk.wrap_up(claim, "done").await,
            _ => return Ok(()),
        };
        match result {
            // Refused: it ended by itself, and its notice is on the way.
            Ok(_) | Err(ClientError::Refused { .. }) => Ok(()),
            Err(ClientError::Busy { retry_after }) => {
                self.after(retry_after, step);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Serves contacts until `until` resolves; returns how many claims ended. The desk must be signed in; whoever calls says
/// [`DeskClient::ready`] before or after. After a cut: [`DeskClient::resume`], then call again.
///
/// # Errors
/// A lost connection, or [`ClientError::Replaced`].
pub async fn serve(
    desk: &mut DeskClient,
    agent: &mut impl AutoAnswer,
    until: impl Future<Output = ()>,
) -> Result<u64, ClientError> {
    let mut until = std::pin::pin!(until);
    let mut floor = Floor::default();
    loop {
        let next = floor.due.peek().map(|Reverse((at, ..))| *at);
        tokio::select! {
            biased;
            () = &mut until => return Ok(floor.served),
            event = desk.next_event() => floor.take(event?, agent),
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                if let Some(Reverse((_, _, step))) = floor.due.pop() {
                    floor.step(desk, step).await?;
                }
            }
        }
    }
}
