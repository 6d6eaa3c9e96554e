//! Who does what when, by themselves: the acts of customers and agents on planned days, for whoever plays them.
//!
//! The demo plays a script against a live node over real channels, the twin in virtual time. What people do in answer to the
//! router is not in it as acts but as spans: a customer who is assigned stays for his own handle time, his agent pauses after
//! him for a span of his own, a desk accepts and wraps up by [`DeskHabits`]. Times are milliseconds of log time after [`Script::origin`] (midnight of the first day), so
//! a player at speed N does at wall time t what the script says for N·t ([`Script::wall`]); spans of the policy then last as
//! long, against the day, as they do in the record.
//!
//! It refuses to know: ids of channels, connections, the router's outputs.

use super::{Asking, BankDay, Between, Break, Intent, PlannedContact, Presence, policy};
use crate::kernel::Streams;
use crate::trace::Day;
use std::collections::BTreeMap;
use std::time::Duration;
use tidegate_model::policy::AgentProfile;
use tidegate_model::{CustomerId, SeatId};

const DAY_MS: u64 = 86_400_000;

/// Acts of some days.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// The first day; time 0 is its midnight.
    pub origin: Day,
    /// The days, ascending, with their offset from the origin in milliseconds.
    pub days: Vec<(Day, u64)>,
    /// Everybody who comes, in order of arrival.
    pub visits: Vec<Visit>,
    /// Every agent's shift of every day, by day, then by name.
    pub shifts: Vec<Shift>,
}

/// One customer's way, as far as it is his own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Which of [`Script::days`].
    pub day: usize,
    /// Line of the trace: unique over the script.
    pub row: u32,
    /// When he connects.
    pub arrive_ms: u64,
    /// What happens then.
    pub course: Course,
    /// What he asks for.
    pub asking: Asking,
    /// Who he is; none when not identified.
    pub customer: CustomerId,
}

/// What a customer does after connecting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// Begins with the phantom tag and is refused.
    Phantom,
    /// Begins with the bot and leaves it.
    LeavesBot {
        /// When.
        at_ms: u64,
    },
    /// Begins with the bot, asks for an agent, and leaves when nobody has taken him in time.
    Asks {
        /// When he asks.
        at_ms: u64,
        /// When he gives up, unless assigned before.
        gives_up_ms: u64,
        /// How long an agent needs for him, from assignment to end.
        handle_ms: u64,
        /// How long the agent is away after him, from end to next assignment, though somebody waits.
        pause_ms: u64,
    },
}

/// One agent's day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shift {
    /// Which of [`Script::days`].
    pub day: usize,
    /// The seat, the same on all days.
    pub seat: SeatId,
    /// What the roster says from this day's midnight on.
    pub profile: AgentProfile,
    /// Signs in and is ready.
    pub sign_in_ms: u64,
    /// Breaks: pauses at their begin (an open contact is served to its end), ready again at their end.
    pub breaks: Vec<Break>,
    /// Signs out, once an open contact is served to its end.
    pub sign_out_ms: u64,
}

/// How a desk reacts to what the router asks of it, in log time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeskHabits {
    /// From an offer to its acceptance.
    pub accept_ms: u64,
    /// From the end of a segment to the end of its wrap-up.
    pub wrap_up: WrapUp,
}

/// How long a wrap-up is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrapUp {
    /// The visit's own pause, less the acceptance of the next offer, which the recorded gap holds too.
    AsRecorded,
    /// Always so many milliseconds.
    Fixed(u64),
}

impl DeskHabits {
    /// A desk that accepts within a second of log time and pauses as the record's agents did.
    pub const RECORDED: Self = Self { accept_ms: 1_000, wrap_up: WrapUp::AsRecorded };

    /// A desk whose acceptance takes `accept` of wall time, played at this speed (rounded up).
    pub fn at_speed(accept: Duration, speed: u32) -> Self {
        let accept_ms = (accept.as_nanos() * u128::from(speed)).div_ceil(1_000_000) as u64;
        Self { accept_ms, wrap_up: WrapUp::AsRecorded }
    }

    /// The wrap-up after a visit with this pause.
    pub fn wrap_up_ms(self, pause_ms: u64) -> u64 {
        match self.wrap_up {
            WrapUp::AsRecorded => pause_ms.saturating_sub(self.accept_ms),
            WrapUp::Fixed(ms) => ms,
        }
    }
}

/// Something that somebody does by himself; places are indices into the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The roster learns a shift's profile.
    Roster(usize),
    /// A shift's agent signs in and is ready.
    SignIn(usize),
    /// A shift's agent goes on a break.
    Pause(usize),
    /// And comes back.
    Resume(usize),
    /// A shift's agent goes home.
    SignOut(usize),
    /// A visit begins.
    Arrive(usize),
    /// A visit leaves the bot: for an agent, or for good.
    LeaveBot(usize),
    /// A visit's patience ends.
    GiveUp(usize),
}

