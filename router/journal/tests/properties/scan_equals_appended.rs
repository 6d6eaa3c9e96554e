//! What a scan gives is what was appended: all of it, in order, whatever the sizes, batches, rolls and reopenings.
//!
//! The reference is a plain vector. Payloads go from nothing to the limit; positions read back one by one as well.

use proptest::collection::vec;
use proptest::prelude::*;
use tidegate_journal::{FaultyDisk, Journal, Options, Position, ReadError, Record, Scanned};

use crate::support::small_options;

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<(u32, u64, Vec<u8>)>),
    Sync,
    Reopen,
}

fn record() -> impl Strategy<Value = (u32, u64, Vec<u8>)> {
    let sizes = prop_oneof![6 => 0..200_usize, 1 => 3_900..=4_096_usize, 1 => Just(0_usize)];
    (any::<u32>(), any::<u64>(), sizes, any::<u8>()).prop_map(|(group, index, bytes, fill)| (group, index, vec![fill; bytes]))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => vec(record(), 0..12).prop_map(Step::Append),
        3 => Just(Step::Sync),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::support::count(64, 2_000) as u32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn scan_equals_appended(steps in vec(step(), 1..25)) {
        let disk = FaultyDisk::new(1);
        disk.short_writes(true);
        let options = Options { salt: 3, ..small_options(3) };
        let (mut journal, _) = Journal::open(disk.clone(), options.clone()).expect("a new journal");
        let mut writer = journal.writer().expect("the writer");
        let mut expected = Vec::new();
        let mut synced = 0;
        for step in steps {
            match step {
                Step::Append(batch) => {
                    let records: Vec<Record<'_>> = batch
                        .iter()
                        .map(|(group, index, payload)| Record { group: *group, index: *index, payload })
                        .collect();
                    let mut positions = Vec::new();
                    writer.append(&records, &mut positions).expect("an append");
                    prop_assert_eq!(positions.len(), batch.len());
                    expected.extend(positions.into_iter().zip(batch));
                }
                Step::Sync => {
                    let durable = writer.sync().expect("a sync");
                    prop_assert_eq!(durable.records as usize, expected.len() - synced);
                    prop_assert!(expected.iter().all(|(position, _)| *position < durable.position));
                    synced = expected.len();
                }
                Step::Reopen => {
                    writer.close().expect("a clean end");
                    drop(journal);
                    synced = expected.len();
                    let (again, recovery) = Journal::open(disk.clone(), options.clone()).expect("the journal again");
                    prop_assert!(recovery.is_whole() && recovery.torn.is_none());
                    prop_assert_eq!(recovery.records as usize, synced);
                    journal = again;
                    writer = journal.writer().expect("the writer");
                }
            }
        }
        writer.sync().expect("a sync");
        let mut scanned = Vec::new();
        let mut next = Position::START;
        for entry in journal.scan(Position::START) {
            let Scanned::Entry(entry) = entry.expect("a scan") else { panic!("a hole") };
            prop_assert!(entry.position >= next);
            next = entry.next;
            scanned.push((entry.position, (entry.group, entry.index, entry.payload)));
        }
        prop_assert_eq!(&scanned, &expected);
        let reader = journal.reader();
        for (position, (group, index, payload)) in &expected {
            let entry = reader.read_at(*position).expect("a look-up");
            prop_assert_eq!((entry.group, entry.index, &entry.payload), (*group, *index, payload));
        }
        // From any position on, a scan gives the rest.
        if let Some((middle, _)) = expected.get(expected.len() / 2) {
            let rest = journal.scan(*middle).filter(|item| matches!(item, Ok(Scanned::Entry(_)))).count();
            prop_assert_eq!(rest, expected.len() - expected.len() / 2);
        }
        let behind = journal.durable();
        let refused = matches!(reader.read_at(behind), Err(ReadError::NotDurable { .. }));
        prop_assert!(refused);
    }
}
