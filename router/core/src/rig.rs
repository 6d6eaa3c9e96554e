//! A seeded population of customers and seats that drives a tenant: one operation model for tests, rigs and benches.
//!
//! [`Rig::next`] gives the next input as an encoded, unstamped entry with its time; [`Rig::observe`] lets the population react
//! to what came out (accept, decline, miss, write, end, wrap up, transfer, leave). It is closed-loop and integer-only: the same
//! seed and the same outputs give the same inputs, byte for byte. With [`Mischief`] it also repeats, forges and misdirects.

use crate::payload;
use alloc::collections::{BTreeMap, BinaryHeap};
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;
use tidegate_model::codec;
use tidegate_model::input::{Admin, ContactRequest, FirstOwner, Inbound, InboundAct, Input, SeatAct, SeatInput, TransferTo};
use tidegate_model::output::{Item, Output, Presence, SeatNotice};
use tidegate_model::policy::{AccountProfile, AgentProfile, Delivery, Requirement};
use tidegate_model::{
    AccountId, ClaimId, ClassName, CommandId, ConversationId, CustomerId, EventId, Level, OfferId, QueueName, ReasonName, SeatId,
    SkillName, TagName, TenantId, Timestamp,
};

/// The policy that the rig runs under: two queues with relaxation, unequal slopes, head starts, an overdue tier.
pub const POLICY: &str = r#"
name = "rig"
selection = "best-skilled"
idle_slope = 0.001
level_weight = "5s"
affinity = "30s"
preferred_for = "5s"
last_seat_within = "1h"
idle_close_after = "10min"
default_queue = "sales"
default_class = "regular"
skills = ["sales", "support", "english"]

[[class]]
name = "regular"
[[class]]
name = "gold"
head_start = "30s"
slope = 2.5

[[queue]]
name = "sales"
offer_timeout = "10s"
wrap_up = "3s"
overdue_after = "2min"
gives_up_after = "5min"
length_max = 5000
  [[queue.step]]
  name = "strict"
  requires = { sales = 5 }
  lasts = "10s"
  skip_if = "no-seat"
  [[queue.step]]
  name = "wide"
  requires = { sales = 1 }

[[queue]]
name = "support"
weight = "10s"
offer_timeout = "8s"
overdue_after = "90s"
  [[queue.step]]
  name = "strict"
  requires = { support = 3 }
  lasts = "20s"
  [[queue.step]]
  name = "anyone"

[[refuse]]
tag = "blocked"
reason = "blocked"
"#;

/// The policy that a swap in the middle of a run activates: a step vanishes, a queue changes its name's rules.
pub const OTHER_POLICY: &str = r#"
name = "rig-two"
selection = "longest-idle"
default_queue = "sales"
default_class = "regular"
preferred_for = "5s"
idle_close_after = "10min"
skills = ["sales", "support", "english"]
[[class]]
name = "regular"
[[class]]
name = "gold"
head_start = "60s"
[[queue]]
name = "sales"
offer_timeout = "12s"
gives_up_after = "6min"
  [[queue.step]]
  name = "wide"
  requires = { sales = 1 }
[[queue]]
name = "support"
offer_timeout = "8s"
  [[queue.step]]
  name = "strict"
  requires = { support = 2 }
  lasts = "15s"
  [[queue.step]]
  name = "anyone"
"#;

/// How much nonsense the population talks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mischief {
    /// None: every input is one that an honest channel would send.
    #[default]
    None,
    /// Repeats, stale commands, unknown seats, forged claims, conflicting repeats.
    Some,
}

/// Size and temper of the population.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RigConfig {
    /// Seed of everything.
    pub seed: u64,
    /// The tenant.
    pub tenant: TenantId,
    /// Seats of the roster.
    pub seats: u32,
    /// Mean span between arrivals, ms.
    pub arrival_ms: u64,
    /// Mean span of a service, ms.
    pub service_ms: u64,
    /// Distinct customers that come again and again.
    pub customers: u64,
    /// How much nonsense.
    pub mischief: Mischief,
}

