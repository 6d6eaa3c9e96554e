//! One customer: where the contact stands, and the draws that came with it.
//!
//! Everything about a customer that does not depend on the floor is drawn when he comes, from streams of his demand and in the
//! order of coming: how long he would wait, how long he takes, what he would do next. So two policies meet the same customers.
//! Those who come again are drawn from streams of their own: how many they are depends on the policy, and must move nobody else.

use super::setup::DemandSetup;
use crate::kernel::sample::Uniform;
use crate::kernel::{EntryId, Purpose, Stream, Streams};
use tidegate_core::distributor::Kind;

/// Where a contact stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The slot is free.
    Free,
    /// Will come (again).
    Coming,
    /// With an AI pool.
    Bot,
    /// In a lane.
    Waiting,
    /// Offered to a seat that has not accepted yet.
    Offered,
    /// In service.
    Served,
    /// Gone; its seat wraps up, or idles unseen.
    After,
}

/// What a customer would do, decided when he comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    pub contained: bool,
    pub redials: bool,
    pub repeats: bool,
    pub repeats_after_ai: bool,
    pub transfers: bool,
    pub takes_callback: bool,
    pub not_reached: bool,
}

impl Fate {
    const NONE: Self = Self {
        contained: false,
        redials: false,
        repeats: false,
        repeats_after_ai: false,
        transfers: false,
        takes_callback: false,
        not_reached: false,
    };
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Contact {
    pub number: u64,
    pub arrived: u64,
    /// When it asked for an agent first.
    pub asked: u64,
    /// When its first wait ended.
    pub left_queue: u64,
    /// The entry of the agenda that counts: patience, end of service, of wrap-up, coming.
    pub entry: EntryId,
    /// The policy's deadline while it waits, the accepting while it is offered.
    pub due: EntryId,
    /// The offer of a callback.
    pub call: EntryId,
    /// Patience in milliseconds.
    pub patience: f64,
    /// What is left of its service, of a usual agent without others beside.
    pub work: f64,
    /// Since when `work` has been going down at `pace`, and when this segment began.
    pub since: u64,
    pub began: u64,
    pub pace: f64,
    pub wrap_up: f64,
    pub ticket: u32,
    pub agent: u32,
    /// The demand it came as, and the one it waits as (another one after a transfer).
    pub came_as: u16,
    pub demand: u16,
    pub state: State,
    pub fate: Fate,
    pub times: u8,
    /// Has been with an AI pool, or must not go there.
    pub straight: bool,
    /// Its wait is over: it has had an agent.
    pub had_agent: bool,
    /// Keeps its place without waiting on the line.
    pub called_back: bool,
    pub waits_in_area: bool,
}

impl Contact {
    pub(super) const FREE: Self = Self {
        number: 0,
        arrived: 0,
        asked: u64::MAX,
        left_queue: 0,
        entry: EntryId::NONE,
        due: EntryId::NONE,
        call: EntryId::NONE,
        patience: f64::INFINITY,
        work: 0.0,
        since: 0,
        began: 0,
        pace: 1.0,
        wrap_up: 0.0,
        ticket: u32::MAX,
        agent: u32::MAX,
        came_as: 0,
        demand: 0,
        state: State::Free,
        fate: Fate::NONE,
        times: 0,
        straight: false,
        had_agent: false,
        called_back: false,
        waits_in_area: false,
    };
}

/// The streams of one demand's customers.
#[derive(Clone, Debug)]
pub(super) struct Draws {
    patience: Stream,
    handle: Stream,
    wrap_up: Stream,
    fate: Stream,
}

/// Entities of those who come again begin here.
const AGAIN: u64 = 1 << 20;

impl Draws {
    pub(super) fn new(streams: &Streams, demand: usize, again: bool, mirrored: bool) -> Self {
        let entity = demand as u64 + if again { AGAIN } else { 0 };
        let stream = |purpose| Stream::new(streams.for_(purpose, entity), mirrored);
        Self {
            patience: stream(Purpose::Patience),
            handle: stream(Purpose::Handle),
            wrap_up: stream(Purpose::WrapUp),
            fate: stream(Purpose::Fate),
        }
    }

    /// The draws of one customer who comes at `now`.
    #[inline]
    pub(super) fn draw(&mut self, contact: &mut Contact, demand: &DemandSetup, repeats_after_ai: f64, now: u64) {
        contact.patience = match &demand.patience {
            Some(patience) => {
                let factor = demand.patience_profile.as_ref().map_or(1.0, |profile| profile.at(now));
                factor * patience.sample(&mut self.patience)
            }
            None => f64::INFINITY,
        };
        self.draw_work(contact, demand, now);
        let mut says = |share: Option<f64>| share.is_some_and(|share| self.fate.next_u01() < share);
        contact.fate = Fate::NONE;
        contact.fate.contained = says(demand.pool.map(|(_, share)| share));
        contact.fate.redials = says(demand.redial.as_ref().map(|again| again.share));
        contact.fate.repeats = says(demand.repeat.as_ref().map(|again| again.share));
        contact.fate.repeats_after_ai = says((repeats_after_ai > 0.0).then_some(repeats_after_ai));
        contact.fate.transfers = says(demand.transfer.map(|(share, _)| share));
        contact.fate.takes_callback = says(demand.callback.as_ref().map(|callback| callback.accepts));
        contact.fate.not_reached = says(demand.callback.as_ref().map(|callback| callback.not_reached));
    }

    /// The work of one segment and its wrap-up.
    #[inline]
    pub(super) fn draw_work(&mut self, contact: &mut Contact, demand: &DemandSetup, now: u64) {
        let factor = demand.handle_profile.as_ref().map_or(1.0, |profile| profile.at(now));
        contact.work = factor * demand.handle.sample(&mut self.handle);
        contact.wrap_up = demand.wrap_up.as_ref().map_or(0.0, |wrap_up| wrap_up.sample(&mut self.wrap_up));
    }
}

/// A demand as it runs: its lanes and its customers' streams.
#[derive(Clone, Debug)]
pub(super) struct Coming {
    pub kind: Kind,
    pub first: Draws,
    pub again: Draws,
}
