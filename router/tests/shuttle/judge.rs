//! The judge: replays the log in fresh machines and compares with what anybody was told.
//!
//! The log is read back from the disk, by the journal's own reader. It refuses to know threads.

use crate::people::TENANTS;
use crate::world::{World, id_of};
use std::collections::BTreeMap;
use tidegate_journal::{FaultyDisk, Journal, OnDamage, Options, Position, ScanStep};
use tidegate_model::output::{Outcome, Output, Rescind, SeatNotice};
use tidegate_model::port::PortError;
use tidegate_model::record::Exit;
use tidegate_router::cell::Machines;
use tidegate_router::primitive::atomic::Ordering;

/// What somebody was told about what he submitted.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    Answered(Outcome),
    /// Taken; nobody waits for the answer.
    Taken,
    NotTaken(PortError),
}

/// What a day had in it, so that a model in which nothing happens is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Seen {
    Served,
    LeftWaiting,
    LeftInOffer,
    Declined,
    Expired,
    NewTerm,
    TakenAtTheDrain,
    RefusedAtTheDrain,
    LateAnswer,
}

pub const ALL_SEEN: [Seen; 9] = [
    Seen::Served,
    Seen::LeftWaiting,
    Seen::LeftInOffer,
    Seen::Declined,
    Seen::Expired,
    Seen::NewTerm,
    Seen::TakenAtTheDrain,
    Seen::RefusedAtTheDrain,
    Seen::LateAnswer,
];

fn seen_in(output: &Output) -> Option<Seen> {
    match output {
        Output::Contact(record) if record.exit == Exit::Served => Some(Seen::Served),
        Output::Contact(record) if record.exit == Exit::AbandonedWaiting => Some(Seen::LeftWaiting),
        Output::Seat { notice: SeatNotice::Rescinded { why, .. }, .. } => match why {
            Rescind::Declined => Some(Seen::Declined),
            Rescind::Expired => Some(Seen::Expired),
            _ => Some(Seen::LeftInOffer),
        },
        _ => None,
    }
}

pub fn replies_to(output: &Output, place: u64) -> bool {
    matches!(output, Output::Reply { seq, .. } if seq.0 == place)
}

fn log_of(disk: &FaultyDisk) -> Vec<Vec<u8>> {
    let options = Options { on_damage: OnDamage::ReadOnly, ..Options::default() };
    let (journal, recovery) = Journal::open(disk.clone(), options).expect("the journal opens");
    assert!(recovery.is_whole(), "{recovery}");
    let mut scan = journal.scan(Position::START);
    let mut entries = Vec::new();
    while let Some(step) = scan.step().expect("the log can be read") {
        match step {
            ScanStep::Entry(entry) => entries.push(entry.payload.to_vec()),
            ScanStep::Hole(hole) => panic!("{hole}"),
        }
    }
    entries
}

/// Panics with whatever is not as the log says.
pub fn judge(
    disk: &FaultyDisk,
    world: &World,
    told: Vec<(u128, Told)>,
    settled: [(u64, u64); 2],
    decisions: &[Vec<u64>; 2],
    mut see: impl FnMut(Seen),
) {
    let log = log_of(disk);
    assert!(*world.durable.lock().unwrap() == log, "what was called durable is not what the disk has");
    let mut machines = Machines::new();
    let (mut places, mut answers, mut outputs) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    let mut decided = [Vec::new(), Vec::new()];
    for (i, entry) in log.iter().enumerate() {
        let mut fresh = Vec::new();
        let replayed = machines.replay(entry, &mut fresh).expect("the log replays");
        assert_eq!(replayed.seq.0, i as u64 + 1, "the log has a gap");
        if let Some(id) = id_of(entry) {
            assert_eq!(places.insert(id, replayed.seq.0), None, "{id:#x} is in the log twice");
        }
        let which = usize::from(replayed.tenant == TENANTS[1]);
        for output in &fresh {
            match output {
                Output::Reply { seq, outcome } => {
                    if *seq != replayed.seq {
                        see(Seen::LateAnswer);
                    }
                    assert_eq!(answers.insert(seq.0, *outcome), None, "entry {} is answered twice", seq.0);
                }
                Output::Decision(record) => decided[which].push(record.digest()),
                _ => {}
            }
            seen_in(output).into_iter().for_each(&mut see);
        }
        outputs.extend(fresh.into_iter().map(|output| (replayed.tenant, output)));
        for (tenant, (digest, at)) in TENANTS.iter().zip(settled) {
            if at == i as u64 + 1 {
                let replayed = machines.get(*tenant).expect("created by its first entry").full_digest();
                assert_eq!(replayed, digest, "the cell's state at entry {at} is not the replay's");
            }
        }
    }
    for (id, told) in told {
        let place = places.get(&id);
        match told {
            Told::Answered(outcome) => {
                let place = place.unwrap_or_else(|| panic!("{id:#x} was answered and is not in the log"));
                assert_eq!(answers.get(place), Some(&outcome), "{id:#x} was told something else than the log says");
            }
            Told::Taken => {
                let place = place.unwrap_or_else(|| panic!("{id:#x} was taken and is not in the log"));
                if settled.iter().all(|(_, at)| place > at) {
                    see(Seen::TakenAtTheDrain);
                }
            }
            Told::NotTaken(error) => {
                assert!(place.is_none(), "{id:#x} was not taken ({error:?}) and is in the log");
                if error == PortError::Closed {
                    see(Seen::RefusedAtTheDrain);
                }
            }
        }
    }
    assert_eq!(decided, *decisions, "the cell decided something else than the replay");
    let sunk = world.sunk.lock().unwrap();
    if world.raising.load(Ordering::SeqCst) {
        see(Seen::NewTerm);
        assert!(
            sunk.len() <= outputs.len() && sunk[..] == outputs[..sunk.len()],
            "the sink was given something else, or out of order"
        );
    } else {
        assert!(*sunk == outputs, "the sink was given something else, or out of order: {} of {}", sunk.len(), outputs.len());
    }
    for (id, tenant) in machines.iter() {
        assert_eq!(tenant.check(), Ok(()), "tenant {id}");
    }
}
