//! The arrows between the rooms, read from `cargo tree`: who may see whom, and which rooms never compile a runtime.
//!
//! Arrows point down only (docs/ARCHITECTURE.md). The table [`ALLOWED`] is the design's; a dependency of tests is held to it
//! too, except where [`ALLOWED_IN_TESTS`] opens a door. The deciding rooms are also type-checked as `no_std`.
//! This file refuses to know why a room wants an edge: a new one changes the design first, and then this table.

use std::path::Path;
use std::process::Command;

use crate::tree::{assert_caught, assert_clean, root};

/// Each room and the rooms of ours it may see.
const ALLOWED: &[(&str, &[&str])] = &[
    ("tidegate-model", &[]),
    ("tidegate-matcher", &["tidegate-model"]),
    ("tidegate-core", &["tidegate-matcher", "tidegate-model"]),
    ("tidegate-journal", &["tidegate-model"]),
    ("tidegate-router", &["tidegate-core", "tidegate-journal", "tidegate-matcher", "tidegate-model"]),
    ("tidegate-channels", &["tidegate-model"]),
    ("tidegate-sim", &["tidegate-core", "tidegate-journal", "tidegate-matcher", "tidegate-model"]),
    ("tidegate-console", &[]),
];

/// What a room's tests may see beside that: the router's tests replay its log in the twin.
const ALLOWED_IN_TESTS: &[(&str, &[&str])] = &[("tidegate-router", &["tidegate-sim"])];

/// Rooms whose whole tree, tests included, has no async runtime, socket stack or actor framework.
const WITHOUT_RUNTIME: &[&str] = &["tidegate-model", "tidegate-matcher", "tidegate-core", "tidegate-journal", "tidegate-sim"];

const RUNTIMES: &[&str] = &[
    "tokio",
    "ractor",
    "quinn",
    "quinn-proto",
    "async-std",
    "smol",
    "async-executor",
    "mio",
    "hyper",
    "axum",
    "openraft",
    "futures-executor",
    "socket2",
];

/// The distinct package names of `cargo tree`'s output, without the room itself.
fn names(room: &str, tree: &str) -> Vec<String> {
    let mut names = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != room && !name.starts_with('['))
        .map(str::to_owned)
        .collect::<Vec<_>>();
    names.sort();
    names.dedup();
    names
}

/// Rooms of ours in `direct` (the names one level down) that the design does not allow.
fn forbidden_edges(room: &str, direct: &[String], in_tests: bool) -> Vec<String> {
    let of = |table: &[(&str, &'static [&'static str])]| {
        table.iter().find(|(name, _)| *name == room).map_or(&[] as &[&str], |(_, rooms)| *rooms)
    };
    direct
        .iter()
        .filter(|name| name.starts_with("tidegate"))
        .filter(|name| !of(ALLOWED).contains(&name.as_str()))
        .filter(|name| !(in_tests && of(ALLOWED_IN_TESTS).contains(&name.as_str())))
        .map(|name| format!("{room} must not see {name}: arrows point down only (docs/ARCHITECTURE.md)"))
        .collect()
}

fn runtimes_in(room: &str, whole: &[String]) -> Vec<String> {
    whole
        .iter()
        .filter(|name| RUNTIMES.contains(&name.as_str()))
        .map(|name| format!("{room} compiles {name}: `cargo tree -p {room} --all-features -i {name}` shows through whom"))
        .collect()
}

fn cargo(arguments: &[&str], target: Option<&Path>) -> String {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    command.args(arguments).current_dir(root());
    if let Some(target) = target {
        command.env("CARGO_TARGET_DIR", target);
    }
    let output = command.output().expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {}:\n{errors}", arguments.join(" "));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

fn tree_of(room: &str, edges: &str, depth: &str) -> Vec<String> {
    let arguments = ["tree", "--locked", "-p", room, "-e", edges, "--depth", depth, "--prefix", "none", "--format", "{p}"];
    names(room, &cargo(&[&arguments[..], &["--all-features"]].concat(), None))
}

#[test]
fn arrows_point_down_only() {
    let mut violations = Vec::new();
    for (room, _) in ALLOWED {
        violations.extend(forbidden_edges(room, &tree_of(room, "normal,build", "1"), false));
        violations.extend(forbidden_edges(room, &tree_of(room, "normal,build,dev", "1"), true));
    }
    violations.dedup();
    assert_clean("arrows", &violations);
}

#[test]
fn deciding_rooms_compile_no_runtime() {
    let found = WITHOUT_RUNTIME.iter().flat_map(|room| runtimes_in(room, &tree_of(room, "normal,build,dev", "99")));
    assert_clean("no async runtime below the rims", &found.collect::<Vec<_>>());
}

/// Model, matcher and core compile with neither std nor a runtime: they can reach no clock, thread or file.
#[test]
fn deciding_rooms_compile_without_std() {
    // A directory of its own, because the enclosing `cargo test` may hold the lock of the common one.
    let target = std::env::var("CARGO_TARGET_DIR").map_or_else(|_| root().join("target"), Into::into).join("house");
    let arguments = ["check", "--locked", "--quiet", "--no-default-features", "--lib"];
    let rooms = ["-p", "tidegate-model", "-p", "tidegate-matcher", "-p", "tidegate-core"];
    cargo(&[&arguments[..], &rooms[..]].concat(), Some(&target));
    let features = ["tree", "--locked", "-p", "tidegate-core", "-e", "features,normal", "--prefix", "none"];
    let tree = cargo(&features, None);
    assert!(tree.contains("tidegate-matcher"), "core is expected to see the matcher:\n{tree}");
    assert!(
        !tree.contains("tidegate-matcher feature \"std\""),
        "core must take the matcher without its `std` feature, or a clock comes within its reach"
    );
}

#[test]
fn planted_edges_are_caught() {
    let tree = "tidegate-channels v0.1.0 (/x)\ntidegate-model v0.1.0 (/x)\ntidegate-router v0.1.0 (/x)\n[dev-dependencies]\n";
    assert_caught(&forbidden_edges("tidegate-channels", &names("tidegate-channels", tree), true), "must not see tidegate-router");
    let twin = ["tidegate-sim".to_owned()];
    assert_eq!(forbidden_edges("tidegate-router", &twin, true), Vec::<String>::new());
    assert_caught(&forbidden_edges("tidegate-router", &twin, false), "must not see tidegate-sim");
    assert_caught(&forbidden_edges("tidegate-model", &["tidegate-core".to_owned()], true), "must not see tidegate-core");
}

#[test]
fn a_planted_runtime_is_caught() {
    let tree = "tidegate-sim v0.1.0 (/x)\nserde v1.0.0\ntokio v1.54.0 (*)\ntokio v1.54.0\ntokio-util v0.7.0\n";
    assert_caught(&runtimes_in("tidegate-sim", &names("tidegate-sim", tree)), "compiles tokio");
}
