//! Rules about Rust files: heads, size, `unsafe`, stubs, clocks, sleeps, `no_std`.
//!
//! Code is told from comments and literals by [`crate::lexer`], so that a rule may be named in a comment without breaking it.
//! Words that must not stand in a source are spelt in two halves here, since this file is read by its own rules.

use crate::lexer::{code_only, has_word, without_tests};
use crate::tree::{File, Tree, assert_caught, assert_clean};

/// A file past this wants to be two.
const LINES_MAX: usize = 800;

/// How far above an `unsafe` its note may begin; a note is one comment, directly above the statement.
const NOTE_REACH: usize = 12;

/// Whether a file holds tests, benches or examples only.
fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("tests.rs") || path.contains("benches/")
}

fn lines_with<'a>(file: &'a File, code: &'a str) -> impl Iterator<Item = (usize, &'a str, &'a str)> {
    code.lines().zip(file.text.lines()).enumerate().map(|(at, (code, text))| (at + 1, code, text))
}

fn heads(tree: &Tree) -> Vec<String> {
    let headless = |file: &&File| !file.text.lines().take(3).any(|line| line.starts_with("//!"));
    tree.ending(".rs")
        .filter(headless)
        .map(|file| format!("{}:1: no module head: begin with `//!`, what it is for and what it refuses to know", file.path))
        .collect()
}

/// The length of the head of each library file, in lines.
fn head_lengths(tree: &Tree) -> Vec<usize> {
    let length = |file: &File| file.text.lines().take_while(|line| line.starts_with("//!")).count();
    let written = |file: &&File| !is_test(&file.path) && !file.path.starts_with("fuzz/cargo-fuzz/");
    tree.ending(".rs").filter(written).map(length).collect()
}

fn sizes(tree: &Tree) -> Vec<String> {
    tree.ending(".rs")
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(file, lines)| format!("{}: {lines} lines, more than {LINES_MAX}: it wants to be two", file.path))
        .collect()
}

fn unsafe_code(tree: &Tree) -> Vec<String> {
    let mut violations = Vec::new();
    for file in tree.ending(".rs") {
        let code = code_only(&file.text);
        let texts = file.text.lines().collect::<Vec<_>>();
        let mut unclaimed_from = 0;
        // `unsafe fn(…)` without a name is the type of a function pointer: nothing happens there.
        let acts = |code: &str| has_word(&code.replace("unsafe fn(", ""), "unsafe");
        for (line, code, _) in lines_with(file, &code).filter(|(_, code, _)| acts(code)) {
            if !file.path.starts_with("router/matcher/") {
                violations.push(format!("{}:{line}: unsafe outside router/matcher", file.path));
                continue;
            }
            // `unsafe fn` in a signature states its contract under `# Safety`; everything else argues under `SAFETY:`.
            let declares = code.contains("unsafe fn") || code.contains("unsafe trait");
            let (note, reach) = if declares { ("# Safety", 40) } else { ("SAFETY:", NOTE_REACH) };
            let from = if declares { 0 } else { unclaimed_from }.max(line.saturating_sub(reach));
            let noted = texts[from..line].iter().any(|text| text.contains(note));
            // An implementation of an unsafe trait's function argues like a block does.
            if !noted && !texts[line.saturating_sub(NOTE_REACH)..line].iter().any(|text| text.contains("SAFETY:")) {
                violations.push(format!("{}:{line}: unsafe without a `{note}` note directly above", file.path));
            } else if !noted {
                let reason = "two unsafe blocks share one SAFETY note: each argues for itself";
                violations.push(format!("{}:{line}: {reason}", file.path));
            }
            unclaimed_from = line;
        }
    }
    violations
}

fn forbids_unsafe(tree: &Tree) -> Vec<String> {
    let is_root = |path: &str| path.ends_with("src/lib.rs") || path == "src/main.rs" || path == "src/lib.rs";
    tree.files
        .iter()
        .filter(|file| is_root(&file.path) && !file.path.starts_with("router/matcher/"))
        .filter(|file| !file.path.starts_with("fuzz/cargo-fuzz/"))
        .filter(|file| !code_only(&file.text).contains("#![forbid(unsafe_code)]"))
        .map(|file| format!("{}: lacks `#![forbid(unsafe_code)]`; unsafe lives in router/matcher only", file.path))
        .collect()
}

