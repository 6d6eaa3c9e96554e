//! A failing sync: permanent. Nothing more is acknowledged, whatever the disk says afterwards; reading goes on; a reopened
//! log holds everything that was acknowledged before (the fsync lesson: a later sync that succeeds proves nothing).

use tidegate_journal::{AppendError, FaultyDisk, Journal, Position, PurgeError, SyncError};

use crate::support::{Sent, read_all, small_options, write};

#[test]
fn nothing_is_acknowledged_after_a_failed_sync() {
    for seed in 0..50 {
        let disk = FaultyDisk::new(seed);
        let (journal, _) = Journal::open(disk.clone(), small_options(seed)).expect("a new journal");
        let mut writer = journal.writer().expect("the writer");
        let sent: Vec<Sent> = (0..30).map(|ordinal| Sent::new(seed, ordinal, 0, 150)).collect();
        write(&mut writer, &sent);
        let durable = journal.durable();

        disk.fail_sync(1);
        let late = Sent::new(seed, 30, 0, 150);
        writer.append_one(late.record()).expect("an append touches no disk");
        let Err(failed @ SyncError::Disk(_)) = writer.sync() else { panic!("it was acknowledged") };
        assert!(failed.to_string().contains("takes nothing more"), "{failed}");

        // The disk works again; the journal does not believe it.
        let Err(SyncError::Poisoned { reason }) = writer.sync() else { panic!("acknowledged after all") };
        assert!(reason.contains("injected failure"), "{reason}");
        assert!(matches!(writer.append_one(late.record()), Err(AppendError::Poisoned { .. })));
        let mut positions = Vec::new();
        assert!(matches!(writer.append(&[late.record()], &mut positions), Err(AppendError::Poisoned { .. })));
        assert!(matches!(journal.purge(durable), Err(PurgeError::Poisoned { .. })));
        assert!(matches!(writer.close(), Err(SyncError::Poisoned { .. })));
        assert_eq!(journal.durable(), durable);
        assert_eq!(read_all(&journal, Position::START).0.len(), 30, "reading goes on");
        drop(journal);

        disk.power_cut(seed);
        let (journal, _) = Journal::open(disk, small_options(seed)).expect("the journal again");
        let kept: Vec<Sent> = read_all(&journal, Position::START).0.into_iter().map(|(_, sent)| sent).collect();
        assert!(kept.starts_with(&sent), "seed {seed}: acknowledged records are missing");
        assert!(kept.len() == 30 || kept[30] == late);
    }
}

/// The sync that fails is the one in the middle of a roll: of the old segment, of the new one's head, of its name.
#[test]
fn a_failure_while_rolling_is_as_final() {
    let mut failed = 0;
    for nth in 1..12 {
        let disk = FaultyDisk::new(nth);
        let (journal, _) = Journal::open(disk.clone(), small_options(nth)).expect("a new journal");
        let mut writer = journal.writer().expect("the writer");
        let mut acknowledged = 0;
        disk.fail_sync(nth);
        for ordinal in 0..30 {
            let sent = Sent::new(nth, ordinal, 0, 3_000);
            if writer.append_one(sent.record()).is_err() || writer.sync().is_err() {
                failed += 1;
                assert!(journal.poisoned().is_some());
                break;
            }
            acknowledged = ordinal as usize + 1;
        }
        drop((writer, journal));
        disk.power_cut(nth);
        let (journal, _) = Journal::open(disk, small_options(nth)).expect("the journal again");
        assert!(read_all(&journal, Position::START).0.len() >= acknowledged, "failed sync {nth}");
    }
    assert_eq!(failed, 11);
}
