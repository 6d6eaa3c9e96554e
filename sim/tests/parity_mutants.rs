//! What parity must catch: decisions that read a clock, a map's order, node configuration, or a value that is not in the log.
//!
//! Each mutant is modelled where it would enter the machine, at its boundary, so that the deciding code need not be broken to
//! see the check fail: the driver hands in what a faulty machine would have fetched itself. The unmutated driver passes first;
//! then each mutant must show in the decisions as well as in the digest of all outputs.

mod parity_kit;

use parity_kit::{LIMITS, Live, Machines, live, nightly};
use std::sync::OnceLock;
use tidegate_model::codec::{self, Entry};
use tidegate_model::input::{ContactRequest, Inbound, InboundAct, Input};
use tidegate_model::limits::Limits;
use tidegate_model::{ClassName, Millis, Seq, TenantId, Timestamp};
use tidegate_sim::twin::{EntryLog, Keep, Parity, Replay, parity};

/// The tenant that mutants are planted in.
const PLANTED: TenantId = TenantId(3);

fn lived() -> &'static Live {
    static LIVED: OnceLock<Live> = OnceLock::new();
    LIVED.get_or_init(|| live(nightly(20_000, 200_000)))
}

/// Replays through bare machines, in the order and at the times that `plan` gives.
fn drive<'a>(plan: impl Iterator<Item = (Timestamp, &'a [u8])>, configured: Option<Limits>) -> Machines {
    let mut machines = Machines::default();
    for (at, entry) in plan {
        machines.handle(at, entry, configured, |_| {});
    }
    machines
}

fn stamp(entry: &[u8]) -> Timestamp {
    codec::decode(entry).expect("own entry").at
}

/// How the planted tenant's decisions compare, and whether all its outputs are equal.
fn compare(mutant: &Machines) -> (Parity, bool) {
    let (live, found) = (&lived().seen[&PLANTED], &mutant.seen()[&PLANTED]);
    (parity(&live.decisions, &found.decisions), live.digests.outputs == found.digests.outputs)
}

fn assert_caught(what: &str, mutant: &Machines) {
    let (found, outputs_equal) = compare(mutant);
    assert!(!found.holds() && !outputs_equal, "{what} was not caught: {found:?}");
    println!("{what}: {} of {} decisions differ, first at {:?}", found.mismatches, found.decisions, found.first_mismatch);
}

/// An entry in the middle of the log that made a decision by itself (at its own stamp: what a timer decides carries the
/// deadline's time), and that `wanted` likes.
fn deciding(wanted: impl Fn(&Entry<'_>) -> bool) -> Seq {
    let decisions = &lived().decisions[&PLANTED];
    let entry_of = |seq: Seq| codec::decode(lived().log.get(seq.0 as usize - 1).expect("in the log")).expect("own entry");
    let own = decisions.iter().skip(decisions.len() / 3).filter(|decision| {
        let entry = entry_of(decision.seq);
        (entry.tenant, entry.at) == (PLANTED, decision.at) && wanted(&entry)
    });
    own.map(|decision| decision.seq).next().expect("some entry does")
}

/// What a mutant is measured against: the same driver without it is at parity.
#[test]
fn the_unmutated_driver_is_at_parity() {
    let machines = drive(lived().log.iter().map(|entry| (stamp(entry), entry)), None);
    assert_eq!(machines.seen(), lived().seen);
}

#[expect(clippy::disallowed_methods, reason = "the mutant: a decision that reads a clock")]
fn wall_clock() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64)
}

#[test]
fn a_decision_that_reads_a_clock_is_caught() {
    let always = drive(lived().log.iter().map(|entry| (Timestamp(wall_clock() / 1_000_000), entry)), None);
    assert_caught("a clock instead of the stamp", &always);
    let jitter = drive(lived().log.iter().map(|entry| (stamp(entry) + Millis(1 + wall_clock() % 50), entry)), None);
    assert_caught("a clock beside the stamp", &jitter);
    let once = deciding(|_| true);
    let at = |entry: &[u8]| {
        let late = codec::decode(entry).expect("own entry").seq == once;
        stamp(entry) + Millis(if late { 1 + wall_clock() % 50 } else { 0 })
    };
    assert_caught("a clock, in one decision", &drive(lived().log.iter().map(|entry| (at(entry), entry)), None));
}

