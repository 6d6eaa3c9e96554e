//! A routing policy as data: what `policy.toml` says once it has been read and validated.
//!
//! `tidegate-core` reads the text (with file, line and field in its errors), checks every rule and turns it into this
//! value; the value travels in an entry and each replica compiles it to the plan it decides by. Every span is in whole
//! milliseconds and every coefficient an integer: slopes are Q16 (65,536 = one millisecond of score a millisecond waited),
//! other score terms are milliseconds of virtual wait shifted left by 16.

use crate::name::Level;
use crate::time::Millis;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// One in Q16.
pub const ONE_Q16: i64 = 65_536;
/// Largest slope a policy may name, Q16 (256 ms of score a millisecond waited).
pub const SLOPE_MAX_Q16: i64 = 1 << 24;
/// Waits are capped here in the score: 2^31 ms, some 24 days.
pub const WAIT_CAP_MS: u64 = 1 << 31;

/// Which seat an arriving contact gets among the eligible ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Selection {
    /// The seat that has been idle longest.
    #[default]
    LongestIdle,
    /// The seat whose levels over the required skills sum highest; longest idle among equals.
    BestSkilled,
    /// The seat whose levels over the required skills sum lowest (keeps specialists free); longest idle among equals.
    LeastSkilled,
    /// The seat with the most free units; longest idle among equals.
    LeastLoaded,
}

/// A skill and the lowest level that will do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Requirement {
    /// The skill's name.
    pub skill: String,
    /// Lowest level that is eligible.
    pub level: Level,
}

/// Under which condition a relaxation step is passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum SkipIf {
    /// Never: the step lasts its time.
    #[default]
    Never,
    /// When no signed-in seat has the skills of the step.
    NoSeat,
}

/// One relaxation step of a queue.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// The step's name: a policy swap keeps a waiting contact's step by it.
    pub name: String,
    /// Skills a seat needs at this step.
    pub requires: Vec<Requirement>,
    /// How long the step lasts; the last step lasts for ever.
    pub lasts: Option<Millis>,
    /// When the step is passed over.
    pub skip_if: SkipIf,
}

/// A priority class of customers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Class {
    /// The class's name.
    pub name: String,
    /// Head start: the contact is treated as if it had arrived this much earlier.
    pub head_start: Millis,
    /// How fast the score grows with the wait, Q16.
    pub slope_q16: i64,
}

/// A queue.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Queue {
    /// The queue's name.
    pub name: String,
    /// Weight in the score against other queues, in milliseconds of virtual wait (may be negative).
    pub weight_ms: i64,
    /// Relaxation steps, strictest first; at least one.
    pub steps: Vec<Step>,
    /// How long a seat may take to accept.
    pub offer_timeout: Millis,
    /// Wrap-up after a segment; zero for none.
    pub wrap_up: Millis,
    /// Past this wait the contact enters the overdue tier (T_max); none for never.
    pub overdue_after: Option<Millis>,
    /// Past this wait the contact leaves with `TimedOut`; none for never.
    pub gives_up_after: Option<Millis>,
    /// Most contacts that may wait; further ones are refused with "queue full".
    pub length_max: u32,
}

/// A refusal rule: a request with the tag is never offered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// The tag.
    pub tag: String,
    /// The reason recorded with the exit.
    pub reason: String,
}

/// A policy as a whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Policy {
    /// The policy's name.
    pub name: String,
    /// Which seat an arriving contact gets.
    pub selection: Selection,
    /// How fast a seat's idle time counts in the score, Q16.
    pub idle_slope_q16: i64,
    /// Score of one level of skill, in milliseconds of virtual wait.
    pub level_weight_ms: i64,
    /// Score of being the preferred seat, in milliseconds of virtual wait.
    pub affinity_ms: i64,
    /// How long a contact waits for its preferred seat alone.
    pub preferred_for: Millis,
    /// A customer's last seat is preferred when he comes again within this span; zero for never.
    pub last_seat_within: Millis,
    /// A conversation without any event for this long is closed.
    pub idle_close_after: Millis,
    /// The queue of requests that name none (an account may name another).
    pub default_queue: String,
    /// The class of requests that name none.
    pub default_class: String,
    /// All skills.
    pub skills: Vec<String>,
    /// All classes.
    pub classes: Vec<Class>,
    /// All queues.
    pub queues: Vec<Queue>,
    /// Refusal rules.
    pub refusals: Vec<Refusal>,
}

