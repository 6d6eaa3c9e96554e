//! The operation sequence of a whole tenant machine: customers, seats, effects, administration, time, snapshots.
//!
//! Properties, after every input: the invariants that can be read off the state hold (`Tenant::check`), the ledger balances,
//! outputs are bounded; a machine that is restored from snapshots on the way gives the same outputs as one that never was
//! (restore, continue, compare). Ids are drawn from small ranges and from what the machine has said, so that acts meet: two
//! customers' events with one id, an offer accepted twice, a claim that has ended. Time leaps and stands still.

use tidegate_core::{Guard, Tenant, payload, policy};
use tidegate_model::codec;
use tidegate_model::ids::{AccountId, ClaimId, CommandId, ConversationId, CustomerId, EffectId, EventId, OfferId, SeatId};
use tidegate_model::input::{
    Admin, ContactRequest, EffectOutcome, EffectResult, EffectResults, FirstOwner, Inbound, InboundAct, Input, SeatAct, SeatInput,
    TransferTo,
};
use tidegate_model::limits::Limits;
use tidegate_model::name::{ClassName, Level, QueueName, ReasonName, SkillName};
use tidegate_model::output::{Effect, Output, SeatNotice};
use tidegate_model::policy::{AccountProfile, AgentProfile, Delivery, Requirement};
use tidegate_model::{Millis, Seq, TenantId, Term, Timestamp};

use crate::bytes::Choices;

/// The policies that the machine swaps between; the second drops a queue and renames a step.
pub const POLICIES: [&str; 2] = [
    r#"
name = "shop"
default_queue = "sales"
default_class = "regular"
skills = ["sales", "english"]
[[class]]
name = "regular"
[[class]]
name = "vip"
head_start = "1min"
slope = 2
[[queue]]
name = "sales"
offer_timeout = "20s"
wrap_up = "10s"
overdue_after = "10min"
length_max = 6
  [[queue.step]]
  name = "strict"
  requires = { sales = 5 }
  lasts = "30s"
  [[queue.step]]
  name = "anyone"
[[queue]]
name = "support"
gives_up_after = "2min"
  [[queue.step]]
  name = "anyone"
"#,
    r#"
name = "shop"
selection = "best-skilled"
default_queue = "sales"
default_class = "regular"
skills = ["sales"]
[[class]]
name = "regular"
[[queue]]
name = "sales"
  [[queue.step]]
  name = "easy"
  requires = { sales = 2 }
  lasts = "5s"
  [[queue.step]]
  name = "anyone"
"#,
];

const STEPS_MAX: usize = 300;
const SEATS: u64 = 4;

/// A tenant under a sequence of inputs, beside one that is restored on the way.
///
/// # Panics
/// When an invariant breaks, or the restored machine says something else.
pub fn tenant_inputs(data: &[u8]) {
    reach(data);
}

/// How far a sequence came: what the machine said, counted. A target that never gets to an assignment proves nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reach {
    /// Offers made.
    pub offers: u32,
    /// Offers accepted.
    pub assigned: u32,
    /// Offers withdrawn.
    pub rescinded: u32,
    /// Claims released.
    pub released: u32,
    /// Contacts that left.
    pub exits: u32,
    /// Outbox rows opened.
    pub deliveries: u32,
    /// Policies activated.
    pub policies: u32,
    /// Restores of the second machine.
    pub restores: u32,
}

/// As [`tenant_inputs`], telling how far it came.
///
/// # Panics
/// As [`tenant_inputs`].
pub fn reach(bytes: &[u8]) -> Reach {
    let mut choices = Choices::new(bytes);
    let fuel = [1, 2, 8, 64, 2_048][choices.below(5)];
    let mut rig = Rig::new(fuel);
    let plans = POLICIES.map(|text| policy::encode(&policy::parse("policy.toml", text).expect("the policies are good")));
    rig.prologue(&plans[0]);
    for _ in 0..STEPS_MAX {
        if choices.is_done() {
            break;
        }
        rig.step(&mut choices, &plans);
    }
    // All time in the world: whatever was open ends, or stands for a reason that no clock ends.
    for _ in 0..50 {
        rig.now = rig.now + Millis(600_000);
        rig.both(Input::Tick);
    }
    rig.reach
}

struct Rig {
    straight: Tenant,
    restored: Tenant,
    now: Timestamp,
    seq: u64,
    offers: Vec<(SeatId, OfferId)>,
    claims: Vec<(SeatId, ClaimId)>,
    effects: Vec<EffectId>,
    reach: Reach,
}