#[expect(clippy::disallowed_types, reason = "the mutant: a decision that follows a map's order")]
fn in_random_order(mut places: Vec<usize>) -> Vec<usize> {
    let map: std::collections::HashMap<usize, ()> = places.drain(..).map(|place| (place, ())).collect();
    map.into_keys().collect()
}

#[test]
fn a_map_s_order_is_caught() {
    let log = &lived().log;
    let all: Vec<usize> = (0..log.len()).collect();
    // Sixteen inputs due at once, worked off as a map with a random hasher lists them; the entries that make tenants stay.
    let (first, rest) = all.split_at(200);
    let order = first.iter().copied().chain(rest.chunks(16).flat_map(|due| in_random_order(due.to_vec())));
    let entries = order.filter_map(|place| log.get(place));
    assert_caught("a map's order", &drive(entries.map(|entry| (stamp(entry), entry)), None));
}

#[test]
fn node_configuration_is_caught() {
    let entries = || lived().log.iter().map(|entry| (stamp(entry), entry));
    let forgetful = Limits { dedup_events: 16, ..LIMITS };
    assert_caught("a de-duplication window from a node's configuration", &drive(entries(), Some(forgetful)));
    let narrow = Limits { tickets: 4, ..LIMITS };
    assert_caught("a limit of tickets from a node's configuration", &drive(entries(), Some(narrow)));
}

/// Fuel is the one limit that may differ between nodes without a difference in what is put out.
#[test]
fn fuel_from_a_node_s_configuration_is_no_mutant() {
    let plenty = Limits { fuel: LIMITS.fuel * 64, ..LIMITS };
    let machines = drive(lived().log.iter().map(|entry| (stamp(entry), entry)), Some(plenty));
    assert_eq!(compare(&machines).0.mismatches, 0);
    assert!(compare(&machines).1);
}

/// An input that the node handled and did not log.
#[test]
fn an_unlogged_input_is_caught() {
    let dropped = deciding(|_| true);
    let kept = lived().log.iter().filter(|entry| codec::decode(entry).expect("own entry").seq != dropped);
    assert_caught("an input missing from the log", &drive(kept.clone().map(|entry| (stamp(entry), entry)), None));
    // The twin's own replay sees it too: it takes gaps in a tenant's part of a log as they come, and the digests tell.
    let report = Replay::run(Keep::DecisionDigests, kept);
    assert!(!parity(&lived().seen[&PLANTED].decisions, &report.tenants[&PLANTED].decision_digests).holds());
}

/// A value that the node decided by and the log does not hold: one customer's class.
#[test]
fn an_unlogged_value_is_caught() {
    let gold = ClassName::of("gold");
    let changed = deciding(|entry| matches!(entry.input, Input::Inbound(Inbound { act: InboundAct::Begin { .. }, .. })));
    let log: EntryLog = lived().log.clone();
    let mut mutated = EntryLog::new();
    for bytes in log.iter() {
        let entry = codec::decode(bytes).expect("own entry");
        match entry.input {
            Input::Inbound(Inbound { act: InboundAct::Begin { with, request }, .. }) if entry.seq == changed => {
                let class = if request.class == gold { ClassName::NONE } else { gold };
                let Input::Inbound(mut inbound) = entry.input else { continue };
                inbound.act = InboundAct::Begin { with, request: ContactRequest { class, ..request } };
                let mut other = Vec::new();
                codec::encode(&mut other, entry.tenant, &Input::Inbound(inbound));
                codec::stamp(&mut other, entry.seq, entry.at);
                mutated.push(&other);
            }
            _ => mutated.push(bytes),
        }
    }
    assert_ne!(mutated, log);
    assert_caught("a customer's class that is not in the log", &drive(mutated.iter().map(|entry| (stamp(entry), entry)), None));
}

/// Tenants share nothing: a mutant in one leaves the others at parity.
#[test]
fn a_mutant_in_one_tenant_leaves_the_others() {
    let dropped = deciding(|_| true);
    let kept = lived().log.iter().filter(|entry| codec::decode(entry).expect("own entry").seq != dropped);
    let seen = drive(kept.map(|entry| (stamp(entry), entry)), None).seen();
    for (id, lived) in lived().seen.iter().filter(|(id, _)| **id != PLANTED) {
        assert_eq!(&seen[id], lived, "tenant {id}");
    }
    assert_ne!(seen[&PLANTED], lived().seen[&PLANTED]);
}
