//! What a caller may do about damage: refuse (the default), read only, or serve on behind it; and what each leaves on the disk.

use tidegate_journal::{
    Disk, DiskFile, FaultyDisk, HoleCause, Journal, Note, OnDamage, OpenError, Options, Position, ReadError, Verify, WriterError,
};

use crate::support::{Sent, read_all, small_options, write};

fn log(disk: &FaultyDisk, records: u64) -> Vec<Position> {
    let (journal, _) = Journal::open(disk.clone(), small_options(1)).expect("a new journal");
    let mut writer = journal.writer().expect("the writer");
    (0..records).flat_map(|ordinal| write(&mut writer, &[Sent::new(1, ordinal, 0, 200)])).collect()
}

fn with(on_damage: OnDamage) -> Options {
    Options { on_damage, ..small_options(1) }
}

fn name(segment: u32) -> String {
    format!("wal-{segment:08x}.seg")
}

#[test]
fn refuse_read_only_serve() {
    let disk = FaultyDisk::new(1);
    let positions = log(&disk, 200);
    let at = positions[60];
    assert!(disk.flip_bit(&name(at.segment), u64::from(at.offset) + 33, 0));

    let Err(refused) = Journal::open(disk.clone(), with(OnDamage::Refuse)) else { panic!("served damage") };
    let text = refused.to_string();
    assert!(text.contains(&name(at.segment)) && text.contains("group 0 index 20..=20"), "{text}");

    let (journal, recovery) = Journal::open(disk.clone(), with(OnDamage::ReadOnly)).expect("read-only");
    assert_eq!((recovery.records, recovery.holes_total), (199, 1));
    assert!(matches!(journal.writer(), Err(WriterError::ReadOnly)));
    assert!(matches!(journal.reader().read_at(at), Err(ReadError::Damaged { .. })));
    assert!(journal.reader().read_at(positions[61]).is_ok());
    drop(journal);

    let (journal, _) = Journal::open(disk.clone(), with(OnDamage::Serve)).expect("serving");
    let mut writer = journal.writer().expect("the writer");
    assert!(matches!(journal.writer(), Err(WriterError::Taken)));
    write(&mut writer, &[Sent::new(1, 200, 0, 200)]);
    let (read, holes) = read_all(&journal, Position::START);
    assert_eq!((read.len(), holes.len()), (200, 1));
    assert_eq!(holes[0].cause, HoleCause::FrameBody);
    drop((writer, journal));
    // Serving repaired nothing: a later open still says what is missing.
    assert!(matches!(Journal::open(disk, with(OnDamage::Refuse)), Err(OpenError::Damaged { .. })));
}

#[test]
fn both_copies_of_a_head() {
    for (which, newest) in [(2_u32, false), (0, true)] {
        let disk = FaultyDisk::new(1);
        let positions = log(&disk, 200);
        let last = positions.last().expect("a record").segment;
        let segment = if newest { last } else { which };
        assert!(disk.flip_bit(&name(segment), 20, 0), "one copy");
        let (journal, recovery) = Journal::open(disk.clone(), with(OnDamage::Refuse)).expect("one copy is enough");
        assert_eq!(recovery.notes, [Note::HeadCopy { file: name(segment), copy: 0 }]);
        drop(journal);
        let (_, recovery) = Journal::open(disk.clone(), with(OnDamage::Refuse)).expect("repaired");
        assert_eq!(recovery.notes, []);

        assert!(disk.flip_bit(&name(segment), 20, 0) && disk.flip_bit(&name(segment), 2048 + 20, 0), "both copies");
        let Err(OpenError::Damaged { recovery }) = Journal::open(disk.clone(), with(OnDamage::Refuse)) else { panic!("served") };
        assert_eq!(recovery.holes[0].cause, HoleCause::SegmentHead);
        assert_eq!(recovery.records, 200, "the frames are read all the same");
        let (journal, _) = Journal::open(disk, with(OnDamage::Serve)).expect("serving");
        let mut writer = journal.writer().expect("the writer");
        write(&mut writer, &[Sent::new(1, 200, 0, 200)]);
        assert_eq!(read_all(&journal, Position::START).0.len(), 201);
    }
}