impl Script {
    /// The script of these days, which must be ascending, as [`super::BankWeek::days`] are; pauses are drawn from `between`.
    /// O(n log n).
    ///
    /// # Panics
    /// Without a day.
    pub fn of(days: &[BankDay], between: &Between, streams: &Streams) -> Self {
        let origin = days.first().expect("a script has at least one day").day;
        let offsets: Vec<(Day, u64)> = days.iter().map(|day| (day.day, days_between(origin, day.day) * DAY_MS)).collect();
        let names: BTreeMap<_, _> = days.iter().flat_map(|day| &day.agents).map(|agent| (agent.name, ())).collect();
        // Seats count from 1 in order of names: the same on every day of the script.
        let seats: BTreeMap<_, SeatId> = names.into_keys().zip((1..).map(SeatId)).collect();
        let mut visits = Vec::new();
        let mut shifts = Vec::new();
        for (place, (day, (_, offset))) in days.iter().zip(&offsets).enumerate() {
            visits.extend(day.contacts.iter().map(|contact| {
                let pause_ms = between.draw_ms(day.day, contact.row, streams);
                Visit::of(contact, place, *offset, pause_ms)
            }));
            shifts.extend(day.agents.iter().map(|agent| Shift {
                day: place,
                seat: seats[&agent.name],
                profile: policy::profile(agent),
                sign_in_ms: agent.sign_in_ms + offset,
                breaks: agent.breaks.iter().map(|pause| pause.later_by(*offset)).collect(),
                sign_out_ms: agent.sign_out_ms + offset,
            }));
        }
        visits.sort_by_key(|visit| (visit.arrive_ms, visit.row));
        Self { origin, days: offsets, visits, shifts }
    }

    /// Every act with its time, in order; at one time the roster first, then agents, then customers.
    pub fn acts(&self) -> Vec<(u64, Act)> {
        let mut acts = Vec::with_capacity(self.visits.len() * 3 + self.shifts.len() * 4);
        for (place, shift) in self.shifts.iter().enumerate() {
            acts.push((self.days[shift.day].1, Act::Roster(place)));
            acts.push((shift.sign_in_ms, Act::SignIn(place)));
            acts.push((shift.sign_out_ms, Act::SignOut(place)));
            for pause in &shift.breaks {
                acts.push((pause.from_ms, Act::Pause(place)));
                acts.push((pause.until_ms, Act::Resume(place)));
            }
        }
        for (place, visit) in self.visits.iter().enumerate() {
            acts.push((visit.arrive_ms, Act::Arrive(place)));
            match visit.course {
                Course::Phantom => {}
                Course::LeavesBot { at_ms } => acts.push((at_ms, Act::LeaveBot(place))),
                Course::Asks { at_ms, gives_up_ms, .. } => {
                    acts.push((at_ms, Act::LeaveBot(place)));
                    acts.push((gives_up_ms, Act::GiveUp(place)));
                }
            }
        }
        acts.sort_by_key(|(at_ms, act)| (*at_ms, act.rank()));
        acts
    }

    /// When a player at `speed` does what the script says for `at_ms`, after his own start.
    ///
    /// # Panics
    /// At speed 0.
    pub fn wall(at_ms: u64, speed: u32) -> Duration {
        Duration::from_millis(at_ms) / speed
    }

    /// The spans in which agents are planned to be there, for pictures.
    pub fn presences(&self) -> Vec<Presence> {
        self.shifts.iter().flat_map(Shift::presences).collect()
    }
}

impl Shift {
    /// The spans of being there and not on a break, ascending.
    pub fn presences(&self) -> Vec<Presence> {
        super::roster::presences(self.sign_in_ms, &self.breaks, self.sign_out_ms)
    }
}

impl Visit {
    fn of(contact: &PlannedContact, day: usize, offset: u64, pause_ms: u64) -> Self {
        let arrive_ms = contact.arrive_ms + offset;
        let bot_until = arrive_ms + contact.bot_ms;
        let course = match contact.intends {
            Intent::Phantom => Course::Phantom,
            Intent::LeavesInBot => Course::LeavesBot { at_ms: bot_until },
            Intent::Waits { patience, handle } => {
                let gives_up_ms = bot_until.saturating_add(patience.ms);
                Course::Asks { at_ms: bot_until, gives_up_ms, handle_ms: handle.ms, pause_ms }
            }
        };
        let customer = contact.customer.map_or(CustomerId::NONE, |number| CustomerId(u64::from(number)));
        Self { day, row: contact.row, arrive_ms, course, asking: Asking::of(contact), customer }
    }
}

impl Act {
    /// Order of acts at one time; a customer's own acts never overtake each other.
    const fn rank(self) -> u8 {
        match self {
            Self::Roster(_) => 0,
            Self::SignIn(_) => 1,
            Self::Pause(_) => 2,
            Self::Resume(_) => 3,
            Self::SignOut(_) => 4,
            Self::Arrive(_) => 5,
            Self::LeaveBot(_) => 6,
            Self::GiveUp(_) => 7,
        }
    }
}

/// Days from one date to another, by their text: a script spans a few.
fn days_between(from: Day, to: Day) -> u64 {
    to.number().saturating_sub(from.number())
}