fn stubs(tree: &Tree) -> Vec<String> {
    let banned = [
        concat!("to", "do!"),
        concat!("unimple", "mented!"),
        concat!("db", "g!"),
        concat!("#[ig", "nore"),
        concat!("allow(dead", "_code"),
        concat!("allow(un", "used"),
        concat!("allow(warn", "ings"),
        concat!("allow(clippy", "::all"),
        concat!("expect(dead", "_code"),
        concat!("expect(un", "used"),
    ];
    let mut violations = Vec::new();
    for file in tree.ending(".rs") {
        for (line, code, _) in lines_with(file, &code_only(&file.text)) {
            let found = banned.iter().filter(|word| code.replace(' ', "").contains(**word));
            violations.extend(found.map(|word| format!("{}:{line}: `{word}`: finish it or leave it out", file.path)));
        }
    }
    violations
}

/// What a room's library code may not reach. `std::env` belongs to src/ alone; the deciding rooms reach nothing at all.
fn reaches(tree: &Tree) -> Vec<String> {
    let deciding = ["router/model/src/", "router/core/src/", "router/matcher/src/", "sim/src/"];
    let libraries = ["router/", "channels/src/", "sim/src/"];
    let for_deciding = [
        ("Instant::now", "`now` is an argument"),
        ("SystemTime::now", "`now` is an argument"),
        ("thread::spawn", "one thread at a time decides; the caller brings threads"),
        ("thread::sleep", "time is asked for by deadline only"),
        ("RandomState", "hash order differs from run to run"),
        ("getrandom", "randomness is an input, or a seeded stream"),
        ("std::net", "no sockets in a deciding room"),
        ("tokio::", "no runtime in a deciding room"),
    ];
    let mut violations = Vec::new();
    for file in tree.ending(".rs").filter(|file| !is_test(&file.path)) {
        let code = without_tests(&file.text);
        let in_deciding = deciding.iter().any(|room| file.path.starts_with(room));
        let in_library = libraries.iter().any(|room| file.path.starts_with(room)) && file.path.contains("src/");
        for (line, code, _) in lines_with(file, &code) {
            if in_deciding {
                let found = for_deciding.iter().filter(|(word, _)| code.contains(word));
                violations.extend(found.map(|(word, why)| format!("{}:{line}: {word}: {why}", file.path)));
            }
            if in_library && ["env::var", "env::args", "env::vars"].iter().any(|word| code.contains(word)) {
                let why = "src/ alone reads argv and environment, and passes what it read as arguments";
                violations.push(format!("{}:{line}: std::env: {why}", file.path));
            }
        }
    }
    violations
}

/// A test waits for an event, never for time. A pause inside a loop that asks for a condition is waiting for the event; where a
/// test paces real traffic it says so: `// Paces: …` within two lines. Benches pace.
fn sleeps(tree: &Tree) -> Vec<String> {
    let mut violations = Vec::new();
    for file in tree.ending(".rs").filter(|file| is_test(&file.path) && !file.path.starts_with("benches/")) {
        let texts = file.text.lines().collect::<Vec<_>>();
        for (line, code, _) in lines_with(file, &code_only(&file.text)) {
            let sleeps = code.contains("thread::sleep(") || code.contains("time::sleep(") || code.contains(" sleep(");
            let paced = texts[line.saturating_sub(3)..line].iter().any(|text| text.contains("// Paces:"));
            let polls = texts[line.saturating_sub(5)..line].iter().any(|text| text.trim_start().starts_with("while "));
            if sleeps && !paced && !polls && !file.text.contains("start_paused") {
                violations.push(format!("{}:{line}: a sleep in a test: wait for the event, or say `// Paces: what`", file.path));
            }
        }
    }
    violations
}

fn no_std(tree: &Tree) -> Vec<String> {
    let wanted = [
        ("router/model/src/lib.rs", "#![no_std]"),
        ("router/core/src/lib.rs", "#![no_std]"),
        ("router/matcher/src/lib.rs", "no_std"),
    ];
    wanted
        .iter()
        .filter(|(path, attribute)| {
            let code = tree.text(path).map(code_only).unwrap_or_default();
            !code.lines().any(|line| line.trim_start().starts_with("#![") && line.contains(attribute))
        })
        .map(|(path, attribute)| format!("{path}: lacks `{attribute}`: the compiler proves that it reaches no clock"))
        .collect()
}

#[test]
fn every_file_has_a_head() {
    let tree = Tree::load();
    assert_clean("module heads", &heads(&tree));
    let mut lengths = head_lengths(&tree);
    lengths.sort_unstable();
    let median = lengths.get(lengths.len() / 2).copied().unwrap_or_default();
    let short = lengths.iter().filter(|length| **length < 5).count();
    println!("module heads: {} library files, median {median} lines, {short} below five", lengths.len());
}

#[test]
fn no_file_is_past_its_size() {
    assert_clean("file size", &sizes(&Tree::load()));
}