#[test]
fn a_missing_segment_is_named_wherever_it_was() {
    let disk = FaultyDisk::new(1);
    let last = log(&disk, 200).last().expect("a record").segment;
    assert!(last >= 4);
    for gone in [1, 2, last] {
        let disk = FaultyDisk::new(1);
        log(&disk, 200);
        disk.remove(&name(gone)).expect("a removal");
        let Err(OpenError::Damaged { recovery }) = Journal::open(disk.clone(), with(OnDamage::Refuse)) else {
            panic!("served without {gone}")
        };
        assert_eq!(recovery.holes[0].position.segment, gone);
        assert_eq!(recovery.holes[0].cause, HoleCause::SegmentMissing);
        let (journal, _) = Journal::open(disk, with(OnDamage::Serve)).expect("serving");
        let mut writer = journal.writer().expect("the writer");
        write(&mut writer, &[Sent::new(1, 999, 0, 200)]);
        let (read, _) = read_all(&journal, Position::START);
        assert_eq!(read.last().expect("a record").1, Sent::new(1, 999, 0, 200));
    }
}

#[test]
fn a_later_format_is_refused_by_name() {
    let disk = FaultyDisk::new(1);
    log(&disk, 1);
    let file = disk.open(&name(1)).expect("a segment");
    let mut head = [0; 64];
    file.read_at(&mut head, 0).expect("a head");
    head[8] = 2;
    let crc = crc32c::crc32c(&head[..60]).to_le_bytes();
    head[60..].copy_from_slice(&crc);
    file.write_at(&head, 0).expect("a head");
    let Err(OpenError::Version { file, found: 2 }) = Journal::open(disk, with(OnDamage::Refuse)) else { panic!("read") };
    assert_eq!(file, name(1));
}

#[test]
fn a_purged_segment_is_not_a_missing_one() {
    let disk = FaultyDisk::new(1);
    log(&disk, 200);
    let (journal, _) = Journal::open(disk.clone(), with(OnDamage::Refuse)).expect("the journal");
    let first = journal.first();
    journal.purge(Position { segment: 4, offset: 4096 }).expect("a purge");
    assert!(matches!(journal.reader().read_at(first), Err(ReadError::Purged { .. })));
    assert!(journal.scan(first).next().expect("an answer").is_err());
    assert_eq!(journal.first().segment, 4);
    drop(journal);
    disk.power_cut(1);
    let (_, recovery) = Journal::open(disk, with(OnDamage::Refuse)).expect("no hole");
    assert_eq!(recovery.first.segment, 4);
}

#[test]
fn a_tail_lost_below_the_watermark_is_written_on_behind() {
    let disk = FaultyDisk::new(1);
    let positions = log(&disk, 30);
    let end = disk.open(&name(1)).expect("a segment");
    let from = positions[20];
    assert_eq!(from.segment, 1);
    let zeroes = vec![0; (16 << 10) - from.offset as usize];
    end.write_at(&zeroes, u64::from(from.offset)).expect("zeroes");
    let Err(OpenError::Damaged { recovery }) = Journal::open(disk.clone(), with(OnDamage::Refuse)) else { panic!("served") };
    assert_eq!(recovery.holes.len(), 1);
    assert_eq!(recovery.holes[0].position, from);
    assert_eq!(recovery.holes[0].cause, HoleCause::BelowWatermark);
    for (life, served) in [(1, 21), (2, 22)] {
        let (journal, recovery) = Journal::open(disk.clone(), with(OnDamage::Serve)).expect("serving");
        assert_eq!(recovery.holes_total, 1);
        let mut writer = journal.writer().expect("the writer");
        assert!(writer.position() > positions[29], "written on behind what was lost, not over it");
        write(&mut writer, &[Sent::new(1, 30 + life, life, 200)]);
        assert_eq!(read_all(&journal, Position::START).0.len(), served);
    }
}

#[test]
fn the_tail_only_leaves_older_damage_to_the_scan() {
    let disk = FaultyDisk::new(1);
    let positions = log(&disk, 200);
    let at = positions[3];
    assert!(disk.flip_bit(&name(at.segment), u64::from(at.offset) + 5, 0));
    let tail = Options { verify: Verify::Tail, ..small_options(1) };
    let (journal, recovery) = Journal::open(disk, tail).expect("the tail is sound");
    assert!(recovery.is_whole() && recovery.records < 200);
    let (read, holes) = read_all(&journal, Position::START);
    assert_eq!((read.len(), holes.len()), (199, 1));
    assert_eq!(holes[0].position, at);
}
