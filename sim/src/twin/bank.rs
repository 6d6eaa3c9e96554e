//! Planned days played to the whole `Tenant` in virtual time.
//!
//! Customers and agents act by a [`Script`]; what the machine puts out is answered as people and desks would: offers accepted
//! and wrap-ups ended after [`DeskHabits`], an assigned customer stays for his own handle time, patience ends where nobody has
//! taken him. Ticks are proposed when the machine asks for one, never by a period. Every input is encoded, stamped and decoded
//! like an entry of a node's log, and the log is kept: [`super::Replay`] of it must decide the same.
//!
//! It refuses to know: channels, how fast time passes elsewhere, and what the record says would have happened.

use super::entries::EntryLog;
use super::follow::{Follower, Keep, TenantReport};
use crate::bank::{Act, Course, DeskHabits, Presence, Script, policy};
use crate::kernel::{Calendar, Handle};
use crate::report::{Passage, Summary};
use crate::trace::Day;
use std::collections::BTreeMap;
use thiserror::Error;
use tidegate_core::payload;
use tidegate_core::policy::PolicyErrors;
use tidegate_model::codec;
use tidegate_model::input::{Admin, FirstOwner, Inbound, InboundAct, Input, SeatAct, SeatInput};
use tidegate_model::limits::Limits;
use tidegate_model::name::mix;
use tidegate_model::output::{Outcome, Output, Presence as Shown, SeatNotice};
use tidegate_model::record::ContactRecord;
use tidegate_model::{ClaimId, CommandId, ConversationId, EventId, Millis, OfferId, ReasonName, SeatId, Seq, TenantId, Timestamp};

/// The acceptable wait of summaries.
pub const WITHIN_MS: u64 = 20_000;

/// How days are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Play {
    /// The tenant.
    pub tenant: TenantId,
    /// Log time of the script's origin.
    pub start: Timestamp,
    /// Limits of the tenant: an entry, and hence part of the log.
    pub limits: Limits,
    /// How desks react.
    pub habits: DeskHabits,
    /// A hash entry after so many others.
    pub hash_every: u64,
    /// What is kept; days have no passages without contacts ([`Keep::DecisionDigests`]).
    pub keep: Keep,
}