impl Rig {
    fn new(fuel: u32) -> Self {
        let limits = Limits {
            conversations: 16,
            tickets: 8,
            seats: 8,
            lanes: 32,
            classes: 16,
            engagements: 8,
            effects: 16,
            customers: 8,
            dedup_events: 64,
            pending_inputs: 32,
            fuel,
        };
        let tenant = || Tenant::new(TenantId(1), limits, Guard::none());
        let (offers, claims, effects) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            straight: tenant(),
            restored: tenant(),
            now: Timestamp(1_000_000),
            seq: 0,
            offers,
            claims,
            effects,
            reach: Reach::default(),
        }
    }

    fn prologue(&mut self, plan: &[u8]) {
        self.both(Input::Admin(Admin::Policy { hash: [0; 32], plan }));
        for (account, delivery) in [(1, Delivery::View), (2, Delivery::Push)] {
            let profile = AccountProfile { name: format!("account {account}"), delivery, weight: account, queue: String::new() };
            self.both(Input::Admin(Admin::Account { account: AccountId(account.into()), profile: &payload::account(&profile) }));
        }
        for seat in 1..=SEATS {
            let skill = |name: &str, level: u64| Requirement { skill: name.into(), level: Level(level as u8) };
            let skills = vec![skill("sales", seat * 2), skill("english", 3)];
            let profile = AgentProfile { name: format!("seat {seat}"), skills, units: seat as u16, cost_ms: seat as i64 * 100 };
            let seat = SeatId(seat);
            self.both(Input::Admin(Admin::Agent { seat, profile: &payload::agent(&profile) }));
            for act in [SeatAct::SignIn, SeatAct::Ready] {
                let command = CommandId(u128::from(self.seq) + 1);
                self.both(Input::Seat(SeatInput { seat, command, act }));
            }
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>, plans: &[Vec<u8>; 2]) {
        let fresh = self.fresh(choices);
        let command = CommandId(fresh);
        let seat = SeatId(1 + u64::from(choices.byte()) % (SEATS + 1));
        match choices.byte() % 32 {
            0..=8 => {
                let request = request(choices);
                let act = match choices.byte() % 8 {
                    0..=2 => InboundAct::Begin { with: FirstOwner::Queue, request },
                    3 => InboundAct::Begin { with: FirstOwner::Bot, request },
                    4 => InboundAct::RequestAgent { request },
                    5 => InboundAct::Leave,
                    _ => InboundAct::Message { body: b"hello" },
                };
                let event = EventId(fresh);
                let (account, customer) = (1 + u32::from(choices.byte() % 17 / 8), u64::from(choices.byte() % 5));
                let conversation = ConversationId(1 + u128::from(choices.byte() % 20));
                let known_n = choices.byte().into();
                let (account, customer) = (AccountId(account), CustomerId(customer));
                self.both(Input::Inbound(Inbound { account, conversation, event, customer, known_n, act }));
            }
            9..=10 => {
                let act = match choices.byte() % 12 {
                    0..=4 => SeatAct::Ready,
                    5 | 6 => SeatAct::SignIn,
                    7 => SeatAct::SignOut,
                    8 => SeatAct::LinkDown,
                    9 => SeatAct::LinkUp,
                    10 => SeatAct::LeaseEnd,
                    _ => SeatAct::Pause { reason: ReasonName::of("tea") },
                };
                self.both(Input::Seat(SeatInput { seat, command, act }));
            }
            11..=17 => {
                let wild = (seat, OfferId(choices.byte().into()));
                let (seat, offer) = chosen(&self.offers, choices).unwrap_or(wild);
                let decline = choices.byte().is_multiple_of(4);
                let act =
                    if decline { SeatAct::Decline { offer, reason: ReasonName::of("no") } } else { SeatAct::Accept { offer } };
                self.both(Input::Seat(SeatInput { seat, command, act }));
            }
            18..=23 => {
                let wild = (seat, ClaimId(choices.byte().into()));
                let (seat, claim) = chosen(&self.claims, choices).unwrap_or(wild);
                let act = match choices.byte() % 6 {
                    0 => SeatAct::Send { claim, body: b"good day" },
                    1 | 2 => SeatAct::End { claim },
                    3 => SeatAct::WrapUp { claim, code: ReasonName::of("done") },
                    4 => SeatAct::Transfer { claim, to: TransferTo::Queue(queue(choices)) },
                    _ => SeatAct::Transfer { claim, to: TransferTo::Seat(SeatId(choices.byte().into())) },
                };
                self.both(Input::Seat(SeatInput { seat, command, act }));
            }
            24 => {
                let effect = chosen(&self.effects, choices).unwrap_or(EffectId(choices.byte().into()));
                let result = [EffectResult::Sent, EffectResult::Failed, EffectResult::InDoubt][choices.below(3)];
                let packed = codec::pack_effect_results(&[EffectOutcome { effect, result }]);
                self.both(Input::Effects(EffectResults { packed: &packed }));
            }
            25 => self.both(Input::Admin(Admin::Policy { hash: [1; 32], plan: &plans[choices.below(2)] })),
            26 => {
                self.both(Input::LeaderStarted { term: Term(self.seq), gap: Millis(choices.below(5_000) as u64) });
                self.both(Input::Hash);
            }
            // Whatever bytes an entry may hold, as a replica reads them from its log.
            27 => {
                if let Ok(entry) = codec::decode(choices.take(200)) {
                    self.both(entry.input);
                }
            }
            28 => {
                let mut snapshot = Vec::new();
                self.restored.snapshot(&mut snapshot);
                self.restored = Tenant::restore(&snapshot, Guard::none()).expect("a machine's own snapshot is read");
                self.reach.restores += 1;
                assert_eq!(self.straight.full_digest(), self.restored.full_digest(), "the digest at restore");
            }
            29 if choices.byte().is_multiple_of(4) => {
                self.now = self.straight.next_deadline().map_or(self.now, |at| at.max(self.now));
                self.both(Input::Tick);
            }
            _ => {
                let leap_max = if choices.byte().is_multiple_of(8) { 60_000 } else { 2_000 };
                self.now = self.now + Millis(choices.below(leap_max) as u64);
                self.both(Input::Tick);
            }
        }
    }

    /// An id of an event or command: mostly a new one, now and then one that was used before.
    fn fresh(&self, choices: &mut Choices<'_>) -> u128 {
        let seq = u128::from(self.seq);
        if choices.byte().is_multiple_of(10) { seq - choices.below(8) as u128 } else { seq + 1 }
    }

    /// Gives one input to both machines and compares all that they say.
    fn both(&mut self, input: Input<'_>) {
        self.seq += 1;
        self.straight.handle(self.now, Seq(self.seq), input);
        self.restored.handle(self.now, Seq(self.seq), input);
        let mut count = 0;
        loop {
            let (said, repeated) = (self.straight.poll_output(), self.restored.poll_output());
            assert_eq!(said, repeated, "after a restore the machine says something else (entry {})", self.seq);
            let Some(output) = said else { break };
            self.note(&output);
            count += 1;
            assert!(count < 10_000, "one input gives outputs without end");
        }
        assert_eq!(self.straight.next_deadline(), self.restored.next_deadline(), "the next deadline (entry {})", self.seq);
        assert_eq!(self.straight.check(), Ok(()), "entry {}", self.seq);
        let ledger = self.straight.ledger();
        assert!(ledger.balanced(), "the ledger at entry {}: {ledger:?}", self.seq);
    }

    fn note(&mut self, output: &Output) {
        let reach = &mut self.reach;
        match output {
            Output::Seat { seat, notice } => match notice {
                SeatNotice::Offered { offer, .. } => {
                    self.offers.push((*seat, *offer));
                    reach.offers += 1;
                }
                SeatNotice::Assigned { claim, .. } => {
                    self.claims.push((*seat, *claim));
                    reach.assigned += 1;
                }
                SeatNotice::Rescinded { .. } => reach.rescinded += 1,
                SeatNotice::Released { .. } => reach.released += 1,
                _ => {}
            },
            Output::EffectOpened { id, effect, .. } => {
                self.effects.push(*id);
                reach.deliveries += u32::from(matches!(effect, Effect::Deliver { .. }));
            }
            Output::Contact(_) => reach.exits += 1,
            Output::PolicyActive { .. } => reach.policies += 1,
            _ => {}
        }
    }
}

/// The newest, often; else one of the last eight, old ones included: acts that come too late are acts, too.
fn chosen<T: Copy>(said: &[T], choices: &mut Choices<'_>) -> Option<T> {
    let back = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 5, 7, usize::MAX][choices.below(15)];
    said.iter().rev().nth(back).copied()
}

fn queue(choices: &mut Choices<'_>) -> QueueName {
    let queues = [QueueName(0), QueueName::of("sales"), QueueName::of("support"), QueueName::of("nowhere")];
    queues[choices.below(10) / 3]
}

fn request(choices: &mut Choices<'_>) -> ContactRequest {
    let classes = [ClassName(0), ClassName::of("regular"), ClassName::of("vip"), ClassName::of("nobody")];
    let class = classes[choices.below(10) / 3];
    let mut request = ContactRequest { queue: queue(choices), class, ..ContactRequest::default() };
    request.preferred = SeatId(u64::from(choices.byte() % 8));
    if choices.byte().is_multiple_of(4) {
        request.skills[0] = (SkillName::of("english"), Level(choices.byte() % 11));
    }
    request
}