/// What the roster says of an agent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AgentProfile {
    /// Name shown to supervisors.
    pub name: String,
    /// Skills with levels.
    pub skills: Vec<Requirement>,
    /// Units of capacity: a contact takes its channel's weight.
    pub units: u16,
    /// Cost of one contact, in milliseconds of virtual wait.
    pub cost_ms: i64,
}

/// How outbound messages of an account reach the customer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Delivery {
    /// The customer reads the numbered transcript and resumes by number (web): nothing to confirm.
    View,
    /// The router calls a provider; each message is an outbox row until a result closes it.
    Push,
}

/// A channel account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccountProfile {
    /// Name shown to supervisors.
    pub name: String,
    /// How outbound messages leave.
    pub delivery: Delivery,
    /// Units that one contact of this account takes of a seat.
    pub weight: u16,
    /// Queue of requests that name none; empty for the policy's default.
    pub queue: String,
}

/// Entries of one list that a desk shows.
pub const DESK_CODES_MAX: usize = 15;

/// A code that a desk may send, with its text in both languages.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Code {
    /// What is sent and recorded.
    pub code: String,
    /// English.
    pub en: String,
    /// 简体中文; the English text where the file has none.
    pub zh: String,
}

impl Code {
    /// A code with its texts.
    pub fn new(code: &str, en: &str, zh: &str) -> Self {
        Self { code: code.into(), en: en.into(), zh: zh.into() }
    }
}

/// What a desk shows for one queue.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeskQueue {
    /// The queue's name.
    pub name: String,
    /// Its name in English.
    pub en: String,
    /// Its name in 简体中文.
    pub zh: String,
    /// Whether it is shown as a target of transfers.
    pub transfer: bool,
    /// Wrap-up codes; none for the desk's.
    pub wrap_up: Option<Vec<Code>>,
    /// What its service level is measured against.
    pub target: Target,
}

/// A target of service level: so many of a hundred offered contacts are to be served within so long.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Target {
    /// The acceptable wait.
    pub within: Millis,
    /// Of a hundred.
    pub percent: u8,
}

impl Default for Target {
    /// 80/20, the most usual one.
    fn default() -> Self {
        Self { within: Millis(20_000), percent: 80 }
    }
}

/// The `[desk]` table of a policy file: what agents' desks show. It is versioned with the file and read by no decision, so it
/// is not part of [`Policy`] nor of the entry that activates one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Desk {
    /// Reasons of a pause.
    pub pause: Vec<Code>,
    /// Reasons of a decline.
    pub decline: Vec<Code>,
    /// Wrap-up codes of queues without their own.
    pub wrap_up: Vec<Code>,
    /// A customer's unanswered message is shown as pressing after this.
    pub warn: Millis,
    /// And as overdue after this.
    pub breach: Millis,
    /// Channels (accounts' names) whose offers the desk accepts by itself.
    pub auto_accept: Vec<String>,
    /// What is said of single queues.
    pub queues: Vec<DeskQueue>,
}

impl Default for Desk {
    fn default() -> Self {
        let pause = [
            ("break", "Short break", "小休"),
            ("meal", "Meal", "用餐"),
            ("training", "Training", "培训"),
            ("meeting", "Meeting", "会议"),
        ];
        let decline = [("busy", "Busy with another contact", "正忙"), ("not-mine", "Not my field", "非我负责")];
        let wrap_up = [
            ("solved", "Solved", "已解决"),
            ("follow-up", "To be followed up", "待跟进"),
            ("no-answer", "Customer did not answer", "客户未回复"),
            ("other", "Other", "其他"),
        ];
        let list = |codes: &[(&str, &str, &str)]| codes.iter().map(|(code, en, zh)| Code::new(code, en, zh)).collect();
        Self {
            pause: list(&pause),
            decline: list(&decline),
            wrap_up: list(&wrap_up),
            warn: Millis(100_000),
            breach: Millis(180_000),
            auto_accept: Vec::new(),
            queues: Vec::new(),
        }
    }
}
