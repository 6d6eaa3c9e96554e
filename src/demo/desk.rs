//! Agents: each a desk of its own, there from its first to its last recorded service, one contact at a time.
//!
//! A desk accepts after [`ACCEPT`] of wall time, serves each contact and wraps it up for the contact's own times, finishes
//! what it has before a break or going home, and says Ready again after a missed offer.

use super::clock::Scaled;
use super::history::{Claim, Histories, Offer};
use super::{Plan, TENANT};
use crate::floor::Floor;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tidegate_channels::client::ClientError;
use tidegate_channels::client::desk::{ClaimSeen, DeskClient, DeskEvent, OfferSeen};
use tidegate_channels::ids;
use tidegate_core::payload;
use tidegate_model::input::{Admin, Input};
use tidegate_router::node::NodeHandle;
use tidegate_sim::bank::policy as bank;
use tidegate_sim::bank::{Course, DeskHabits};
use tokio::time::{Instant, sleep_until};

/// From an offer to its acceptance, in wall time.
const ACCEPT: Duration = Duration::from_millis(2);

/// The desks' habits as the twin takes them, in log time.
pub fn habits(speed: u32) -> DeskHabits {
    DeskHabits::at_speed(ACCEPT, speed)
}

/// What a contact needs of its agent: the contact's own, whoever serves it.
#[derive(Clone, Copy, Debug, Default)]
struct Needs {
    handle_ms: u64,
    /// How long the agent is away after it.
    pause_ms: u64,
}

/// One agent's day at one desk.
pub struct Shift {
    node: NodeHandle,
    token: String,
    clock: Scaled,
    shift: tidegate_sim::bank::Shift,
    day_ms: u64,
    habits: DeskHabits,
    needs: Arc<HashMap<String, Needs>>,
}

/// What a desk does at a time of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Accept(String, usize),
    End(String),
    WrapUp(String),
    Pause,
    Resume,
    GoHome,
}

#[derive(Default)]
struct Duty {
    due: BTreeMap<(Instant, u64), Act>,
    order: u64,
    /// Claims in service, with their place in the histories and the pause after them.
    claims: HashMap<String, (usize, u64)>,
    /// Claims in wrap-up.
    wrapping: usize,
    paused: bool,
    going_home: bool,
}

impl Duty {
    fn at(&mut self, at: Instant, act: Act) {
        self.order += 1;
        self.due.insert((at, self.order), act);
    }

    fn idle(&self) -> bool {
        self.claims.is_empty() && self.wrapping == 0
    }
}

impl Shift {
    /// One shift of the plan.
    pub fn new(floor: &Floor, plan: &Plan, place: usize, clock: Scaled) -> anyhow::Result<Self> {
        let shift = plan.script.shifts[place].clone();
        let token = floor.agent_token(TENANT, shift.seat)?;
        let day_ms = plan.script.days[shift.day].1;
        Ok(Self { node: floor.node.clone(), token, clock, day_ms, shift, habits: habits(plan.speed), needs: plan.needs() })
    }

    /// Plays the shift; faults go to the histories.
    pub async fn play(self, base: String, histories: Arc<Histories>) {
        let seat = self.shift.seat;
        if let Err(error) = self.work(&base, &histories).await {
            histories.fault(format!("agent {:x}: {error}", seat.0));
        }
    }

