//! `tidegate simulate` and `merge` as people run them: the same bytes from any threads and shards, verification, interruption.
//!
//! A result is what `--json` prints. What figures are worth is judged in `sim/tests/floor`; here stands what the command promises:
//! exit codes, data on standard output alone, mistakes with file, line, field and remedy, and a valid result after Ctrl-C.

#[path = "support/run.rs"]
mod run;

use run::tidegate;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::{TempDir, tempdir};

fn scenario(dir: &TempDir, change: impl Fn(String) -> String) -> String {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/scenarios/mmcab.toml");
    let text = change(fs::read_to_string(from).expect("the example is there"));
    put(dir, "scenario.toml", &text)
}

fn put(dir: &TempDir, name: &str, text: &str) -> String {
    let path: PathBuf = dir.path().join(name);
    fs::write(&path, text).expect("written");
    path.to_str().expect("a path in UTF-8").to_owned()
}

fn short(text: String) -> String {
    text.replace("length = \"8h\"", "length = \"2h\"")
}

#[test]
fn threads_shards_and_verification_agree() {
    let dir = tempdir().expect("a temporary directory");
    let file = scenario(&dir, short);
    let run = |more: &[&str]| tidegate([&["simulate", &file, "--reps", "16", "--json"], more].concat()).ends(0, &[]).out;
    let alone = run(&["--threads", "1"]);
    for threads in ["2", "7"] {
        assert!(run(&["--threads", threads]) == alone, "{threads} threads");
    }
    let shards: Vec<String> =
        ["1/3", "2/3", "3/3"].iter().map(|shard| put(&dir, &shard.replace('/', "-"), &run(&["--shard", shard]))).collect();
    let merged = tidegate(["merge", &shards[2], &shards[0], &shards[1], "--json"]).ends(0, &[]).out;
    assert!(merged == alone, "three shards");
    tidegate(["merge", &shards[0], &shards[0]]).ends(3, &["replication 0 is in two of the files"]);
    tidegate(["merge", &shards[0], &shards[2]]).ends(0, &["are in none of the files"]);

    let report = put(&dir, "report.json", &alone);
    tidegate(["simulate", &file, "--verify", &report]).ends(0, &["verified: 16 replications"]);
    let other = put(&dir, "other.toml", &short(fs::read_to_string(&file).expect("read")).replace("agents = 12", "agents = 11"));
    tidegate(["simulate", &other, "--verify", &report]).ends(1, &["config_sha256"]);
    let changed = put(&dir, "changed.json", &alone.replacen("\"served\": ", "\"served\": 1", 40));
    tidegate(["simulate", &file, "--verify", &changed]).ends(3, &["changed.json"]);
}

#[test]
fn figures_are_data_and_mistakes_say_what_to_do() {
    let dir = tempdir().expect("a temporary directory");
    let file = scenario(&dir, short);
    let shown = tidegate(["simulate", &file, "--reps", "5"]).ends(0, &[]).out;
    for word in ["5 replications, seed 1", "served within 20 s of offered", "occupancy", "config_sha256", "digest"] {
        assert!(shown.contains(word), "{word} is missing in:\n{shown}");
    }
    let precise = tidegate(["simulate", &file, "--precision", "0.2", "--json"]).ends(0, &[]).out;
    let rows = precise.matches("\"number\":").count();
    assert!(rows % 20 == 0 && (20..1_000).contains(&rows), "{rows} replications for a wide interval");

    let schema = tidegate(["config", "schema", "--scenario"]).ends(0, &[]).out;
    assert!(schema.contains("\"demand\"") && schema.contains("\"slow_down\""), "{schema}");

    let wrong = scenario(&dir, |text| text.replace("rate = \"4.2/min\"", "rate = \"often\""));
    let ran = tidegate(["simulate", &wrong]).ends(3, &["scenario.toml:", "\"often\" is no rate", "4.2/min"]);
    assert_eq!(ran.out, "");
    tidegate(["simulate", "nowhere.toml"]).ends(3, &["nowhere.toml cannot be read", "name a scenario file"]);
    for shard in ["0/3", "4/3", "1", "a/b"] {
        tidegate(["simulate", &wrong, "--shard", shard]).ends(2, &["as 1/8"]);
    }
    tidegate(["simulate", &wrong, "--precision", "2"]).ends(2, &["below 1"]);
    tidegate(["merge", &file]).ends(3, &["name a result of `tidegate simulate --json`"]);
}

/// Ctrl-C after the first replication: what has begun is finished, and what is printed can be verified.
#[test]
fn an_interrupted_run_is_a_valid_one_of_fewer() {
    let dir = tempdir().expect("a temporary directory");
    let file = scenario(&dir, |text| text.replace("length = \"8h\"", "length = \"20d\""));
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["simulate", &file, "--reps", "100000", "--threads", "2", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // The line on standard error says that signals are heard from here on.
    let mut errors = child.stderr.take().expect("piped");
    let mut first = [0_u8; 1];
    errors.read_exact(&mut first).expect("it says that it plays");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it lives");
    let ended = child.wait_with_output().expect("it ends");
    let mut rest = String::new();
    errors.read_to_string(&mut rest).expect("text");
    assert!(ended.status.success(), "{rest}");
    assert!(rest.contains("stopped: a valid result of"), "{rest}");
    let result = String::from_utf8(ended.stdout).expect("text");
    let rows = result.matches("\"number\":").count();
    assert!((1..1_000).contains(&rows), "{rows} replications were played");
    let report = put(&dir, "partial.json", &result);
    tidegate(["simulate", &file, "--verify", &report]).ends(0, &["verified"]);
}
