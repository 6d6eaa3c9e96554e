//! Damage to a stopped log on real files: single bit flips, zeroed and garbled tails, truncations. Each is repaired, harmless
//! or reported by name; never is an acknowledged record missing or changed in silence (issue A, "damage").
//!
//! A log of several segments (some recycled) and two snapshots is written and stopped, with and without a clean end; each
//! trial copies it, damages one file once, opens it and compares everything with what was acknowledged. 100 trials by
//! default, 1,000 at night. The window of a zeroed tail is measured apart, with the watermark file and without it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tidegate_journal::rng::SplitMix64;
use tidegate_journal::{Journal, OnDamage, OpenError, Options, Position, RealDisk, SnapshotId, SnapshotStore, Suspect};

use crate::support::{Sent, count, read_all, seeds, write};

const STATE_BYTES: usize = 90_000;

fn options() -> Options {
    Options { segment_bytes: 64 << 10, max_payload_bytes: 4 << 10, salt: 77, spares: 2, ..Options::default() }
}

fn state(sequence: u64) -> Vec<u8> {
    let mut state = vec![0; STATE_BYTES];
    SplitMix64::new(sequence).fill(&mut state);
    state
}

/// A stopped log: everything that was acknowledged and is still kept, and where each synced batch ended.
struct Stopped {
    kept: Vec<(Position, Sent)>,
    batch_ends: Vec<Position>,
    /// The watermark file as it was ten batches before the end.
    old_watermark_file: Vec<u8>,
}

fn stop(directory: &Path, clean: bool) -> Stopped {
    let disk = RealDisk::open(directory).expect("a directory");
    let (journal, _) = Journal::open(disk.clone(), options()).expect("a new journal");
    let store = SnapshotStore::new(disk);
    let mut writer = journal.writer().expect("the writer");
    let mut random = SplitMix64::new(5);
    let mut all = Vec::new();
    let mut batch_ends = Vec::new();
    let mut old_watermark_file = Vec::new();
    for batch in 0..118_u64 {
        let sent: Vec<Sent> = (0..10).map(|next| Sent::new(1, batch * 10 + next, 0, 64 + random.below(400) as usize)).collect();
        let positions = write(&mut writer, &sent);
        all.extend(positions.into_iter().zip(sent));
        batch_ends.push(journal.durable());
        if batch == 107 {
            old_watermark_file = fs::read(directory.join("watermark")).expect("the watermark");
        }
        if batch == 40 || batch == 80 {
            let id = SnapshotId { name: "state".into(), sequence: batch };
            store.write(id, journal.durable(), [state(batch)]).expect("a snapshot");
            journal.purge(store.purge_floor().expect("a floor")).expect("a purge");
        }
    }
    if clean {
        writer.close().expect("a clean end");
    }
    let first = journal.first();
    assert!(first.segment > 1, "nothing was purged, so nothing recycled");
    Stopped { kept: all.into_iter().filter(|(position, _)| *position >= first).collect(), batch_ends, old_watermark_file }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

/// Damages one file; what was done.
fn damage(directory: &Path, random: &mut SplitMix64) -> String {
    let mut names: Vec<String> = fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .filter(|name| name != "lock")
        .collect();
    names.sort();
    let name = &names[random.below(names.len() as u64) as usize];
    let path = directory.join(name);
    let mut bytes = fs::read(&path).expect("a file");
    let at = random.below(bytes.len() as u64) as usize;
    let what = match random.below(4) {
        0 => {
            bytes[at] ^= 1 << random.below(8);
            "bit flipped"
        }
        1 => {
            bytes[at..].fill(0);
            "tail zeroed"
        }
        2 => {
            random.fill(&mut bytes[at..]);
            "tail garbled"
        }
        _ => {
            bytes.truncate(at);
            "truncated"
        }
    };
    fs::write(&path, bytes).expect("a file");
    format!("{name} {what} at {at}")
}

#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    #[default]
    Harmless,
    Repaired,
    Reported,
}

/// Opens a damaged copy and compares; the error is a silent loss or change.
fn judge(directory: &Path, kept: &[(Position, Sent)]) -> Result<Outcome, String> {
    let disk = RealDisk::open(directory).map_err(|error| error.to_string())?;
    let snapshots = judge_snapshots(&SnapshotStore::new(disk.clone()))?;
    match Journal::open(disk.clone(), options()) {
        Ok((journal, recovery)) => {
            let (read, holes) = read_all(&journal, Position::START);
            if !holes.is_empty() || !recovery.is_whole() {
                return Err(format!("served over a hole: {holes:?}"));
            }
            if read != kept {
                return Err(format!("{} of {} records in silence: {recovery}", read.len(), kept.len()));
            }
            let told = !recovery.notes.is_empty() || recovery.torn.is_some();
            Ok(snapshots.max(if told { Outcome::Repaired } else { Outcome::Harmless }))
        }
        Err(OpenError::Damaged { recovery }) => {
            let read_only = Options { on_damage: OnDamage::ReadOnly, ..options() };
            let (journal, again) = Journal::open(disk, read_only).map_err(|error| error.to_string())?;
            if again.holes != recovery.holes {
                return Err("a refusal changed what is on the disk".into());
            }
            let (read, _) = read_all(&journal, Position::START);
            judge_partial(&read, kept, &recovery.holes.iter().flat_map(|hole| hole.suspects.clone()).collect::<Vec<_>>())?;
            Ok(Outcome::Reported)
        }
        Err(other) => Err(format!("neither opened nor named: {other}")),
    }
}

