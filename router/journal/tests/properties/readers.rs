//! Readers beside the writer: look-ups, scans and purges from other threads see whole records or a clear answer, never torn
//! bytes and never what is not durable.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use tidegate_journal::{Journal, Options, Position, ReadError, RealDisk, ScanError, Scanned};

use crate::support::{Sent, count, write};

#[test]
fn readers_beside_the_writer_and_the_purge() {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = RealDisk::open(directory.path()).expect("a disk");
    let options = Options { segment_bytes: 64 << 10, max_payload_bytes: 8 << 10, spares: 2, salt: 5, ..Options::default() };
    let (journal, _) = Journal::open(disk, options).expect("a new journal");
    let mut writer = journal.writer().expect("the writer");
    let batches = count(150, 3_000);
    let (send, receive) = sync_channel::<(Position, u64)>(4_096);
    let over = AtomicBool::new(false);
    let (looked_up, purged, scanned) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let expected = |ordinal: u64| Sent::new(1, ordinal, 0, 50 + (ordinal * 37 % 4_000) as usize);
    thread::scope(|scope| {
        scope.spawn(|| {
            let reader = journal.reader();
            for (position, ordinal) in receive {
                match reader.read_at(position) {
                    Ok(entry) => {
                        assert_eq!(entry.payload, expected(ordinal).payload);
                        looked_up.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(ReadError::Purged { .. }) => {
                        purged.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        });
        scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                let mut next = None;
                for item in journal.scan(Position::START) {
                    match item {
                        Ok(Scanned::Entry(entry)) => {
                            let ordinal = entry.index * 3 + u64::from(entry.group);
                            assert!(next.is_none_or(|next| next == ordinal), "out of order");
                            next = Some(ordinal + 1);
                            scanned.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(Scanned::Hole(hole)) => panic!("{hole}"),
                        Err(ScanError::Purged { .. }) => break,
                        Err(other) => panic!("{other}"),
                    }
                }
            }
        });
        for batch in 0..batches {
            let sent: Vec<Sent> = (batch * 10..batch * 10 + 10).map(expected).collect();
            let positions = write(&mut writer, &sent);
            for (position, ordinal) in positions.into_iter().zip(batch * 10..) {
                send.send((position, ordinal)).expect("a reader");
            }
            if batch % 25 == 24 {
                journal.purge(writer.position()).expect("a purge");
            }
            if batch % 10 == 0 {
                journal.prepare_spare().expect("a spare");
            }
        }
        over.store(true, Ordering::Release);
        drop(send);
    });
    let (looked_up, purged) = (looked_up.into_inner(), purged.into_inner());
    println!("look-ups {looked_up}, of purged records {purged}, scanned {}", scanned.into_inner());
    assert_eq!(looked_up + purged, batches * 10);
    assert!(looked_up > 0);
}
