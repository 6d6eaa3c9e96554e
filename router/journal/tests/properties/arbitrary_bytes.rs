//! Arbitrary bytes: the decoder of frames and the opening of a journal never panic, and what they yield was there.
//!
//! Bytes are random, or a sound stream with random damage, which gets far deeper. The same door serves the fuzz target.

use proptest::collection::vec;
use proptest::prelude::*;
use tidegate_journal::frame::{Decoded, Seal, decode_stream, put_record};
use tidegate_journal::{Disk, DiskFile, FaultyDisk, Journal, OnDamage, Options, Position};

use crate::support::{Sent, read_all, small_options, write};

fn covered(met: &[Decoded]) -> usize {
    met.iter()
        .map(|one| match one {
            Decoded::Record { payload, .. } => 32 + payload.len().next_multiple_of(8),
            Decoded::Mark { .. } => 32,
            Decoded::Bad { bytes, .. } => *bytes as usize,
        })
        .sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::support::count(256, 20_000) as u32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_decode_to_nothing(bytes in vec(any::<u8>(), 0..2_000)) {
        let met = decode_stream(&bytes, 1, 1);
        prop_assert_eq!(covered(&met), bytes.len());
    }

    #[test]
    fn a_damaged_stream_yields_only_what_was_there(
        sizes in vec(0..300_usize, 1..20),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let seal = Seal::new(9, 4);
        let mut bytes = Vec::new();
        for (index, size) in sizes.iter().enumerate() {
            let offset = bytes.len() as u32;
            put_record(&mut bytes, seal, offset, 7, index as u64, &vec![index as u8; *size]);
        }
        for (at, with) in damage {
            let at = at.index(bytes.len());
            bytes[at] ^= with;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let met = decode_stream(&bytes, 9, 4);
        prop_assert_eq!(covered(&met), bytes.len());
        for one in met {
            if let Decoded::Record { group, index, payload, .. } = one {
                prop_assert_eq!(group, 7);
                prop_assert_eq!(payload, vec![index as u8; sizes[index as usize]]);
            }
        }
    }

    #[test]
    fn a_journal_of_arbitrary_files_opens_or_says_why(
        file in 0..3_usize,
        at in any::<prop::sample::Index>(),
        bytes in vec(any::<u8>(), 1..200),
    ) {
        let disk = FaultyDisk::new(1);
        let (journal, _) = Journal::open(disk.clone(), small_options(1)).expect("a new journal");
        let mut writer = journal.writer().expect("the writer");
        let sent: Vec<Sent> = (0..100).map(|ordinal| Sent::new(1, ordinal, 0, 200)).collect();
        write(&mut writer, &sent);
        drop((writer, journal));
        let names = disk.list().expect("names");
        let target = disk.open(&names[file % names.len()]).expect("a file");
        let length = target.len().expect("a length") as usize;
        target.write_at(&bytes, at.index(length) as u64).expect("a write");
        let options = Options { on_damage: OnDamage::Serve, ..small_options(1) };
        let (journal, recovery) = Journal::open(disk, options).expect("serving whatever is left");
        let (read, holes) = read_all(&journal, Position::START);
        prop_assert_eq!(read.len() as u64, recovery.records);
        for (_, record) in &read {
            prop_assert!(sent.contains(record));
        }
        prop_assert!(read.len() == 100 || !holes.is_empty() || !recovery.is_whole(), "silent loss");
    }
}
