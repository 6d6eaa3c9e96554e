//! The command line as people meet it, mistakes included: exit codes, and words that say what to do.
//!
//! Exit codes: 0 done, 1 a check failed, 2 wrong use, 3 bad input with file, line, field and remedy. Data goes to standard
//! output and nothing else does; a mistake leaves nothing behind. What a running node answers is `tests/serve`'s matter.

#[path = "support/run.rs"]
mod run;

use run::tidegate;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

const NOTHING: [&str; 0] = [];

/// A mistake: its arguments, exit code and words on standard error; nothing may be on standard output.
#[track_caller]
fn mistake(arguments: &[&str], code: i32, words: &[&str]) {
    let ran = tidegate(arguments).ends(code, words);
    assert_eq!(ran.out, "", "a mistake prints no data");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The example's directory, copied; `change` edits its configuration.
fn example(change: impl Fn(String) -> String) -> (tempfile::TempDir, String) {
    let dir = tempdir().expect("a temporary directory");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/serve");
    fs::copy(from.join("policy.toml"), dir.path().join("policy.toml")).expect("copied");
    let file = dir.path().join("tidegate.toml");
    fs::write(&file, change(fs::read_to_string(from.join("tidegate.toml")).expect("read"))).expect("written");
    (dir, text(&file).to_owned())
}

#[test]
fn help_and_version_are_data() {
    let help = tidegate(["--help"]).ends(0, &[]);
    for command in ["demo", "serve", "replay", "journal", "config"] {
        assert!(help.out.contains(command), "{command} is missing in:\n{}", help.out);
    }
    assert_eq!(tidegate(["--version"]).ends(0, &[]).out, format!("tidegate {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_use_is_2() {
    mistake(&NOTHING, 2, &["Usage: tidegate"]);
    mistake(&["demo", "--bogus"], 2, &["unexpected argument '--bogus'", "--help"]);
    mistake(&["frobnicate"], 2, &["unrecognized subcommand 'frobnicate'"]);
    mistake(&["dmeo"], 2, &["a similar subcommand exists: 'demo'"]);
    mistake(&["--lang", "fr", "demo"], 2, &["possible values: en, zh"]);
    mistake(&["demo", "--week", "--day", "1999-05-23"], 2, &["cannot be used with"]);
    mistake(&["journal", "verify"], 2, &["<JOURNAL>"]);
    mistake(&["serve", "--listen", "nonsense"], 2, &["\"nonsense\" is no address", "HOST:PORT"]);
    mistake(&["serve", "--listen", "localhost:65536"], 2, &["is no address"]);
}

/// Each limit: at it, one past it, ten times past it.
#[test]
fn limits_of_the_demonstration() {
    for wrong in ["0", "20001", "200000", "fast"] {
        mistake(&["demo", "--speed", wrong], 2, &["--speed"]);
    }
    for wrong in ["22-20", "20-20", "20-25", "20-250", "20", "a-b", "-1-3", "20-"] {
        mistake(&["demo", &format!("--hours={wrong}")], 2, &["write two whole hours from 0 to 24, as in 20-22"]);
    }
    // At their limits both are taken: the day that is asked for is then what is missing.
    mistake(&["demo", "--speed", "20000", "--hours", "0-24", "--day", "2001-01-01"], 3, &["no rows of 2001-01-01"]);
}

#[test]
fn a_day_that_the_trace_lacks_names_those_it_has() {
    mistake(&["demo", "--day", "2001-01-01"], 3, &["no rows of 2001-01-01", "1999-05-16", "1999-05-23", "choose one of these"]);
    mistake(&["demo", "--hours", "3-4"], 3, &["nobody comes in these hours", "--hours"]);
}

#[test]
fn a_trace_that_cannot_be_read_is_named() {
    mistake(&["demo", "--trace", "not-there.csv"], 3, &["not-there.csv: cannot be read", "check the path"]);
    let dir = tempdir().expect("a temporary directory");
    let path = dir.path().join("broken.csv");
    let head = "day,type,priority,customer,vru_entry_s,vru_s,q_start_s,q_s,outcome,ser_start_s,ser_s,agent";
    let good = "1999-05-23,PS,0,0,867,23,,0,HANG,,0,";
    fs::write(&path, format!("{head}\n{good}\n1999-05-23,PS,0,0,noon,23,,0,HANG,,0,\n")).expect("written");
    mistake(&["demo", "--strict", "--trace", text(&path)], 3, &["broken.csv:3", "vru_entry_s", "noon"]);
    fs::write(&path, format!("{head}\n{good}\n1999-05-23,PS,0,0,867,23,,0,ANSWERED,,0,\n")).expect("written");
    mistake(&["demo", "--strict", "--trace", text(&path)], 3, &["broken.csv:3", "outcome", "ANSWERED"]);
    fs::write(&path, "when,who\n1,2\n").expect("written");
    mistake(&["demo", "--strict", "--trace", text(&path)], 3, &["broken.csv:1", "when,who", "expected the header day,type"]);
    mistake(&["demo", "--trace", text(&path)], 3, &["broken.csv:1: line: found"]);
}

#[test]
fn the_example_passes_its_own_check() {
    let (_dir, file) = example(|text| text);
    let ran = tidegate(["config", "check", &file]).ends(0, &[]);
    assert!(ran.out.contains("good; 1 tenant(s), 3 agent(s)"), "{}", ran.out);
    let shown = tidegate(["config", "example"]).ends(0, &[]).out;
    assert_eq!(shown, fs::read_to_string(&file).expect("read"), "`config example` prints the example that is tested here");
}

#[test]
fn a_missing_configuration_is_named() {
    mistake(&["config", "check", "not-there.toml"], 3, &["not-there.toml: cannot be read", "name an existing file"]);
    mistake(&["serve", "-c", "not-there.toml"], 3, &["not-there.toml: cannot be read"]);
}

/// A fault of the configuration: file, line, and words. The same by `config check` and by `serve`.
#[track_caller]
fn fault(change: impl Fn(String) -> String, line: usize, words: &[&str]) {
    let (_dir, file) = example(change);
    let place = format!("tidegate.toml:{line}:");
    let words = [&[place.as_str()], words].concat();
    mistake(&["config", "check", &file], 3, &words);
    mistake(&["serve", "--listen", "127.0.0.1:0", "-c", &file], 3, &words);
}

#[track_caller]
fn swap(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the example has no {from:?} any more");
    text.replacen(from, to, 1)
}

fn line_of(part: &str) -> usize {
    let text = include_str!("../examples/serve/tidegate.toml");
    let before = &text[..text.find(part).expect("the example has it")];
    before.matches('\n').count() + 1
}

#[test]
fn faults_of_a_configuration_have_file_line_field_and_remedy() {
    let data = line_of("data_dir = ");
    fault(|t| swap(&t, "data_dir =", "data_dri ="), data, &["unknown field `data_dri`", "did you mean \"data_dir\"?"]);
    fault(|t| swap(&t, "listen =", "lissten ="), line_of("listen = "), &["unknown field `lissten`", "did you mean \"listen\"?"]);
    fault(|t| swap(&t, "data_dir = \"data\"", "data_dir = 7"), data, &["expected", "string"]);
    fault(|t| swap(&t, "data_dir = \"data\"", "data_dir = \"data"), data, &["invalid basic string"]);
    fault(|t| swap(&t, "127.0.0.1:8080", "localhost"), line_of("listen = "), &["listen: \"localhost\" is no address", "HOST:PORT"]);
    fault(|t| swap(&t, "id = 1", "id = 0"), line_of("id = 1"), &["tenant.id", "a number from 1"]);
    fault(|t| swap(&t, "policy.toml\"\n\n", "gone.toml\"\n\n"), line_of("policy = "), &["tenant.policy", "gone.toml"]);
    fault(|t| swap(&t, "account = 1", "account = 0"), line_of("account = 1"), &["inbox \"shop\".account"]);
    fault(|t| swap(&t, "https://shop.example\"", "https://shop.example/a\""), line_of("origins = "), &["origins", "scheme://host"]);
}

#[test]
fn an_unknown_skill_or_queue_names_the_nearest() {
    let (skills, account) = (line_of("skills = { sales = 8"), line_of("account = 1"));
    fault(|t| swap(&t, "{ sales = 8", "{ salse = 8"), skills, &["agent \"Lin\".skills.salse", "did you mean \"sales\"?"]);
    fault(|t| swap(&t, "{ sales = 8", "{ welsh = 8"), skills, &["valid names: sales, support, english"]);
    fault(
        |t| swap(&t, "account = 1", "account = 1\n  queue = \"sale\""),
        account + 1,
        &["inbox \"shop\".queue", "did you mean \"sales\"?"],
    );
    fault(|t| swap(&t, "{ sales = 8", "{ sales = 11"), skills, &["a level is 1 to 10, found 11"]);
    fault(|t| swap(&t, "{ sales = 8", "{ sales = 110"), skills, &["a level is 1 to 10, found 110"]);
    fault(|t| swap(&t, "seat = 2", "seat = 1"), line_of("seat = 2"), &["agent \"Chen\".seat"]);
}

#[test]
fn limits_of_a_configuration() {
    let with =
        |size: u64| move |t: String| swap(&t, "data_dir = \"data\"\n", &format!("data_dir = \"data\"\nsegment_mib = {size}\n"));
    let line = line_of("data_dir = ") + 1;
    for size in [1, 1_024] {
        let (_dir, file) = example(with(size));
        tidegate(["config", "check", &file]).ends(0, &[]);
    }
    for size in [0, 1_025, 10_240] {
        fault(with(size), line, &["segment_mib: is 1 to 1024"]);
    }
}

#[test]
fn every_fault_is_told_at_once_in_order_of_lines() {
    let (_dir, file) =
        example(|t| swap(&swap(&swap(&t, "127.0.0.1:8080", "x"), "account = 1", "account = 0"), "sales = 8", "sales = 0"));
    let ran = tidegate(["config", "check", &file]).ends(3, &["listen:", ".account:", ".skills.sales:"]);
    let places = ["listen:", ".account:", ".skills.sales:"].map(|field| ran.err.find(field));
    assert!(places.is_sorted(), "{}", ran.err);
}

#[test]
fn a_faulty_policy_is_named_by_its_own_file_and_line() {
    let (dir, file) = example(|text| text);
    let policy = dir.path().join("policy.toml");
    let text = fs::read_to_string(&policy).expect("read");
    fs::write(&policy, swap(&text, "requires = { support = 1 }", "requires = { suport = 1 }")).expect("written");
    let line = text[..text.find("requires = { support").expect("there")].matches('\n').count() + 1;
    mistake(&["config", "check", &file], 3, &[&format!("policy.toml:{line}:"), "\"suport\"", "did you mean \"support\"?"]);
}

#[test]
fn administration_tokens_come_from_files_and_are_never_shown() {
    let admin = "[[admin]]\nname = \"ops\"\nscope = \"admin\"\ntoken_file = \"ops.token\"\n\n[[tenant]]";
    let (dir, file) = example(|t| swap(&t, "[[tenant]]", admin));
    mistake(&["config", "check", &file], 3, &["admin \"ops\".token_file", "ops.token", "No such file"]);
    let token = dir.path().join("ops.token");
    for (bytes, code) in [(31, 3), (32, 0), (512, 0), (513, 3), (5_120, 3)] {
        let secret = "s".repeat(bytes);
        fs::write(&token, &secret).expect("written");
        let ran = tidegate(["config", "check", &file]).ends(code, if code == 0 { &[] } else { &["ops.token", "32 to 512"] });
        assert!(!ran.err.contains(&secret) && !ran.out.contains(&secret), "the token is shown");
    }
    let (_dir, file) = example(|t| swap(&t, "[[tenant]]", &admin.replace("\"admin\"", "\"root\"")));
    mistake(
        &["config", "check", &file],
        3,
        &["unknown variant `root`", "`viewer`, `agent`, `supervisor`, `operator`, `planner`, `admin`"],
    );
}

#[test]
fn a_log_that_is_not_there_is_named_and_nothing_is_made() {
    let dir = tempdir().expect("a temporary directory");
    let gone = dir.path().join("gone");
    for command in [&["journal", "verify"][..], &["journal", "inspect"], &["journal", "export"], &["replay"]] {
        let with = |path: &Path| [command, &[text(path)]].concat().iter().map(|a| (*a).to_owned()).collect::<Vec<_>>();
        let missing = with(&gone);
        tidegate(&missing).ends(3, &["gone", "No such file", "name the directory of a stopped node's log"]);
        let empty = with(dir.path());
        tidegate(&empty).ends(3, &["holds no log", "name the directory of a stopped node's log"]);
    }
    assert!(!gone.exists());
    assert_eq!(fs::read_dir(dir.path()).expect("read").count(), 0, "looking at a directory left something in it");
}
