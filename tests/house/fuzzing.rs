//! Rules about fuzzing: each target has a corpus, is in the list that plain tests run, and has its libFuzzer wrapper.
//!
//! A target is a function `pub fn name(data: &[u8])` in `fuzz/src/targets/`. This file reads texts only; what the targets do is
//! their own matter.

use crate::lexer::code_only;
use crate::tree::{Tree, assert_caught, assert_clean};

fn target_names(tree: &Tree) -> Vec<String> {
    let sources = tree.files.iter().filter(|file| file.path.starts_with("fuzz/src/targets/") && file.path.ends_with(".rs"));
    sources
        .flat_map(|file| {
            let code = code_only(&file.text);
            let names = code.split("pub fn ").skip(1).filter_map(|rest| {
                let (name, arguments) = rest.split_once('(')?;
                arguments.starts_with("data: &[u8])").then(|| name.to_owned())
            });
            names.collect::<Vec<_>>()
        })
        .collect()
}

fn fuzzing(tree: &Tree) -> Vec<String> {
    let list = tree.text("fuzz/src/lib.rs").unwrap_or_default();
    let wrappers = tree.text("fuzz/cargo-fuzz/Cargo.toml").unwrap_or_default();
    let mut violations = Vec::new();
    for name in target_names(tree) {
        let corpus = format!("fuzz/corpus/{name}");
        if !tree.holds(&corpus) {
            violations.push(format!("{corpus}: the target `{name}` has no corpus"));
        }
        if !list.contains(&format!("\"{name}\"")) {
            violations.push(format!("fuzz/src/lib.rs: the target `{name}` is not in TARGETS"));
        }
        if !wrappers.contains(&format!("name = \"{name}\"")) {
            violations.push(format!("fuzz/cargo-fuzz/Cargo.toml: the target `{name}` has no wrapper"));
        }
    }
    violations
}

#[test]
fn every_target_has_corpus_entry_and_wrapper() {
    let tree = Tree::load();
    assert!(!target_names(&tree).is_empty(), "no fuzz target found under fuzz/src/targets");
    assert_clean("fuzz targets", &fuzzing(&tree));
}

#[test]
fn planted_gaps_are_caught() {
    let target = ("fuzz/src/targets/a.rs", "pub fn frames(data: &[u8]) {}\nfn helper(data: &[u8]) {}\n");
    let list = ("fuzz/src/lib.rs", "(\"frames\", a::frames)");
    let wrapper = ("fuzz/cargo-fuzz/Cargo.toml", "name = \"frames\"");
    let seed = ("fuzz/corpus/frames/one", "x");
    assert!(fuzzing(&Tree::planted(&[target, list, wrapper, seed])).is_empty());
    assert_caught(&fuzzing(&Tree::planted(&[target, list, wrapper])), "has no corpus");
    assert_caught(&fuzzing(&Tree::planted(&[target, wrapper, seed])), "not in TARGETS");
    assert_caught(&fuzzing(&Tree::planted(&[target, list, seed])), "no wrapper");
}
