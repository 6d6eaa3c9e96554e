//! Recycled segments: a frame of a file's former life is never read in the next one, wherever the new life ends.
//!
//! A log is driven round its spares until every file had several lives, with records of one size, so that old and new frames
//! lie at the same offsets: the hardest case, in which the new log's end meets an old frame exactly.

use tidegate_journal::{FaultyDisk, Journal, Options, Position};

use crate::support::{Sent, read_all, small_options, write};

#[test]
fn a_former_life_is_never_read() {
    for stop_at in 0..40_u64 {
        let disk = FaultyDisk::new(stop_at);
        let options = Options { spares: 1, ..small_options(1) };
        let (journal, _) = Journal::open(disk.clone(), options.clone()).expect("a new journal");
        let mut writer = journal.writer().expect("the writer");
        let mut sent = Vec::new();
        let mut recycled = 0;
        for ordinal in 0..600 + stop_at {
            let record = Sent::new(1, ordinal, 0, 64);
            write(&mut writer, std::slice::from_ref(&record));
            sent.push(record);
            if ordinal % 50 == 49 {
                recycled += journal.purge(writer.position()).expect("a purge").recycled;
            }
        }
        assert!(recycled >= 4, "only {recycled} recycled");
        let (before, _) = read_all(&journal, Position::START);
        drop(writer);
        drop(journal);
        disk.power_cut(stop_at);
        let (journal, recovery) = Journal::open(disk, options).expect("the journal again");
        assert_eq!(recovery.torn, None, "a clean stop on a recycled file looks torn");
        let (after, holes) = read_all(&journal, Position::START);
        assert_eq!(holes, []);
        assert_eq!(before, after);
        let kept: Vec<Sent> = after.into_iter().map(|(_, sent)| sent).collect();
        assert!(sent.ends_with(&kept), "a record of a former life came back");
    }
}

/// The same salt and the same place: only the segment's number tells the lives apart.
#[test]
fn spares_are_taken_before_new_files_are_made() {
    let disk = FaultyDisk::new(1);
    let (journal, _) = Journal::open(disk.clone(), small_options(1)).expect("a new journal");
    let mut writer = journal.writer().expect("the writer");
    for ordinal in 0..400 {
        write(&mut writer, &[Sent::new(1, ordinal, 0, 100)]);
        journal.purge(writer.position()).expect("a purge");
    }
    // The segment in use, at most one more between roll and purge, the spares, the watermark.
    assert!(disk.used_bytes() <= 4 * (16 << 10) + 1024, "{} bytes", disk.used_bytes());
}
