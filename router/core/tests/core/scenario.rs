//! Small floors by hand: a policy text, a few seats, then one input after the other and what came out of it.
//!
//! For promises that one story shows better than a crowd. Each input goes through the entry codec and is kept in the log, so
//! that a story can be replayed. Ids of events and commands are counted, so every input is a new one unless a test sends the
//! same bytes again ([`Floor::again`]). The state's invariants are checked after each input.

use crate::support::{apply, guard};
use tidegate_core::{Tenant, payload, policy};
use tidegate_model::codec;
use tidegate_model::input::{Admin, ContactRequest, FirstOwner, Inbound, InboundAct, Input, SeatAct, SeatInput};
use tidegate_model::limits::Limits;
use tidegate_model::output::{Outcome, Output, Refusal, Rescind, SeatNotice};
use tidegate_model::policy::{AccountProfile, AgentProfile, Delivery, Requirement};
use tidegate_model::record::{ContactRecord, DecisionRecord};
use tidegate_model::{
    AccountId, ClaimId, CommandId, ContactId, ConversationId, CustomerId, EventId, Level, OfferId, SeatId, Seq, TenantId, Timestamp,
};

/// One queue, one class, no wrap-up: enough for most stories.
pub const PLAIN: &str = "name = \"plain\"\ndefault_queue = \"sales\"\ndefault_class = \"regular\"\nskills = [\"sales\", \"english\"]\n\
    idle_close_after = \"1h\"\npreferred_for = \"30s\"\n[[class]]\nname = \"regular\"\n[[queue]]\nname = \"sales\"\noffer_timeout = \"10s\"\n";

/// Customers read the transcript here.
pub const WEB: AccountId = AccountId(1);
/// Messages leave by a provider here.
pub const PUSH: AccountId = AccountId(2);

/// A tenant, its log, and what the last input gave.
pub struct Floor {
    pub tenant: Tenant,
    pub log: Vec<Vec<u8>>,
    pub outputs: Vec<Output>,
    at: u64,
    ids: u128,
}

impl Floor {
    /// A floor under this policy; seats have one unit each and no skills, and are signed in and ready.
    pub fn new(text: &str, seats: u64) -> Self {
        Self::with(text, seats, Limits { conversations: 64, ..Limits::SMALL })
    }

    pub fn with(text: &str, seats: u64, limits: Limits) -> Self {
        let tenant = Tenant::new(TenantId(1), limits, guard());
        let mut floor = Self { tenant, log: Vec::new(), outputs: Vec::new(), at: 1_000, ids: 0 };
        for (account, delivery) in [(WEB, Delivery::View), (PUSH, Delivery::Push)] {
            let profile = payload::account(&AccountProfile { name: "inbox".into(), delivery, weight: 1, queue: String::new() });
            floor.send(&Input::Admin(Admin::Account { account, profile: &profile }));
        }
        floor.policy(text, 1);
        for seat in 1..=seats {
            floor.agent(seat, &[], 1);
            floor.seat(seat, SeatAct::SignIn);
            floor.seat(seat, SeatAct::Ready);
        }
        floor
    }

