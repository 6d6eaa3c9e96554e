//! `tidegate demo` on slices of the real day, by the real binary: its figures, its keys, and its refusals.
//!
//! The whole day is `./verify`'s part `demo`. Expected rows were counted in the trace by awk, not by the reader under test:
//! `zcat … | awk -F, '$1 == "1999-05-23" { print int($5 / 3600) }' | sort -n | uniq -c`.

#[path = "support/run.rs"]
mod run;

use run::{Ran, tidegate};
use serde_json::{Value, json};
use std::path::Path;

/// Rows of 23 May 1999 that enter the voice response unit between 20:00 and 21:00: the storm's first hour.
const ROWS_20_21: u64 = 281;

fn slice(hours: &str, dir: &Path, more: &[&str]) -> Ran {
    let (picture, log) = (dir.join("day.svg"), dir.join("log"));
    let paths = ["--picture", picture.to_str().expect("UTF-8"), "--dir", log.to_str().expect("UTF-8")];
    tidegate([&["demo", "--hours", hours, "--speed", "2000", "--json"], &paths[..], more].concat())
}

#[test]
fn the_storms_first_hour_holds_every_promise() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let ran = slice("20-21", dir.path(), &[]).ends(0, &["1999-05-23: 281 rows"]);
    let figures: Value = serde_json::from_str(&ran.out).expect("nothing but JSON on standard output");
    assert_eq!(figures["rows"], ROWS_20_21);
    for key in ["lost", "double_assignments", "over_capacity", "unowned"] {
        assert_eq!(figures[key], 0, "{key}");
    }
    assert_eq!(figures["parity"]["mismatches"], 0);
    assert!(figures["parity"]["decisions"].as_u64() > Some(100), "{}", figures["parity"]);
    let exits = figures["exits"].as_object().expect("exits");
    assert_eq!(exits.values().filter_map(Value::as_u64).sum::<u64>(), ROWS_20_21, "each row leaves by exactly one exit: {exits:?}");
    for key in ["offer_ms", "commit_ms"] {
        for quantile in ["p50", "p99"] {
            assert!(figures[key][quantile].is_number(), "{key}.{quantile} in {}", figures[key]);
        }
    }
    let digest = figures["digest"].as_str().expect("a digest");
    assert_eq!(digest.len(), 16, "{digest}");

    // The digest is this run's, and the log that it left gives it again.
    let log = dir.path().join("log");
    let log = log.to_str().expect("UTF-8");
    let replayed = tidegate(["replay", log, "--json"]).ends(0, &[]);
    let replayed: Value = serde_json::from_str(&replayed.out).expect("JSON");
    assert_eq!(replayed["tenants"][0]["decisions_digest"], digest);
    assert_eq!(replayed["tenants"][0]["exits"]["served"], exits["served"]);
    assert_eq!(replayed["decisions"], figures["parity"]["decisions"]);
    assert_eq!(replayed["unreadable"], json!([]));
    tidegate(["journal", "verify", log]).ends(0, &[]);
    let picture = std::fs::read_to_string(dir.path().join("day.svg")).expect("a picture");
    assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"), "{}", &picture[..80.min(picture.len())]);

    // One byte of it changed on the disk, in the middle of what was acknowledged: found by name, and never passed over.
    let first = dir.path().join("log/wal-00000001.seg");
    let mut bytes = std::fs::read(&first).expect("the log's first file");
    let middle = bytes.iter().rposition(|byte| *byte != 0).expect("it holds something") / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&first, bytes).expect("written");
    let verified = tidegate(["journal", "verify", log]).ends(1, &["cannot be read"]);
    assert!(verified.out.contains("damaged: "), "{}", verified.out);
    tidegate(["replay", log]).ends(1, &["cannot be read"]);
}

/// Chinese for people; the figures for machines have one language.
#[test]
fn a_quiet_hour_in_chinese() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let ran = slice("7-8", dir.path(), &["--lang", "zh"]).ends(0, &["每一行是一个真实连接"]);
    let figures: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!((&figures["rows"], &figures["lost"]), (&json!(47), &json!(0)));
}

#[test]
fn a_directory_that_holds_something_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(dir.path().join("log")).expect("made");
    std::fs::write(dir.path().join("log/precious"), "mine").expect("written");
    let ran = slice("7-8", dir.path(), &[]);
    assert!(ran.err.contains("is not empty; name an empty directory"), "{}", ran.err);
    assert_eq!(std::fs::read_to_string(dir.path().join("log/precious")).expect("still there"), "mine");
}
