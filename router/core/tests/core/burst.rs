//! A burst of timers due at once, or a policy swap over everybody waiting, costs one call no more than its fuel.
//!
//! Source: cell spike §1: one uncut cascade stalled a thin machine for 10 to 18 ms, all tenants with it. Work is counted in
//! outputs, which no load of the machine can move: what one call may emit bounds how long any other tenant waits for it.

use crate::support::{guard, nightly};
use tidegate_core::rig::OTHER_POLICY;
use tidegate_core::{Tenant, payload, policy};
use tidegate_model::input::{Admin, ContactRequest, FirstOwner, Inbound, InboundAct, Input};
use tidegate_model::limits::Limits;
use tidegate_model::policy::{AccountProfile, Delivery};
use tidegate_model::{AccountId, ConversationId, CustomerId, EventId, Millis, Seq, TenantId, Timestamp};

const POLICY: &str = "name = \"burst\"\ndefault_queue = \"sales\"\ndefault_class = \"regular\"\nskills = [\"sales\"]\n\
    [[class]]\nname = \"regular\"\n[[queue]]\nname = \"sales\"\ngives_up_after = \"5min\"\nlength_max = 1000000\n";

fn drain(tenant: &mut Tenant) -> usize {
    std::iter::from_fn(|| tenant.poll_output()).count()
}

/// `waiting` contacts that all give up at the same moment, and nobody to serve them.
fn crowd(waiting: u64, fuel: u32) -> Tenant {
    let limits = Limits { fuel, conversations: 1 << 18, tickets: 1 << 18, ..Limits::SMALL };
    let mut tenant = Tenant::new(TenantId(1), limits, guard());
    let account =
        payload::account(&AccountProfile { name: "web".into(), delivery: Delivery::View, weight: 1, queue: String::new() });
    tenant.handle(Timestamp(1), Seq(1), Input::Admin(Admin::Account { account: AccountId(1), profile: &account }));
    let plan = policy::encode(&policy::parse("burst.toml", POLICY).expect("a good policy"));
    tenant.handle(Timestamp(1), Seq(2), Input::Admin(Admin::Policy { hash: [1; 32], plan: &plan }));
    for n in 1..=waiting {
        let act = InboundAct::Begin { with: FirstOwner::Queue, request: ContactRequest::default() };
        let (account, event) = (AccountId(1), EventId(u128::from(n)));
        let conversation = ConversationId(u128::from(tidegate_model::name::mix(n)) << 64 | u128::from(n));
        let inbound = Inbound { account, conversation, event, customer: CustomerId(0), known_n: 0, act };
        tenant.handle(Timestamp(1_000), Seq(2 + n), Input::Inbound(inbound));
        drain(&mut tenant);
    }
    assert_eq!(tenant.ledger().waiting, waiting);
    tenant
}

#[test]
fn timers_due_at_once_are_worked_off_a_fuel_at_a_time() {
    let waiting = nightly(20_000, 100_000) as u64;
    for fuel in [64, 2_048] {
        let mut tenant = crowd(waiting, fuel);
        let due = Timestamp(1_000) + Millis::from_secs(300);
        let (mut calls, mut most) = (0_u64, 0);
        while tenant.ledger().waiting > 0 {
            assert!(tenant.next_deadline().is_some_and(|at| at <= due), "somebody waits and no deadline is due");
            tenant.handle(due, Seq(1 << 32), Input::Tick);
            most = most.max(drain(&mut tenant));
            calls += 1;
        }
        assert_eq!(tenant.ledger().exits[4], waiting, "everybody's time was up");
        assert!(most <= 2 * fuel as usize, "{most} outputs in one call of fuel {fuel}");
        assert!(calls >= waiting / u64::from(fuel), "{calls} calls: the burst was not cut");
        assert_eq!(tenant.check(), Ok(()));
    }
}

#[test]
fn a_swap_over_everybody_is_worked_off_a_fuel_at_a_time() {
    let waiting = nightly(20_000, 100_000) as u64;
    let fuel = 2_048;
    let mut tenant = crowd(waiting, fuel);
    let plan = policy::encode(&policy::parse("rig.toml", OTHER_POLICY).expect("the rig's policy"));
    tenant.handle(Timestamp(2_000), Seq(1 << 32), Input::Admin(Admin::Policy { hash: [2; 32], plan: &plan }));
    let mut calls = 1;
    let mut replied = drain(&mut tenant);
    while tenant.next_deadline().is_some_and(|at| at <= Timestamp(2_000)) {
        tenant.handle(Timestamp(2_000), Seq(1 << 32), Input::Tick);
        replied += drain(&mut tenant);
        calls += 1;
    }
    // Each waiting contact is looked at once and looks for a seat once: two units of work.
    assert!(calls >= 2 * waiting / u64::from(fuel), "{calls} calls: the swap was not cut");
    assert_eq!(tenant.policy_hash(), Some([2; 32]));
    assert_eq!(tenant.ledger().waiting, waiting, "nobody was lost");
    assert!(replied >= 2, "the swap was answered and announced");
    assert_eq!(tenant.check(), Ok(()));
}