/// What is left is unchanged and in order, and what is missing in the middle is named by group and index.
fn judge_partial(read: &[(Position, Sent)], kept: &[(Position, Sent)], suspects: &[Suspect]) -> Result<(), String> {
    let mut known: BTreeMap<Position, &Sent> = kept.iter().map(|(position, sent)| (*position, sent)).collect();
    for (position, sent) in read {
        if known.remove(position) != Some(sent) {
            return Err(format!("the record at {position} changed"));
        }
    }
    let last = read.last().map(|(position, _)| *position);
    for (position, sent) in known {
        // The last of a group has no later neighbour to tell its index from; the hole names the place.
        let has_later = read.iter().any(|(other, later)| *other > position && later.group == sent.group);
        let has_earlier = read.iter().any(|(other, earlier)| *other < position && earlier.group == sent.group);
        let named = suspects
            .iter()
            .any(|suspect| suspect.group == sent.group && (suspect.first_index..=suspect.last_index).contains(&sent.index));
        if Some(position) < last && has_later && has_earlier && !named {
            return Err(format!("group {} index {} at {position} is gone and not named", sent.group, sent.index));
        }
    }
    Ok(())
}

fn judge_snapshots(store: &SnapshotStore<RealDisk>) -> Result<Outcome, String> {
    let latest = store.latest("state").map_err(|error| error.to_string())?;
    let Some((info, bytes)) = latest.snapshot else {
        return Err("no snapshot is left".into());
    };
    if bytes != state(info.id.sequence) {
        return Err(format!("snapshot {} changed", info.id));
    }
    match (info.id.sequence, latest.damaged.len()) {
        (80, 0) => Ok(Outcome::Harmless),
        (40, 1) => Ok(Outcome::Reported),
        other => Err(format!("snapshots: {other:?}")),
    }
}

#[test]
fn every_damage_is_repaired_harmless_or_named() {
    let original = [tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory")];
    let stopped = [stop(original[0].path(), false), stop(original[1].path(), true)];
    let mut outcomes: BTreeMap<Outcome, u64> = BTreeMap::new();
    for seed in seeds(100, 1_000) {
        let mut random = SplitMix64::new(seed);
        let which = (seed % 2) as usize;
        let trial = tempfile::tempdir().expect("a directory");
        copy(original[which].path(), trial.path());
        let done = damage(trial.path(), &mut random);
        let outcome = judge(trial.path(), &stopped[which].kept).unwrap_or_else(|silent| panic!("seed {seed}: {done}: {silent}"));
        *outcomes.entry(outcome).or_default() += 1;
    }
    println!("damage: {outcomes:?}, silent 0");
}

/// Every single bit of one frame, head and body, with good frames on both sides: at most that one record is lost, and named.
#[test]
fn a_flipped_bit_costs_one_named_record() {
    let original = tempfile::tempdir().expect("a directory");
    let stopped = stop(original.path(), true);
    let (position, sent) = stopped.kept[stopped.kept.len() / 2].clone();
    let frame_bytes = 32 + sent.payload.len().next_multiple_of(8);
    let trial = tempfile::tempdir().expect("a directory");
    copy(original.path(), trial.path());
    let path = trial.path().join(format!("wal-{:08x}.seg", position.segment));
    let sound = fs::read(&path).expect("a segment");
    let step = count(17, 1) as usize;
    for bit in (0..frame_bytes * 8).step_by(step) {
        let mut bytes = sound.clone();
        bytes[position.offset as usize + bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, bytes).expect("a segment");
        let disk = RealDisk::open(trial.path()).expect("the directory");
        let Err(OpenError::Damaged { recovery }) = Journal::open(disk, options()) else { panic!("bit {bit} was not seen") };
        assert_eq!(recovery.records + 1, stopped.kept.len() as u64, "bit {bit}");
        let suspect = Suspect { group: sent.group, first_index: sent.index, last_index: sent.index };
        assert_eq!(recovery.holes.len(), 1, "bit {bit}: {recovery}");
        assert_eq!(recovery.holes[0].position, position, "bit {bit}");
        assert_eq!(recovery.holes[0].suspects, [suspect], "bit {bit}");
    }
}

/// What is left of the watermark file when the tail is zeroed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WatermarkFile {
    /// As the stop left it: any kill, any clean end.
    Exact,
    /// Ten batches old, as a power cut may leave it.
    TenBatchesOld,
    /// Gone as well: a second damage.
    Gone,
}

