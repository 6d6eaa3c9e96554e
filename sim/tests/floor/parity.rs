//! The floor's fast mode decides as the whole tenant does: contact by contact, seat by seat, millisecond by millisecond.
//!
//! The floor plays a scenario and tells what happens. What people did (asked, hung up, ended, wrapped up, came, went) is fed to a
//! [`Tenant`] under the same policy text; whom the tenant then offers to whom is its own decision and must be the one that the
//! floor's [`tidegate_core::Distributor`] made. The policies have relaxation steps, an overdue tier, head starts, unequal slopes,
//! levels and seats of several units. A changed rule on one side must be seen: the last test breaks one.

use tidegate_core::guard::Guard;
use tidegate_core::{Tenant, payload};
use tidegate_model::input::{Admin, ContactRequest, FirstOwner, Inbound, InboundAct, Input, SeatAct, SeatInput};
use tidegate_model::limits::Limits;
use tidegate_model::output::{Output, SeatNotice};
use tidegate_model::policy::{AccountProfile, AgentProfile, Delivery, Policy, Requirement};
use tidegate_model::{
    AccountId, ClaimId, ClassName, CommandId, ConversationId, CustomerId, EventId, Level, OfferId, QueueName, ReasonName, SeatId,
    Seq, TenantId, Timestamp,
};
use tidegate_sim::floor::{Happened, Setup};
use tidegate_sim::scenario::parse;

const POLICY: &str = r#"
name = "parity"
selection = "best-skilled"
idle_slope = 0.001
level_weight = "5s"
idle_close_after = "20d"
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
offer_timeout = "10min"
wrap_up = "10h"
overdue_after = "2min"
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
offer_timeout = "10min"
wrap_up = "10h"
overdue_after = "90s"
gives_up_after = "5min"
  [[queue.step]]
  name = "strict"
  requires = { support = 3 }
  lasts = "20s"
  [[queue.step]]
  name = "anyone"
"#;

const SCENARIO: &str = r#"
name = "parity"
length = "3h"
at_end = "stop"
[[demand]]
name = "sales"
arrivals = { rate = "12/min" }
handle = { kind = "log-normal", mean = "100s", cv = 1.0 }
patience = { kind = "exponential", mean = "150s" }
wrap_up = { kind = "exponential", mean = "8s" }
[[demand]]
name = "gold"
queue = "sales"
class = "gold"
arrivals = { rate = "3/min" }
handle = { kind = "gamma", mean = "90s", cv = 0.5 }
patience = { kind = "weibull", scale = "120s", shape = 0.8 }
[[demand]]
name = "support"
needs = { english = 2 }
arrivals = { rate = "4/min" }
handle = { kind = "exponential", mean = "150s" }
[[group]]
name = "seniors"
skills = { sales = 8, support = 5, english = 4 }
cost = "3s"
staffing = { grid = "30min", by_interval = [9, 12, 7, 10, 4, 9] }
[[group]]
name = "juniors"
skills = { sales = 2 }
units = 2
staffing = { shift = [{ from = "0s", lasts = "2h", agents = 5, break = [{ after = "40min", lasts = "10min", stagger = "20min" }] }, { from = "1h", lasts = "2h", agents = 4 }] }
[[group]]
name = "helpers"
skills = { english = 3 }
staffing = { agents = 3 }
"#;

fn setup() -> (Setup, Policy) {
    let policy = tidegate_core::policy::parse("policy", POLICY).unwrap_or_else(|errors| panic!("{errors}"));
    let text = format!("policy = \"inside\"\n{SCENARIO}");
    let scenario = parse("parity.toml", &text).unwrap_or_else(|errors| panic!("{errors}"));
    let setup = Setup::with_policy(scenario, "parity.toml", &text, policy.clone()).unwrap_or_else(|error| panic!("{error}"));
    (setup, policy)
}

struct Twin {
    tenant: Tenant,
    seq: u64,
    command: u64,
    /// By contact of the floor: what the tenant decided, (agent, when, offer).
    met: std::collections::BTreeMap<u64, (u32, u64, OfferId)>,
    inner: std::collections::BTreeMap<u64, u64>,
}

impl Twin {
    fn new(setup: &Setup, policy: &Policy) -> Self {
        let tenant = Tenant::new(TenantId(1), Limits::SMALL, Guard::none());
        let mut twin = Self { tenant, seq: 0, command: 0, met: Default::default(), inner: Default::default() };
        let account = AccountProfile { name: "a".into(), delivery: Delivery::View, weight: 1, queue: String::new() };
        twin.put(0, Input::Admin(Admin::Account { account: AccountId(1), profile: &payload::account(&account) }));
        twin.put(0, Input::Admin(Admin::Policy { hash: [7; 32], plan: &tidegate_core::policy::encode(policy) }));
        let mut agent = 0;
        for group in &setup.scenario().group {
            let shifts: u32 = group.staffing.shift.iter().map(|shift| shift.agents).sum();
            let most = group.staffing.by_interval.iter().flatten().copied().max().unwrap_or(0);
            let skills = group.skills.iter().map(|(skill, level)| Requirement { skill: skill.clone(), level: Level(*level) });
            let profile = AgentProfile {
                name: group.name.clone(),
                skills: skills.collect(),
                units: group.units,
                cost_ms: group.cost.whole_ms() as i64,
            };
            for _ in 0..shifts + most + group.staffing.agents.unwrap_or(0) {
                agent += 1;
                twin.put(0, Input::Admin(Admin::Agent { seat: SeatId(agent), profile: &payload::agent(&profile) }));
            }
        }
        twin
    }