#[test]
fn unsafe_lives_in_the_matcher_and_argues() {
    let tree = Tree::load();
    assert_clean("unsafe", &unsafe_code(&tree));
    assert_clean("unsafe", &forbids_unsafe(&tree));
}

#[test]
fn nothing_is_stubbed_or_silenced() {
    assert_clean("stubs", &stubs(&Tree::load()));
}

#[test]
fn deciding_rooms_reach_nothing() {
    assert_clean("reach", &reaches(&Tree::load()));
}

#[test]
fn tests_do_not_sleep() {
    assert_clean("sleeps", &sleeps(&Tree::load()));
}

#[test]
fn model_core_and_matcher_are_no_std() {
    assert_clean("no_std", &no_std(&Tree::load()));
}

#[test]
fn planted_violations_are_caught() {
    let at = |path: &str, text: &str| Tree::planted(&[(path, text)]);
    assert_caught(&heads(&at("sim/src/a.rs", "use core::fmt;\n")), "no module head");
    assert_caught(&sizes(&at("sim/src/a.rs", &"//! a\n".repeat(LINES_MAX + 1))), "801 lines");
    assert!(sizes(&at("sim/src/a.rs", &"//! a\n".repeat(LINES_MAX))).is_empty());
    assert_caught(&stubs(&at("sim/src/a.rs", concat!("fn a() { to", "do!() }"))), "finish it");
    assert_caught(&stubs(&at("sim/src/a.rs", concat!("#[ig", "nore = \"slow\"]\nfn a() {}"))), "a.rs:1");
    assert_caught(&stubs(&at("sim/src/a.rs", concat!("#![allow(un", "used_variables)]"))), "finish it");
    assert_caught(&forbids_unsafe(&at("sim/src/lib.rs", "//! sim\n")), "forbid(unsafe_code)");
    assert_caught(&sleeps(&at("tests/a.rs", "fn a() { std::thread::sleep(D); }")), "a sleep in a test");
    assert!(sleeps(&at("tests/a.rs", "// Paces: the storm day\nfn a() { std::thread::sleep(D); }")).is_empty());
    let poll = "fn a() {\n while !done() {\n  std::thread::sleep(D);\n }\n}";
    assert!(sleeps(&at("tests/a.rs", poll)).is_empty());
    let no_attribute = [("router/model/src/lib.rs", "#![no_std]"), ("router/core/src/lib.rs", "// #![no_std]")];
    let matcher = ("router/matcher/src/lib.rs", "#![cfg_attr(not(feature = \"std\"), no_std)]");
    assert_caught(&no_std(&Tree::planted(&[no_attribute[0], no_attribute[1], matcher])), "router/core");
}

#[test]
fn planted_unsafe_is_caught() {
    let at = |path: &str, text: &str| unsafe_code(&Tree::planted(&[(path, text)]));
    let block = "// SAFETY: one owner\nunsafe { a() }\n";
    assert_caught(&at("router/core/src/a.rs", block), "outside router/matcher");
    assert!(at("router/matcher/src/a.rs", block).is_empty());
    assert!(at("router/core/src/a.rs", "#![forbid(unsafe_code)] // no unsafe\n").is_empty());
    assert!(at("router/matcher/src/a.rs", "drop: unsafe fn(*mut u8),\n").is_empty());
    assert_caught(&at("router/matcher/src/a.rs", "unsafe { a() }\n"), "without a `SAFETY:` note");
    assert_caught(&at("router/matcher/src/a.rs", &format!("{block}unsafe {{ b() }}\n")), "share one SAFETY note");
    assert_caught(&at("router/matcher/src/a.rs", "/// Does.\npub unsafe fn a() {}\n"), "without a `# Safety` note");
    assert!(at("router/matcher/src/a.rs", "/// # Safety\n/// Once.\npub unsafe fn a() {}\n").is_empty());
}

#[test]
fn planted_reaches_are_caught() {
    let at = |path: &str, text: &str| reaches(&Tree::planted(&[(path, text)]));
    assert_caught(&at("router/core/src/a.rs", "fn a() { let t = Instant::now(); }"), "`now` is an argument");
    assert_caught(&at("sim/src/a.rs", "fn a() { std::thread::spawn(b); }"), "brings threads");
    assert_caught(&at("channels/src/a.rs", "fn a() { std::env::var(\"B\"); }"), "src/ alone reads");
    assert!(at("router/src/a.rs", "fn a() { Instant::now(); }").is_empty());
    assert!(at("router/core/src/a.rs", "// Instant::now\n#[cfg(test)]\nmod tests {\n fn a() { Instant::now(); }\n}").is_empty());
    assert!(at("router/core/tests/a.rs", "fn a() { std::env::var(\"TIDEGATE_SEED\"); }").is_empty());
}
