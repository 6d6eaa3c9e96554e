//! The calendar against an oracle: a `BTreeMap` keyed by (time, sequence).
//!
//! Random operations (schedule, cancel any handle ever given, pop, peek) are applied to both; every answer must agree. The case
//! count is raised by TIDEGATE_NIGHTLY=1; `TIDEGATE_SEED` replays one seed.

mod support;

use proptest::prelude::*;
use std::collections::BTreeMap;
use tidegate_model::Timestamp;
use tidegate_sim::kernel::{Calendar, Due, Handle};

#[derive(Clone, Debug)]
enum Operation {
    Schedule { after_ms: u64 },
    Cancel { handle: prop::sample::Index },
    CancelBurst { share_in_8: u64 },
    Pop,
    Peek,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        // Few distinct times, so that ties are common; some far away.
        6 => prop_oneof![4 => 0..8_u64, 1 => 0..1_000_000_u64].prop_map(|after_ms| Operation::Schedule { after_ms }),
        3 => any::<prop::sample::Index>().prop_map(|handle| Operation::Cancel { handle }),
        1 => (1..8_u64).prop_map(|share_in_8| Operation::CancelBurst { share_in_8 }),
        4 => Just(Operation::Pop),
        1 => Just(Operation::Peek),
    ]
}

/// Applies one list of operations; returns the events in the order they came.
fn check(operations: &[Operation]) -> Vec<(u64, u64)> {
    let mut calendar = Calendar::new(Timestamp(0));
    let mut oracle: BTreeMap<(u64, u64), ()> = BTreeMap::new();
    let mut handles: Vec<(Handle, u64, u64)> = Vec::new();
    let mut came = Vec::new();
    for operation in operations {
        match operation {
            Operation::Schedule { after_ms } => {
                let at = calendar.now().0 + after_ms;
                let sequence = handles.len() as u64;
                handles.push((calendar.schedule(Timestamp(at), sequence), at, sequence));
                oracle.insert((at, sequence), ());
            }
            Operation::Cancel { handle } => {
                if !handles.is_empty() {
                    let (handle, at, sequence) = handles[handle.index(handles.len())];
                    let expected = oracle.remove(&(at, sequence)).map(|()| sequence);
                    assert_eq!(calendar.cancel(handle), expected);
                }
            }
            Operation::CancelBurst { share_in_8 } => {
                for &(handle, at, sequence) in &handles {
                    if sequence % 8 < *share_in_8 {
                        let expected = oracle.remove(&(at, sequence)).map(|()| sequence);
                        assert_eq!(calendar.cancel(handle), expected);
                    }
                }
            }
            Operation::Pop => {
                let expected = oracle.pop_first().map(|((at, event), ())| Due { at: Timestamp(at), event });
                assert_eq!(calendar.pop(), expected);
                came.extend(expected.map(|due| (due.at.0, due.event)));
            }
            Operation::Peek => {
                assert_eq!(calendar.peek_time(), oracle.keys().next().map(|&(at, _)| Timestamp(at)));
            }
        }
        assert_eq!((calendar.len(), calendar.is_empty()), (oracle.len(), oracle.is_empty()));
    }
    while let Some(due) = calendar.pop() {
        assert_eq!(oracle.pop_first().map(|(key, ())| key), Some((due.at.0, due.event)));
        came.push((due.at.0, due.event));
    }
    assert!(oracle.is_empty(), "the calendar lost {} events", oracle.len());
    let counts = calendar.counts();
    assert_eq!(counts.scheduled, counts.fired + counts.cancelled);
    came
}

#[test]
fn pops_what_the_oracle_pops() {
    support::run(100, 2_000, &prop::collection::vec(operation(), 1..2_000), |operations| {
        check(&operations);
        Ok(())
    });
}

/// Enough cancelled keys to force rebuilds, with live events between them; two runs give the same bytes.
#[test]
fn order_survives_rebuilds() {
    let mut operations = Vec::new();
    for n in 0..30_000_u64 {
        operations.push(Operation::Schedule { after_ms: n * 7_919 % 5_003 });
        if n % 6_000 == 5_999 {
            operations.push(Operation::CancelBurst { share_in_8: 7 });
            operations.extend([Operation::Pop, Operation::Peek]);
        }
    }
    let first = check(&operations);
    assert!(first.len() > 3_000);
    assert_eq!(first, check(&operations));
}
