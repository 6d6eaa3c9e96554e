//! The examples are run, and stay short: an embedder reads them first.

use std::path::Path;
use std::process::Command;

fn run(binary: &str, source: &str, lines_max: usize, words: &[&str]) {
    let output = Command::new(binary).output().expect("it runs");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{out}\n{}", String::from_utf8_lossy(&output.stderr));
    for word in words {
        assert!(out.contains(word), "{word:?} is missing in {out}");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin").join(source);
    let lines = std::fs::read_to_string(path).expect("the source").lines().count();
    assert!(lines <= lines_max, "{source} has {lines} lines, at most {lines_max}");
}

#[test]
fn the_router_in_a_thread_of_its_own() {
    run(env!("CARGO_BIN_EXE_router"), "router.rs", 60, &["the contact: Done", "accepted: Done"]);
}

#[test]
fn the_core_over_a_log_and_a_clock_of_ones_own() {
    run(env!("CARGO_BIN_EXE_own_log"), "own_log.rs", 60, &["seat 7 is offered contact", "entries replayed: the same digests"]);
}