impl Default for Play {
    fn default() -> Self {
        Self {
            tenant: TenantId(1),
            start: Timestamp(1_000),
            limits: Limits::SMALL,
            habits: DeskHabits::RECORDED,
            hash_every: 4_096,
            keep: Keep::Contacts,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct BankRun {
    /// Day by day.
    pub days: Vec<DayRun>,
    /// The machine at the end.
    pub tenant: TenantReport,
    /// The log: replay it.
    pub log: EntryLog,
    /// Ticks among its entries.
    pub ticks: u64,
    /// Inputs that were refused, by [`tidegate_model::output::Refusal::slug`].
    pub refused: BTreeMap<&'static str, u64>,
}

/// One day of a run; times in milliseconds after its midnight.
#[derive(Clone, Debug, PartialEq)]
pub struct DayRun {
    /// Which.
    pub day: Day,
    /// One passage a contact that came on this day, in the order in which they left.
    pub passages: Vec<Passage>,
    /// When agents were ready or serving.
    pub presences: Vec<Presence>,
    /// The passages' figures, service level within [`WITHIN_MS`].
    pub summary: Summary,
}

/// Why days were not played.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlayError {
    /// The policy's text is faulty.
    #[error("the bank's policy cannot be read")]
    Policy(#[from] PolicyErrors),
}

/// Plays a script to an empty machine until everybody has left. O(entries · log waiting).
///
/// # Errors
/// [`PlayError`].
pub fn play(script: &Script, options: Play) -> Result<BankRun, PlayError> {
    let mut floor = Floor::new(script, options);
    floor.open(&tidegate_core::policy::encode(&policy::policy()?));
    floor.run();
    Ok(floor.close())
}

/// What is due on the floor.
#[derive(Clone, Copy, Debug)]
enum Event {
    Act(Act),
    Accept { seat: SeatId, offer: OfferId },
    End { seat: SeatId, claim: ClaimId },
    WrapUp { seat: SeatId, claim: ClaimId },
    ReadyAgain { seat: SeatId },
    GoHome { seat: SeatId },
}

/// An agent as the agent knows himself.
#[derive(Clone, Copy, Debug, Default)]
struct Desk {
    /// The shift that is on.
    shift: Option<usize>,
    duty: Duty,
    /// Has an offer, a claim or a wrap-up.
    busy: bool,
    /// Since when there, for the presence that is not over yet.
    since_ms: Option<u64>,
    /// Of the claim in service.
    wrap_up_ms: u64,
    accepting: Option<Handle>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Duty {
    #[default]
    Off,
    On,
    Break,
    /// Goes home once not busy.
    Leaving,
}

struct Floor<'s> {
    script: &'s Script,
    options: Play,
    machine: Follower,
    calendar: Calendar<Event>,
    /// When each visit gives up, until somebody has taken it.
    patience: Vec<Option<Handle>>,
    desks: BTreeMap<SeatId, Desk>,
    presences: Vec<Vec<Presence>>,
    log: EntryLog,
    entry: Vec<u8>,
    outputs: Vec<Output>,
    commands: u128,
    ticks: u64,
    refused: BTreeMap<&'static str, u64>,
}

impl<'s> Floor<'s> {
    fn new(script: &'s Script, options: Play) -> Self {
        let mut calendar = Calendar::new(options.start);
        let mut patience = vec![None; script.visits.len()];
        for (at_ms, act) in script.acts() {
            let handle = calendar.schedule(options.start + Millis(at_ms), Event::Act(act));
            if let Act::GiveUp(visit) = act {
                patience[visit] = Some(handle);
            }
        }
        Self {
            script,
            options,
            machine: Follower::new(options.tenant, options.limits, options.keep),
            calendar,
            patience,
            desks: BTreeMap::new(),
            presences: vec![Vec::new(); script.days.len()],
            log: EntryLog::new(),
            entry: Vec::new(),
            outputs: Vec::new(),
            commands: 0,
            ticks: 0,
            refused: BTreeMap::new(),
        }
    }

    /// The entries that make the tenant.
    fn open(&mut self, plan: &[u8]) {
        let at = self.options.start;
        self.send(at, &Input::Admin(Admin::Limits(self.options.limits)));
        let profile = payload::account(&policy::account());
        self.send(at, &Input::Admin(Admin::Account { account: policy::ACCOUNT, profile: &profile }));
        self.send(at, &Input::Admin(Admin::Policy { hash: policy::policy_hash(), plan }));
    }

    fn run(&mut self) {
        loop {
            let planned = self.calendar.peek_time();
            // What is due at the time of an input fires inside that input, so only an earlier deadline needs a tick.
            let due = self.machine.next_deadline().filter(|due| planned.is_none_or(|at| *due < at));
            match due {
                Some(due) if planned.is_some() || self.machine.ledger().open() > 0 => {
                    self.ticks += 1;
                    self.send(due, &Input::Tick);
                }
                _ => match self.calendar.pop() {
                    Some(event) => self.perform(event.at, event.event),
                    None => return,
                },
            }
        }
    }

    fn perform(&mut self, at: Timestamp, event: Event) {
        match event {
            Event::Act(act) => self.act(at, act),
            Event::Accept { seat, offer } => self.seat(at, seat, SeatAct::Accept { offer }),
            Event::End { seat, claim } => self.seat(at, seat, SeatAct::End { claim }),
            Event::WrapUp { seat, claim } => self.seat(at, seat, SeatAct::WrapUp { claim, code: ReasonName::of("done") }),
            Event::ReadyAgain { seat } => {
                if self.desk(seat).duty == Duty::On {
                    self.seat(at, seat, SeatAct::Ready);
                }
            }
            Event::GoHome { seat } => self.go_home(at, seat),
        }
    }

    fn act(&mut self, at: Timestamp, act: Act) {
        match act {
            Act::Roster(shift) => {
                let shift = &self.script.shifts[shift];
                let profile = payload::agent(&shift.profile);
                self.send(at, &Input::Admin(Admin::Agent { seat: shift.seat, profile: &profile }));
            }
            Act::SignIn(place) => {
                let seat = self.script.shifts[place].seat;
                let now_ms = self.script_ms(at);
                let desk = self.desk(seat);
                desk.shift = Some(place);
                desk.duty = Duty::On;
                desk.since_ms.get_or_insert(now_ms);
                self.seat(at, seat, SeatAct::SignIn);
                self.seat(at, seat, SeatAct::Ready);
            }
            Act::Pause(place) => {
                if let Some(seat) = self.on(place) {
                    self.desk(seat).duty = Duty::Break;
                    self.seat(at, seat, SeatAct::Pause { reason: ReasonName::of("break") });
                    self.leave_if_idle(at, seat);
                }
            }
            Act::Resume(place) => {
                if let Some(seat) = self.on(place) {
                    let now_ms = self.script_ms(at);
                    let desk = self.desk(seat);
                    desk.duty = Duty::On;
                    desk.since_ms.get_or_insert(now_ms);
                    self.seat(at, seat, SeatAct::Ready);
                }
            }
            Act::SignOut(place) => {
                if let Some(seat) = self.on(place) {
                    let desk = self.desk(seat);
                    desk.duty = Duty::Leaving;
                    if desk.busy {
                        return self.seat(at, seat, SeatAct::Pause { reason: ReasonName::of("going home") });
                    }
                    self.go_home(at, seat);
                }
            }
            Act::Arrive(visit) => {
                let request = self.script.visits[visit].asking.request();
                self.customer(at, visit, 1, InboundAct::Begin { with: FirstOwner::Bot, request });
            }
            Act::LeaveBot(visit) => match self.script.visits[visit].course {
                Course::Asks { .. } => {
                    let request = self.script.visits[visit].asking.request();
                    self.customer(at, visit, 2, InboundAct::RequestAgent { request });
                }
                _ => self.customer(at, visit, 3, InboundAct::Leave),
            },
            Act::GiveUp(visit) => {
                self.patience[visit] = None;
                self.customer(at, visit, 3, InboundAct::Leave);
            }
        }
    }

    /// The seat of a shift, if that shift is the one that is on.
    fn on(&mut self, shift: usize) -> Option<SeatId> {
        let seat = self.script.shifts[shift].seat;
        (self.desk(seat).shift == Some(shift)).then_some(seat)
    }

    fn desk(&mut self, seat: SeatId) -> &mut Desk {
        self.desks.entry(seat).or_default()
    }

    fn go_home(&mut self, at: Timestamp, seat: SeatId) {
        let desk = self.desk(seat);
        if desk.duty == Duty::Leaving && !desk.busy {
            self.leave_if_idle(at, seat);
            *self.desk(seat) = Desk::default();
            self.seat(at, seat, SeatAct::SignOut);
        }
    }

    /// Ends the presence of an agent who takes no more contacts and has none.
    fn leave_if_idle(&mut self, at: Timestamp, seat: SeatId) {
        let until_ms = self.script_ms(at);
        let desk = self.desk(seat);
        if desk.busy || desk.duty == Duty::On {
            return;
        }
        if let (Some(from_ms), Some(shift)) = (desk.since_ms.take(), desk.shift) {
            let day = self.script.shifts[shift].day;
            let midnight = self.script.days[day].1;
            self.presences[day].push(Presence { from_ms: from_ms - midnight, until_ms: until_ms - midnight });
        }
    }

    fn script_ms(&self, at: Timestamp) -> u64 {
        at.since(self.options.start).0
    }

    fn customer(&mut self, at: Timestamp, place: usize, step: u128, act: InboundAct<'_>) {
        let visit = &self.script.visits[place];
        let inbound = Inbound {
            account: policy::ACCOUNT,
            conversation: conversation(place),
            event: EventId((place as u128 + 1) << 8 | step),
            customer: visit.customer,
            known_n: 0,
            act,
        };
        self.send(at, &Input::Inbound(inbound));
    }

    fn seat(&mut self, at: Timestamp, seat: SeatId, act: SeatAct<'_>) {
        self.commands += 1;
        self.send(at, &Input::Seat(SeatInput { seat, command: CommandId(self.commands), act }));
    }

    /// One entry of the log: encoded, stamped, kept, decoded and handled; the floor answers what came out.
    fn send(&mut self, at: Timestamp, input: &Input<'_>) {
        self.append(at, input);
        if self.options.hash_every > 0 && (self.log.len() as u64).is_multiple_of(self.options.hash_every) {
            self.append(at, &Input::Hash);
        }
    }

    fn append(&mut self, at: Timestamp, input: &Input<'_>) {
        self.entry.clear();
        codec::encode(&mut self.entry, self.options.tenant, input);
        codec::stamp(&mut self.entry, Seq(self.log.len() as u64 + 1), at);
        self.log.push(&self.entry);
        let outputs = &mut self.outputs;
        let entry = codec::decode(&self.entry).expect("what was just encoded can be decoded");
        self.machine.handle(&entry, |output| outputs.push(output.clone()));
        let mut outputs = std::mem::take(&mut self.outputs);
        for output in outputs.drain(..) {
            self.answer(at, &output);
        }
        self.outputs = outputs;
    }

    fn answer(&mut self, at: Timestamp, output: &Output) {
        match output {
            Output::Reply { outcome: Outcome::Refused(refusal), .. } => *self.refused.entry(refusal.slug()).or_default() += 1,
            Output::Seat { seat, notice } => self.notice(at, *seat, *notice),
            Output::Contact(record) => self.forget_patience(record.conversation),
            _ => {}
        }
    }

    fn notice(&mut self, at: Timestamp, seat: SeatId, notice: SeatNotice) {
        let habits = self.options.habits;
        match notice {
            SeatNotice::Offered { offer, .. } => {
                let accepting = self.calendar.schedule(at + Millis(habits.accept_ms), Event::Accept { seat, offer });
                let desk = self.desk(seat);
                desk.busy = true;
                desk.accepting = Some(accepting);
            }
            SeatNotice::Assigned { claim, conversation, .. } => {
                self.desk(seat).accepting = None;
                self.forget_patience(conversation);
                if let Course::Asks { handle_ms, pause_ms, .. } = self.script.visits[place_of(conversation)].course {
                    self.desk(seat).wrap_up_ms = habits.wrap_up_ms(pause_ms);
                    self.calendar.schedule(at + Millis(handle_ms), Event::End { seat, claim });
                }
            }
            SeatNotice::WrapUp { claim, .. } => {
                let desk = self.desk(seat);
                // Who goes on a break or home does not sit out a pause first.
                let wrap_up_ms = if desk.duty == Duty::On { desk.wrap_up_ms } else { 0 };
                self.calendar.schedule(at + Millis(wrap_up_ms), Event::WrapUp { seat, claim });
            }
            SeatNotice::Rescinded { .. } | SeatNotice::Released { .. } => {
                let desk = self.desk(seat);
                desk.busy = false;
                if let Some(accepting) = desk.accepting.take() {
                    self.calendar.cancel(accepting);
                }
                // The seat's next offer, if any, stands behind this notice in the same outputs; it leaves only once there is none.
                if self.desk(seat).duty == Duty::Leaving {
                    self.calendar.schedule(at, Event::GoHome { seat });
                }
                self.leave_if_idle(at, seat);
            }
            SeatNotice::Presence { presence: Shown::NotResponding } => {
                self.calendar.schedule(at + Millis(habits.accept_ms.max(1)), Event::ReadyAgain { seat });
            }
            _ => {}
        }
    }

    fn forget_patience(&mut self, conversation: ConversationId) {
        if let Some(handle) = self.patience[place_of(conversation)].take() {
            self.calendar.cancel(handle);
        }
    }

    fn close(self) -> BankRun {
        let tenant = self.machine.finish();
        let mut passages: Vec<Vec<Passage>> = vec![Vec::new(); self.script.days.len()];
        for record in &tenant.contacts {
            let day = self.script.visits[place_of(record.conversation)].day;
            passages[day].push(passage(record, self.options.start + Millis(self.script.days[day].1)));
        }
        let days = self.script.days.iter().zip(passages).zip(self.presences).map(|(((day, _), passages), presences)| {
            let summary = Summary::of(&passages, WITHIN_MS);
            DayRun { day: *day, passages, presences, summary }
        });
        BankRun { days: days.collect(), log: self.log, ticks: self.ticks, refused: self.refused, tenant }
    }
}

/// One contact's way, in milliseconds after `midnight`: the same for the twin's records and a node's.
pub fn passage(record: &ContactRecord, midnight: Timestamp) -> Passage {
    let after = |at: Timestamp| at.since(midnight).0;
    Passage {
        arrived_ms: after(record.began_at),
        asked_ms: record.requested_at.map(after),
        left_queue_ms: after(record.assigned_at.unwrap_or(record.ended_at)),
        exit: record.exit,
    }
}

/// The conversation of a visit: spread above as a channel's ids are, the visit's place below.
fn conversation(place: usize) -> ConversationId {
    let number = place as u64 + 1;
    ConversationId(u128::from(mix(number)) << 64 | u128::from(number))
}

fn place_of(conversation: ConversationId) -> usize {
    (conversation.0 as u64 - 1) as usize
}