    async fn work(&self, base: &str, histories: &Histories) -> Result<(), ClientError> {
        super::until(self.clock.wall(self.day_ms)).await;
        let profile = payload::agent(&self.shift.profile);
        let roster = self.node.submit(TENANT, &Input::Admin(Admin::Agent { seat: self.shift.seat, profile: &profile })).await;
        roster.map_err(|error| ClientError::Protocol { what: format!("the roster: {error:?}") })?;

        super::until(self.clock.wall(self.shift.sign_in_ms)).await;
        let mut desk = DeskClient::sign_in(base, &self.token).await?;
        desk.ready().await?;
        let mut duty = Duty::default();
        for pause in &self.shift.breaks {
            duty.at(self.clock.wall(pause.from_ms), Act::Pause);
            duty.at(self.clock.wall(pause.until_ms), Act::Resume);
        }
        duty.at(self.clock.wall(self.shift.sign_out_ms), Act::GoHome);
        while !(duty.going_home && duty.idle()) {
            let next = duty.due.first_key_value().map(|((at, _), _)| *at);
            tokio::select! {
                biased;
                event = desk.next_event() => self.take(event?, &mut duty, histories, &mut desk).await?,
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    if let Some((_, act)) = duty.due.pop_first() {
                        self.act(act, &mut duty, histories, &mut desk).await?;
                    }
                }
            }
        }
        desk.sign_out().await?;
        Ok(())
    }

    async fn take(
        &self,
        event: DeskEvent,
        duty: &mut Duty,
        histories: &Histories,
        desk: &mut DeskClient,
    ) -> Result<(), ClientError> {
        match event {
            DeskEvent::Offered(OfferSeen { offer, contact, .. }) => {
                let place = histories.offered(Offer { contact, at: Instant::now(), accepted: None });
                duty.at(Instant::now() + ACCEPT, Act::Accept(offer, place));
            }
            DeskEvent::Rescinded { offer, .. } => duty.due.retain(|_, act| !matches!(act, Act::Accept(o, _) if *o == offer)),
            DeskEvent::Assigned(ClaimSeen { claim, contact, conversation, .. }) => {
                let needs = self.needs.get(&conversation).copied().unwrap_or_default();
                let seat = desk.session().seat.clone();
                let held = duty.claims.len() + 1;
                let place = histories.claimed(Claim { seat, conversation, contact, from: Instant::now(), until: None }, held);
                duty.claims.insert(claim.clone(), (place, needs.pause_ms));
                duty.at(Instant::now() + self.clock.span(needs.handle_ms), Act::End(claim));
            }
            DeskEvent::WrapUp { claim, .. } => {
                let (place, pause_ms) = duty.claims.remove(&claim).unzip();
                if let Some(place) = place {
                    histories.ended(place);
                }
                let wrap_up = self.clock.span(self.habits.wrap_up_ms(pause_ms.unwrap_or(0)));
                duty.due.retain(|_, act| !matches!(act, Act::End(c) if *c == claim));
                duty.wrapping += 1;
                duty.at(Instant::now() + wrap_up, Act::WrapUp(claim));
            }
            DeskEvent::Released { claim } => {
                match duty.claims.remove(&claim) {
                    Some((place, _)) => histories.ended(place),
                    None => duty.wrapping = duty.wrapping.saturating_sub(1),
                }
                duty.due.retain(|_, act| !matches!(act, Act::End(c) | Act::WrapUp(c) if *c == claim));
            }
            DeskEvent::Presence(presence) if presence == "not_responding" && !duty.paused && !duty.going_home => {
                desk.ready().await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn act(&self, act: Act, duty: &mut Duty, histories: &Histories, desk: &mut DeskClient) -> Result<(), ClientError> {
        let done = match &act {
            Act::Accept(offer, place) => {
                let sent = Instant::now();
                let done = desk.accept(offer).await;
                if done.is_ok() {
                    histories.accepted(*place, sent, Instant::now());
                }
                done
            }
            Act::End(claim) => desk.end(claim).await,
            Act::WrapUp(claim) => desk.wrap_up(claim, "done").await,
            Act::Pause => {
                duty.paused = true;
                desk.pause("break").await
            }
            Act::Resume => {
                duty.paused = false;
                desk.ready().await
            }
            Act::GoHome => {
                duty.going_home = true;
                desk.pause("going home").await
            }
        };
        match done {
            // Gone meanwhile: the customer left, or it ended by itself; the notice is on its way.
            Ok(_) | Err(ClientError::Refused { .. }) => Ok(()),
            Err(ClientError::Busy { retry_after }) => {
                duty.at(Instant::now() + retry_after, act);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl Plan {
    /// What each conversation's contact needs.
    fn needs(&self) -> Arc<HashMap<String, Needs>> {
        let mut needs = HashMap::new();
        for visit in &self.script.visits {
            if let Course::Asks { handle_ms, pause_ms, .. } = visit.course {
                let conversation = ids::conversation(bank::ACCOUNT, &format!("bank-1999-row-{:06}", visit.row), true);
                needs.insert(format!("{:032x}", conversation.0), Needs { handle_ms, pause_ms });
            }
        }
        Arc::new(needs)
    }
}