    /// Log time.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.at)
    }

    /// An input now; its answer.
    pub fn send(&mut self, input: &Input<'_>) -> Outcome {
        let mut entry = Vec::new();
        codec::encode(&mut entry, TenantId(1), input);
        self.again(entry)
    }

    /// These bytes (of an earlier input, for a repeat) now; the answer.
    pub fn again(&mut self, mut entry: Vec<u8>) -> Outcome {
        let seq = Seq(self.log.len() as u64 + 1);
        codec::stamp(&mut entry, seq, self.now());
        self.outputs.clear();
        apply(&mut self.tenant, &entry, |output| self.outputs.push(output.clone()));
        self.log.push(entry);
        assert_eq!(self.tenant.check(), Ok(()), "after entry {seq:?}");
        let answer = self.outputs.iter().find_map(|o| match o {
            Output::Reply { seq: to, outcome } if *to == seq => Some(*outcome),
            _ => None,
        });
        answer.unwrap_or(Outcome::Refused(Refusal::Malformed))
    }

    /// Lets this many milliseconds pass; what was due has fired.
    pub fn pass(&mut self, ms: u64) {
        self.at += ms;
        self.send(&Input::Tick);
    }

    /// Log time goes on without an entry, as while nobody leads.
    pub fn jump(&mut self, ms: u64) {
        self.at += ms;
    }

    pub fn policy(&mut self, text: &str, mark: u8) -> Outcome {
        let plan = policy::encode(&policy::parse("story.toml", text).expect("the story's policy"));
        self.send(&Input::Admin(Admin::Policy { hash: [mark; 32], plan: &plan }))
    }

    pub fn agent(&mut self, seat: u64, skills: &[(&str, u8)], units: u16) -> Outcome {
        let skills = skills.iter().map(|(skill, level)| Requirement { skill: (*skill).into(), level: Level(*level) }).collect();
        let profile = payload::agent(&AgentProfile { name: format!("agent {seat}"), skills, units, cost_ms: 0 });
        self.send(&Input::Admin(Admin::Agent { seat: SeatId(seat), profile: &profile }))
    }

    pub fn seat(&mut self, seat: u64, act: SeatAct<'_>) -> Outcome {
        self.ids += 1;
        self.send(&Input::Seat(SeatInput { seat: SeatId(seat), command: CommandId(self.ids), act }))
    }

    pub fn customer(&mut self, account: AccountId, conversation: u128, act: InboundAct<'_>) -> Outcome {
        self.ids += 1;
        let (event, conversation) = (EventId(self.ids), ConversationId(conversation));
        self.send(&Input::Inbound(Inbound { account, conversation, event, customer: CustomerId::NONE, known_n: 0, act }))
    }

    /// A contact begins in a queue a millisecond after what was before; its number.
    pub fn begin(&mut self, conversation: u128) -> ContactId {
        self.begin_with(conversation, ContactRequest::default())
    }

    pub fn begin_with(&mut self, conversation: u128, request: ContactRequest) -> ContactId {
        self.at += 1;
        match self.customer(WEB, conversation, InboundAct::Begin { with: FirstOwner::Queue, request }) {
            Outcome::Done { contact, .. } => contact,
            other => panic!("conversation {conversation} did not begin: {other:?}"),
        }
    }

    pub fn leave(&mut self, conversation: u128) -> Outcome {
        self.customer(WEB, conversation, InboundAct::Leave)
    }

    /// Accepts the offer that the seat has; its claim.
    pub fn accept(&mut self, seat: u64) -> ClaimId {
        let offer = self.offer_of(seat);
        assert!(matches!(self.seat(seat, SeatAct::Accept { offer }), Outcome::Done { .. }));
        offer.claim()
    }

    /// The one open offer of a seat.
    pub fn offer_of(&self, seat: u64) -> OfferId {
        let offers = self.open_offers(seat);
        assert_eq!(offers.len(), 1, "offers of seat {seat}: {offers:?}");
        offers[0].0
    }

    /// Open offers of a seat with their contacts.
    pub fn open_offers(&self, seat: u64) -> Vec<(OfferId, ContactId)> {
        let snapshot = self.tenant.seat_snapshot(SeatId(seat)).expect("a seat of the roster");
        snapshot.offers.iter().map(|o| (o.offer, o.contact)).collect()
    }

    /// What the last input decided.
    pub fn decisions(&self) -> Vec<DecisionRecord> {
        let decided = |o: &Output| if let Output::Decision(record) = o { Some(*record) } else { None };
        self.outputs.iter().filter_map(decided).collect()
    }

    /// Who was offered to whom by the last input.
    pub fn offered(&self) -> Vec<(ContactId, SeatId)> {
        self.decisions().iter().map(|d| (d.contact, d.seat)).collect()
    }

    /// Contacts that left by the last input.
    pub fn exits(&self) -> Vec<ContactRecord> {
        let left = |o: &Output| if let Output::Contact(record) = o { Some(*record) } else { None };
        self.outputs.iter().filter_map(left).collect()
    }

    /// What a seat's desk was told by the last input.
    pub fn told(&self, desk: u64) -> Vec<SeatNotice> {
        let told = |o: &Output| match o {
            Output::Seat { seat, notice } if *seat == SeatId(desk) => Some(*notice),
            _ => None,
        };
        self.outputs.iter().filter_map(told).collect()
    }

    pub fn rescinded(&self, desk: u64) -> Vec<Rescind> {
        let why = |n: SeatNotice| if let SeatNotice::Rescinded { why, .. } = n { Some(why) } else { None };
        self.told(desk).into_iter().filter_map(why).collect()
    }
}