    fn put(&mut self, at: u64, input: Input<'_>) {
        self.seq += 1;
        self.tenant.handle(Timestamp(at), Seq(self.seq), input);
        let mut offers = Vec::new();
        loop {
            while let Some(output) = self.tenant.poll_output() {
                if let Output::Seat { seat, notice: SeatNotice::Offered { offer, conversation, .. } } = output {
                    offers.push((seat, offer, conversation));
                }
            }
            let Some((seat, offer, conversation)) = offers.first().copied() else { return };
            offers.remove(0);
            let known = self.met.insert(conversation.0 as u64, ((seat.0 - 1) as u32, at, offer));
            assert_eq!(known, None, "{conversation:?} was offered twice");
            self.seq += 1;
            self.command += 1;
            let accept = SeatInput { seat, command: CommandId::NONE, act: SeatAct::Accept { offer } };
            self.tenant.handle(Timestamp(at), Seq(self.seq), Input::Seat(accept));
        }
    }

    fn inbound(&mut self, at: u64, contact: u64, act: InboundAct<'_>) {
        let inbound = Inbound {
            account: AccountId(1),
            conversation: ConversationId(u128::from(contact)),
            event: EventId::NONE,
            customer: CustomerId::NONE,
            known_n: 0,
            act,
        };
        self.put(at, Input::Inbound(inbound));
    }

    fn seat(&mut self, at: u64, agent: u32, act: SeatAct<'_>) {
        self.put(at, Input::Seat(SeatInput { seat: SeatId(u64::from(agent) + 1), command: CommandId::NONE, act }));
    }

    fn claim(&self, contact: u64) -> Option<ClaimId> {
        self.met.get(&contact).map(|met| met.2.claim())
    }

    /// Deadlines up to a moment, each at its own.
    fn until(&mut self, at: u64) {
        while let Some(deadline) = self.tenant.next_deadline().filter(|deadline| deadline.0 <= at) {
            self.put(deadline.0, Input::Tick);
        }
    }
}

/// Differences between the floor's decisions and the tenant's, and how many decisions there were.
fn compare(setup: &Setup, policy: &Policy) -> (usize, usize) {
    let mut happened = Vec::new();
    setup.replicate_observed(5, 0, &mut setup.tallies(), &mut |h| happened.push(h));
    let mut twin = Twin::new(setup, policy);
    let (mut differences, mut decisions) = (0, 0);
    for h in happened {
        match h {
            Happened::Asks { at_ms, contact, demand } => {
                twin.until(at_ms);
                let demand = &setup.scenario().demand[demand as usize];
                let mut request = ContactRequest {
                    queue: QueueName::of(demand.queue_name()),
                    class: demand.class.as_deref().map_or(ClassName::NONE, ClassName::of),
                    ..ContactRequest::default()
                };
                for (place, (skill, level)) in request.skills.iter_mut().zip(&demand.needs) {
                    *place = (tidegate_model::SkillName::of(skill), Level(*level));
                }
                twin.inner.insert(contact, at_ms);
                twin.inbound(at_ms, contact, InboundAct::Begin { with: FirstOwner::Queue, request });
            }
            Happened::Meets { at_ms, contact, agent } => {
                twin.until(at_ms);
                decisions += 1;
                let same = twin.met.get(&contact).is_some_and(|met| (met.0, met.1) == (agent, at_ms));
                differences += usize::from(!same);
            }
            Happened::HangsUp { at_ms, contact } => {
                twin.until(at_ms);
                twin.inbound(at_ms, contact, InboundAct::Leave);
            }
            Happened::Ends { at_ms, contact, agent } => {
                twin.until(at_ms);
                if let Some(claim) = twin.claim(contact) {
                    twin.seat(at_ms, agent, SeatAct::End { claim });
                }
            }
            Happened::Releases { at_ms, contact, agent } => {
                twin.until(at_ms);
                if let Some(claim) = twin.claim(contact) {
                    twin.seat(at_ms, agent, SeatAct::WrapUp { claim, code: ReasonName::NONE });
                }
            }
            Happened::Opens { at_ms, agent } => {
                twin.until(at_ms);
                twin.seat(at_ms, agent, SeatAct::SignIn);
                twin.seat(at_ms, agent, SeatAct::Ready);
            }
            Happened::Shuts { at_ms, agent } => {
                twin.until(at_ms);
                twin.seat(at_ms, agent, SeatAct::Pause { reason: ReasonName::NONE });
            }
            _ => {}
        }
    }
    differences += twin.met.len().abs_diff(decisions);
    (differences, decisions)
}

#[test]
fn every_decision_is_the_tenants() {
    let (setup, policy) = setup();
    let (differences, decisions) = compare(&setup, &policy);
    assert!(decisions > 2_000, "only {decisions} decisions were compared");
    assert_eq!(differences, 0, "of {decisions} decisions");
}

#[test]
fn another_rule_would_be_seen() {
    let (setup, policy) = setup();
    let mut other = policy;
    other.classes[1].head_start = tidegate_model::Millis(29_000);
    let (differences, decisions) = compare(&setup, &other);
    assert!(differences > 0, "a head start of 29 s instead of 30 s changed none of {decisions} decisions");
}