/// What a zeroed tail hides: with the watermark file nothing; with an old one what came after it; without it, all behind the
/// cut. Inside a batch the cut is told as a torn tail all the same, because the mark announced the batch's length; between two
/// batches (or in the second one's mark) only the missing file is told.
#[test]
fn the_window_of_a_zeroed_tail() {
    let original = tempfile::tempdir().expect("a directory");
    let stopped = stop(original.path(), false);
    let newest = stopped.batch_ends.last().expect("a batch").segment;
    let end = stopped.batch_ends.last().expect("a batch").offset;
    let edges: Vec<u32> = stopped.batch_ends.iter().filter(|edge| edge.segment == newest).map(|edge| edge.offset).collect();
    let old_watermark = stopped.batch_ends[stopped.batch_ends.len() - 11];
    assert_eq!(old_watermark.segment, newest);
    let file = format!("wal-{newest:08x}.seg");
    for watermark in [WatermarkFile::Exact, WatermarkFile::TenBatchesOld, WatermarkFile::Gone] {
        for at_edge in [false, true] {
            let (mut named, mut torn, mut silent, mut most_hidden) = (0, 0, 0, 0);
            for seed in seeds(20, 200) {
                let mut random = SplitMix64::new(seed);
                let from = if at_edge {
                    edges[random.below(edges.len() as u64 - 1) as usize]
                } else {
                    4096 + random.below(u64::from(end - 4096)) as u32
                };
                let trial = tempfile::tempdir().expect("a directory");
                copy(original.path(), trial.path());
                let path = trial.path().join(&file);
                let mut bytes = fs::read(&path).expect("a segment");
                bytes[from as usize..].fill(0);
                fs::write(&path, bytes).expect("a segment");
                match watermark {
                    WatermarkFile::Exact => {}
                    WatermarkFile::TenBatchesOld => {
                        fs::write(trial.path().join("watermark"), &stopped.old_watermark_file).expect("the watermark");
                    }
                    WatermarkFile::Gone => fs::remove_file(trial.path().join("watermark")).expect("the watermark"),
                }
                let disk = RealDisk::open(trial.path()).expect("the directory");
                let recovery = match Journal::open(disk, options()) {
                    Err(OpenError::Damaged { .. }) => {
                        named += 1;
                        continue;
                    }
                    Ok((_, recovery)) => recovery,
                    Err(other) => panic!("seed {seed}: {other}"),
                };
                let hidden = stopped.kept.iter().filter(|(position, _)| *position >= recovery.end).count();
                most_hidden = most_hidden.max(hidden);
                assert_ne!(watermark, WatermarkFile::Exact, "seed {seed}: zeroed from {from} and opened");
                let known = watermark == WatermarkFile::TenBatchesOld;
                assert!(!known || from >= old_watermark.offset, "seed {seed}: zeroed before the old watermark and opened");
                assert!(known || !recovery.notes.is_empty(), "the missing file was not told");
                match recovery.torn {
                    Some(tear) => {
                        assert!(known || !tear.watermark_held, "seed {seed}: {tear}");
                        torn += 1;
                    }
                    None => {
                        // A batch that lost its very mark (32 bytes) left nothing behind.
                        let in_mark = edges.iter().any(|edge| (*edge..edge + 32).contains(&from));
                        assert!(in_mark, "seed {seed}: a cut inside a batch was not told");
                        silent += 1;
                    }
                }
            }
            println!(
                "zeroed tail, watermark file {watermark:?}, cut at a batch's edge {at_edge}: {named} named as damage, {torn} told as \
                 torn, {silent} not told by the log; at most {most_hidden} records hidden"
            );
        }
    }
}

/// The marks alone: a cut at any frame's edge inside a batch is seen, because the mark announced the batch's length.
#[test]
fn a_cut_at_a_frame_edge_within_a_batch_is_told() {
    let original = tempfile::tempdir().expect("a directory");
    let stopped = stop(original.path(), false);
    let newest = stopped.batch_ends.last().expect("a batch").segment;
    let mut seen = 0;
    for (position, _) in stopped.kept.iter().rev().take(9) {
        assert_eq!(position.segment, newest);
        let trial = tempfile::tempdir().expect("a directory");
        copy(original.path(), trial.path());
        let path = trial.path().join(format!("wal-{newest:08x}.seg"));
        let mut bytes = fs::read(&path).expect("a segment");
        bytes[position.offset as usize..].fill(0);
        fs::write(&path, bytes).expect("a segment");
        fs::remove_file(trial.path().join("watermark")).expect("the watermark");
        let disk = RealDisk::open(trial.path()).expect("the directory");
        let (_, recovery) = Journal::open(disk, options()).expect("a torn tail opens");
        let tear = recovery.torn.unwrap_or_else(|| panic!("cut at {position} in silence"));
        assert_eq!(tear.position, *position);
        seen += 1;
    }
    assert_eq!(seen, 9);
}