impl RigConfig {
    /// A busy small floor.
    pub const fn small(seed: u64) -> Self {
        Self { seed, tenant: TenantId(1), seats: 20, arrival_ms: 900, service_ms: 30_000, customers: 400, mischief: Mischief::Some }
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Act {
    Arrive,
    Roster,
    Write(ConversationId),
    AskAgent(ConversationId),
    Leave(ConversationId),
    SignIn(SeatId),
    Ready(SeatId),
    Accept(SeatId, OfferId),
    Decline(SeatId, OfferId),
    Send(SeatId, ClaimId),
    End(SeatId, ClaimId),
    WrapUp(SeatId, ClaimId),
    Transfer(SeatId, ClaimId),
    Hash,
}

/// The population.
#[derive(Clone, Debug)]
pub struct Rig {
    config: RigConfig,
    state: u64,
    now: u64,
    sequence: u64,
    events: u64,
    due: BinaryHeap<Reverse<(u64, u64, Act)>>,
    open: BTreeMap<ConversationId, bool>,
    recent: Vec<Vec<u8>>,
}

impl Rig {
    /// A population at time zero; nobody has come yet.
    pub fn new(config: RigConfig) -> Self {
        let mut rig = Self {
            config,
            state: config.seed ^ 0x5bd1_e995_9d1b_58a3,
            now: 1_000,
            sequence: 0,
            events: 0,
            due: BinaryHeap::new(),
            open: BTreeMap::new(),
            recent: Vec::new(),
        };
        for seat in 1..=u64::from(config.seats) {
            rig.at(seat % 50, Act::SignIn(SeatId(seat)));
            rig.at(60 + seat % 500, Act::Ready(SeatId(seat)));
        }
        rig.at(100, Act::Arrive);
        rig.at(5_000, Act::Roster);
        rig.at(3_000, Act::Hash);
        rig
    }

    /// Encoded entries that set the tenant up: accounts, policy, roster.
    pub fn bootstrap(&self) -> Vec<Vec<u8>> {
        let mut entries = Vec::new();
        for (id, delivery, weight) in [(1, Delivery::View, 1), (2, Delivery::Push, 2)] {
            let profile = payload::account(&AccountProfile { name: "inbox".into(), delivery, weight, queue: String::new() });
            entries.push(self.encode(&Input::Admin(Admin::Account { account: AccountId(id), profile: &profile })));
        }
        entries.push(self.policy_entry(POLICY, 1));
        for seat in 1..=u64::from(self.config.seats) {
            let profile = payload::agent(&profile_of(seat, self.config.seed));
            entries.push(self.encode(&Input::Admin(Admin::Agent { seat: SeatId(seat), profile: &profile })));
        }
        entries
    }

    /// An entry that activates a policy text; `mark` stands for its hash.
    ///
    /// # Panics
    /// If the text is no policy: the rig's own texts are.
    pub fn policy_entry(&self, text: &str, mark: u8) -> Vec<u8> {
        let policy = crate::policy::parse("rig.toml", text).unwrap_or_else(|e| panic!("the rig's policy: {e}"));
        let plan = crate::policy::encode(&policy);
        self.encode(&Input::Admin(Admin::Policy { hash: [mark; 32], plan: &plan }))
    }

    /// Log time of the population.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.now)
    }

    /// The next input: its time and its encoded, unstamped entry.
    #[expect(clippy::should_implement_trait, reason = "it never ends, so there is no Option to give")]
    pub fn next(&mut self) -> (Timestamp, Vec<u8>) {
        if self.config.mischief == Mischief::Some && self.below(40) == 0 {
            if let Some(entry) = self.nonsense() {
                return (self.now(), entry);
            }
        }
        loop {
            let Some(Reverse((at, _, act))) = self.due.pop() else {
                self.at(1_000, Act::Arrive);
                continue;
            };
            self.now = self.now.max(at);
            if let Some(entry) = self.perform(act) {
                if self.recent.len() < 64 {
                    self.recent.push(entry.clone());
                } else {
                    let place = self.below(64) as usize;
                    self.recent[place] = entry.clone();
                }
                return (self.now(), entry);
            }
        }
    }

    /// Lets the population react to an output.
    pub fn observe(&mut self, output: &Output) {
        match output {
            Output::Seat { seat, notice } => self.notice(*seat, *notice),
            Output::Transcript { conversation, item, .. } => match item {
                Item::Began { .. } => {
                    self.open.insert(*conversation, true);
                }
                Item::Ended { .. } => {
                    self.open.remove(conversation);
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn notice(&mut self, seat: SeatId, notice: SeatNotice) {
        match notice {
            SeatNotice::Offered { offer, timeout, .. } => match self.below(20) {
                0 => {}
                1 => {
                    let after = self.below(timeout.0);
                    self.at(after, Act::Decline(seat, offer));
                }
                _ => {
                    let after = self.below(timeout.0 / 2) + 1;
                    self.at(after, Act::Accept(seat, offer));
                }
            },
            SeatNotice::Assigned { claim, conversation, .. } => {
                let service = self.about(self.config.service_ms);
                for _ in 0..self.below(4) {
                    let (a, b) = (self.below(service), self.below(service));
                    self.at(a, Act::Send(seat, claim));
                    self.at(b, Act::Write(conversation));
                }
                match self.below(20) {
                    0 => self.at(service, Act::Transfer(seat, claim)),
                    1 => self.at(service / 2, Act::Leave(conversation)),
                    _ => self.at(service, Act::End(seat, claim)),
                }
            }
            SeatNotice::WrapUp { claim, .. } => {
                let after = self.below(5_000);
                self.at(after, Act::WrapUp(seat, claim));
            }
            SeatNotice::Presence { presence: Presence::NotResponding } => {
                let after = self.about(8_000);
                self.at(after, Act::Ready(seat));
            }
            SeatNotice::Presence { presence: Presence::SignedOut } => {
                let after = self.about(5_000);
                self.at(after, Act::SignIn(seat));
                self.at(after + 100, Act::Ready(seat));
            }
            _ => {}
        }
    }

    fn perform(&mut self, act: Act) -> Option<Vec<u8>> {
        match act {
            Act::Arrive => {
                let after = self.about(self.config.arrival_ms);
                self.at(after, Act::Arrive);
                Some(self.arrive())
            }
            Act::Roster => {
                let after = self.about(4_000);
                self.at(after, Act::Roster);
                Some(self.roster())
            }
            Act::Hash => {
                self.at(3_000, Act::Hash);
                Some(self.encode(&Input::Hash))
            }
            Act::Write(conversation) => {
                self.open.contains_key(&conversation).then(|| self.inbound(conversation, InboundAct::Message { body: b"hello" }))
            }
            Act::AskAgent(conversation) => {
                let request = self.request();
                self.open.contains_key(&conversation).then(|| self.inbound(conversation, InboundAct::RequestAgent { request }))
            }
            Act::Leave(conversation) => {
                self.open.contains_key(&conversation).then(|| self.inbound(conversation, InboundAct::Leave))
            }
            Act::SignIn(seat) => Some(self.seat(seat, SeatAct::SignIn)),
            Act::Ready(seat) => Some(self.seat(seat, SeatAct::Ready)),
            Act::Accept(seat, offer) => Some(self.seat(seat, SeatAct::Accept { offer })),
            Act::Decline(seat, offer) => Some(self.seat(seat, SeatAct::Decline { offer, reason: ReasonName::of("busy") })),
            Act::Send(seat, claim) => Some(self.seat(seat, SeatAct::Send { claim, body: b"how can I help" })),
            Act::End(seat, claim) => Some(self.seat(seat, SeatAct::End { claim })),
            Act::WrapUp(seat, claim) => Some(self.seat(seat, SeatAct::WrapUp { claim, code: ReasonName::of("done") })),
            Act::Transfer(seat, claim) => {
                let to = match self.below(3) {
                    0 => TransferTo::Seat(self.some_seat()),
                    1 => TransferTo::Queue(QueueName::of("sales")),
                    _ => TransferTo::Queue(QueueName::of("support")),
                };
                self.at(5_000, Act::End(seat, claim));
                Some(self.seat(seat, SeatAct::Transfer { claim, to }))
            }
        }
    }

    fn arrive(&mut self) -> Vec<u8> {
        let customer = self.below(self.config.customers) + 1;
        let conversation = ConversationId(u128::from(tidegate_model::name::mix(customer)) << 64 | u128::from(customer));
        let request = self.request();
        let bot = self.below(4) == 0;
        let patience = self.about(60_000);
        self.at(patience, Act::Leave(conversation));
        if bot {
            let after = self.about(5_000);
            self.at(after, Act::AskAgent(conversation));
        }
        let with = if bot { FirstOwner::Bot } else { FirstOwner::Queue };
        self.inbound(conversation, InboundAct::Begin { with, request })
    }

    fn request(&mut self) -> ContactRequest {
        let queue = [QueueName::NONE, QueueName::of("sales"), QueueName::of("support")][self.below(3) as usize];
        let class = [ClassName::NONE, ClassName::of("gold")][self.below(2) as usize];
        let mut request = ContactRequest { queue, class, ..ContactRequest::default() };
        if self.below(10) == 0 {
            request.preferred = self.some_seat();
        }
        if self.below(12) == 0 {
            request.skills[0] = (SkillName::of("english"), Level(2));
        }
        if self.below(50) == 0 {
            request.tags[1] = TagName::of("blocked");
        }
        request
    }

    fn roster(&mut self) -> Vec<u8> {
        let seat = self.some_seat();
        match self.below(8) {
            0 => {
                let profile = payload::agent(&profile_of(seat.0, self.now));
                self.encode(&Input::Admin(Admin::Agent { seat, profile: &profile }))
            }
            1 => self.seat(seat, SeatAct::SignOut),
            2 => self.seat(seat, SeatAct::LeaseEnd),
            3 | 4 => {
                let after = self.about(3_000);
                self.at(after, Act::Ready(seat));
                self.seat(seat, SeatAct::Pause { reason: ReasonName::of("tea") })
            }
            5 => self.seat(seat, SeatAct::LinkDown),
            _ => self.seat(seat, SeatAct::LinkUp),
        }
    }

    /// Repeats and forgeries.
    fn nonsense(&mut self) -> Option<Vec<u8>> {
        if self.recent.is_empty() {
            return None;
        }
        let place = self.below(self.recent.len() as u64) as usize;
        match self.below(5) {
            // A repeat, as a provider that saw no answer would send it.
            0 | 1 => Some(self.recent[place].clone()),
            2 => {
                // The same event with another content.
                let mut entry = self.recent[place].clone();
                let last = entry.len() - 1;
                entry[last] ^= 1;
                codec::decode(&entry).is_ok().then_some(entry)
            }
            3 => {
                let claim = ClaimId(self.below(1 << 40));
                Some(self.seat(SeatId(1 + claim.0 % 64), SeatAct::End { claim }))
            }
            _ => {
                let conversation = ConversationId(u128::from(self.below(64)));
                Some(self.inbound(conversation, InboundAct::Leave))
            }
        }
    }

    fn inbound(&mut self, conversation: ConversationId, act: InboundAct<'_>) -> Vec<u8> {
        self.events += 1;
        let event = EventId(u128::from(tidegate_model::name::mix(self.events)) << 64 | u128::from(self.events));
        let account = AccountId(1 + (conversation.0 as u32 & 1));
        let customer = CustomerId(conversation.0 as u64);
        self.encode(&Input::Inbound(Inbound { account, conversation, event, customer, known_n: 0, act }))
    }

    fn seat(&mut self, seat: SeatId, act: SeatAct<'_>) -> Vec<u8> {
        self.events += 1;
        let command = CommandId(u128::from(self.events) << 32 | 7);
        self.encode(&Input::Seat(SeatInput { seat, command, act }))
    }

    fn encode(&self, input: &Input<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        codec::encode(&mut bytes, self.config.tenant, input);
        bytes
    }

    fn some_seat(&mut self) -> SeatId {
        SeatId(1 + self.below(u64::from(self.config.seats)))
    }

    fn at(&mut self, after: u64, act: Act) {
        self.sequence += 1;
        self.due.push(Reverse((self.now + after, self.sequence, act)));
    }

    /// A span of about `mean`, from nothing to twice.
    fn about(&mut self, mean: u64) -> u64 {
        self.below(2 * mean) + 1
    }

    /// SplitMix64 (Steele, Lea, Flood 2014) reduced by multiplication.
    fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((u128::from(z) * u128::from(bound.max(1))) >> 64) as u64
    }
}

fn profile_of(seat: u64, salt: u64) -> AgentProfile {
    let word = tidegate_model::name::mix(seat ^ salt.rotate_left(17));
    let level = |shift: u32| Level(1 + (word >> shift) as u8 % 10);
    let mut skills = Vec::new();
    for (i, name) in ["sales", "support", "english"].into_iter().enumerate() {
        if word >> (48 + i) & 1 == 1 || i as u64 == seat % 2 {
            skills.push(Requirement { skill: name.into(), level: level(8 * i as u32) });
        }
    }
    AgentProfile { name: alloc::format!("agent {seat}"), skills, units: 6, cost_ms: (word % 3) as i64 * 500 }
}
