//! The chain as an auditor, a crash and a forger meet it.

use super::verify::VerifyError;
use super::*;
use std::fs;

const KEY: [u8; 32] = [7; 32];

fn now() -> u64 {
    1_700_000_000_000
}

fn actor() -> Actor {
    Actor { name: "ops".into(), role: "admin".into(), token: "tk_1".into(), from: "127.0.0.1".into() }
}

fn filled(acts: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let audit = Audit::open(dir.path(), KEY, now).expect("opened");
    for n in 0..acts {
        let asked = audit.asked("policy.activate", actor(), Some(1), &[("n", n.to_string())]).expect("asked");
        asked.outcome(if n % 3 == 0 { "refused" } else { "done" }, &[("hash", "ab".into())]).expect("written");
    }
    dir
}

fn broken(dir: &Path, head: Option<Head>) -> Broken {
    match verify(dir, &KEY, head) {
        Err(VerifyError::Broken(broken)) => broken,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_chain_holds_over_restarts_and_counts_acts_without_outcome() {
    let dir = filled(5);
    let audit = Audit::open(dir.path(), KEY, now).expect("again");
    let asked = audit.asked("node.drain", actor(), None, &[]).expect("asked");
    let noted = audit.head();
    drop(asked);
    audit.asked("node.drain", actor(), None, &[]).expect("asked").outcome("done", &[]).expect("written");
    let verified = verify(dir.path(), &KEY, Some(noted)).expect("it holds");
    assert_eq!((verified.records, verified.without_outcome, verified.files), (13, 1, 1));
    assert_eq!(verified.head, audit.head());
    assert_eq!(verified.head.to_string().parse(), Ok(verified.head));
}

/// Every byte of a chain changed, one at a time: never unnoticed.
#[test]
fn no_byte_can_be_changed() {
    let dir = filled(3);
    let path = dir.path().join("audit-000001.ndjson");
    let good = fs::read(&path).expect("read");
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).expect("written");
        assert!(verify(dir.path(), &KEY, None).is_err(), "byte {at} ({:?})", char::from(good[at]));
    }
}

#[test]
fn records_cannot_be_removed_inserted_moved_or_cut_off() {
    let dir = filled(4);
    let path = dir.path().join("audit-000001.ndjson");
    let good = fs::read_to_string(&path).expect("read");
    let lines: Vec<&str> = good.lines().collect();
    let head = verify(dir.path(), &KEY, None).expect("it holds").head;
    let write = |lines: &[&str]| fs::write(&path, lines.join("\n") + "\n").expect("written");

    for gone in 0..lines.len() - 1 {
        let mut without = lines.clone();
        without.remove(gone);
        write(&without);
        assert_eq!(broken(dir.path(), None).line, gone as u64 + 1);
    }
    let mut twice = lines.clone();
    twice.insert(3, lines[2]);
    write(&twice);
    assert_eq!(broken(dir.path(), None).line, 4);
    let mut swapped = lines.clone();
    swapped.swap(2, 3);
    write(&swapped);
    assert_eq!(broken(dir.path(), None).line, 3);
    // The end cut off is a whole chain of its own; the noted head knows better.
    write(&lines[..5]);
    assert!(verify(dir.path(), &KEY, None).is_ok());
    assert!(broken(dir.path(), Some(head)).what.contains("its end was cut off"));
    // And a whole chain under another key is not ours.
    fs::write(&path, &good).expect("written");
    assert!(verify(dir.path(), &[8; 32], None).is_err());
}

#[test]
fn a_torn_tail_is_set_aside_and_recorded_and_a_broken_chain_is_not_written_on() {
    let dir = filled(2);
    let path = dir.path().join("audit-000001.ndjson");
    let good = fs::read(&path).expect("read");
    for cut in [1, 40, 200] {
        fs::write(&path, &good[..good.len() - cut]).expect("written");
        let audit = Audit::open(dir.path(), KEY, now).expect("opened");
        assert_eq!(audit.head().n, 4, "three whole records and the note of the torn one");
        drop(audit);
        let verified = verify(dir.path(), &KEY, None).expect("it holds");
        assert_eq!(verified.without_outcome, 1);
        assert!(dir.path().join("audit-000001.torn").exists());
    }
    let mut bad = good;
    bad[30] ^= 1;
    fs::write(&path, &bad).expect("written");
    assert!(matches!(Audit::open(dir.path(), KEY, now), Err(AuditError::Broken { .. })));
    assert_eq!(fs::read(&path).expect("read"), bad, "left as it was");
}

#[test]
fn files_follow_each_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let audit = Audit::open(dir.path(), KEY, now).expect("opened");
    // As if the first file were full.
    for _ in 0..3 {
        audit.asked("a", actor(), None, &[]).expect("asked").outcome("done", &[]).expect("written");
        audit.lock().bytes = FILE_BYTES_MAX;
    }
    drop(audit);
    let verified = verify(dir.path(), &KEY, None).expect("it holds");
    assert_eq!((verified.files, verified.records), (3, 6));
    Audit::open(dir.path(), KEY, now)
        .expect("again")
        .asked("a", actor(), None, &[])
        .expect("asked")
        .outcome("done", &[])
        .expect("written");
    fs::remove_file(dir.path().join("audit-000002.ndjson")).expect("removed");
    assert!(broken(dir.path(), None).what.contains("file 2 is missing"));
}

/// Limits of a detail: at it, one above, ten times above; and how many.
#[test]
fn details_are_bounded() {
    for (bytes, is_cut) in [(DETAIL_BYTES_MAX, false), (DETAIL_BYTES_MAX + 1, true), (DETAIL_BYTES_MAX * 10, true)] {
        let line = Line::new("a", actor()).detail("d", "x".repeat(bytes));
        assert_eq!(line.details["d"].ends_with(" (cut)"), is_cut, "{bytes}");
        assert!(line.details["d"].len() <= DETAIL_BYTES_MAX + 6);
    }
    let line = Line::new("a", actor()).detail("d", "é".repeat(DETAIL_BYTES_MAX));
    assert!(line.details["d"].ends_with("é (cut)"));
    let line = (0..DETAILS_MAX * 10).fold(Line::new("a", actor()), |line, n| line.detail(&n.to_string(), "x".into()));
    assert_eq!(line.details.len(), DETAILS_MAX);
}

#[test]
fn after_a_failed_write_nothing_more_is_promised() {
    let dir = filled(1);
    let audit = Audit::open(dir.path(), KEY, now).expect("opened");
    // A descriptor that cannot be written to, as a failing disk.
    audit.lock().file = File::open(dir.path().join("audit-000001.ndjson")).expect("read only");
    assert!(matches!(audit.asked("a", actor(), None, &[]), Err(AuditError::Io { .. })));
    assert!(matches!(audit.asked("a", actor(), None, &[]), Err(AuditError::Failed)));
    assert_eq!(audit.head().n, 2);
}
