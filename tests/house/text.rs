//! Rules about every text file: no path of one machine, no registry host, no path outside the clone.
//!
//! The tree must mean the same wherever it is cloned. The one exception is `.ci/run`, which may look for the shared data
//! sets beside the clone. Lock files are written by tools and not read. Patterns are spelt in halves, since this file is
//! read by its own rule.

use crate::tree::{Tree, assert_caught, assert_clean};

const MACHINE: &[(&str, &str)] = &[
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("/fa", "rm/"), "a path of one machine"),
    (concat!("static.", "crates."), "a registry's host"),
    (concat!("index.", "crates.io"), "a registry's host"),
    (concat!("files.", "pythonhosted"), "a registry's host"),
    (concat!("registry.", "npmjs"), "a registry's host"),
    (concat!("deb.", "debian"), "a registry's host"),
    (concat!("arti", "factory"), "a registry's host"),
];

fn machine(tree: &Tree) -> Vec<String> {
    let outside = concat!("../sha", "red");
    let mut violations = Vec::new();
    for file in tree.files.iter().filter(|file| !file.path.ends_with(".lock")) {
        for (at, line) in file.text.lines().enumerate() {
            let mut found = MACHINE.iter().filter(|(word, _)| line.contains(word)).map(|(_, what)| *what).next();
            if line.contains(outside) && file.path != ".ci/run" {
                found = Some("a path outside the clone (TIDEGATE_DATA names the data)");
            }
            violations.extend(found.map(|what| format!("{}:{}: {what}: {}", file.path, at + 1, excerpt(line))));
        }
    }
    violations
}

fn excerpt(line: &str) -> String {
    line.trim().chars().take(80).collect()
}

#[test]
fn no_machine_is_named() {
    assert_clean("machine", &machine(&Tree::load()));
}

#[test]
fn planted_machines_are_caught() {
    let at = |path: &str, text: &str| machine(&Tree::planted(&[(path, text)]));
    assert_caught(&at("docs/A.md", concat!("see /wo", "rk/main")), "docs/A.md:1: a path of one machine");
    assert_caught(&at("a.toml", concat!("\nurl = \"https://static.", "crates.io\"")), "a.toml:2: a registry's host");
    assert_caught(&at("src/a.rs", concat!("../sha", "red/data")), "outside the clone");
    assert!(at(".ci/run", concat!("../sha", "red/data")).is_empty());
    assert!(at("Cargo.lock", concat!("https://index.", "crates.io")).is_empty());
}
