//! The public Rust API of the crates that people embed, item by item, against `docs/api/rust/<crate>.txt`.
//!
//! rustdoc's JSON, made by the pinned compiler, is read with `public-api`; blanket and automatic implementations are left
//! out, derived ones are listed (a `Clone` that goes breaks somebody). A difference is shown as the lines that went and
//! came. It refuses to judge a change: whoever means it renews the texts and the diff is read in review.
//!
//! Renew: `TIDEGATE_RENEW=1 cargo test -p tidegate-embedding --test public_api`.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates of `docs/decisions/0022-the-api-for-embedders.md`, as their users take them: with default features.
const CRATES: [&str; 3] = ["tidegate-model", "tidegate-matcher", "tidegate-core"];

const RENEW: &str = "if it is meant: TIDEGATE_RENEW=1 cargo test -p tidegate-embedding --test public_api";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The crate's API as text, an item a line.
fn made(name: &str) -> String {
    // A directory of its own: the enclosing `cargo test` may hold the lock of the common one, and the switch that lets a
    // released compiler write JSON would build the dependencies anew there.
    let target = std::env::var("CARGO_TARGET_DIR").map_or_else(|_| root().join("target"), PathBuf::from).join("public-api");
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        // The workspace optimises dependencies, which here would be a minute for nothing.
        .args(["rustdoc", "--config", "profile.dev.package.\"*\".opt-level=0", "--locked", "--quiet", "--lib", "-p", name])
        .args(["--", "-Z", "unstable-options", "--output-format", "json"])
        .args(["--cap-lints", "allow"])
        .current_dir(root())
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", &target)
        .env_remove("RUSTDOCFLAGS")
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo rustdoc -p {name}:\n{}", String::from_utf8_lossy(&output.stderr));
    let json = target.join("doc").join(format!("{}.json", name.replace('-', "_")));
    let api = public_api::Builder::from_rustdoc_json(json).omit_blanket_impls(true).omit_auto_trait_impls(true).build();
    let api = api.unwrap_or_else(|error| panic!("{name}: the compiler's JSON is not what `public-api` reads: {error}"));
    api.to_string()
}

/// Lines that went (`-`) and came (`+`), in the order of the texts.
fn difference(committed: &str, made: &str) -> Vec<String> {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (old, new) = (lines(committed), lines(made));
    let gone = committed.lines().filter(|line| !new.contains(*line)).map(|line| format!("- {line}"));
    gone.chain(made.lines().filter(|line| !old.contains(*line)).map(|line| format!("+ {line}"))).collect()
}

#[test]
fn the_public_api_is_the_committed_one() {
    let is_renewed = std::env::var_os("TIDEGATE_RENEW").is_some();
    let mut faults = Vec::new();
    for name in CRATES {
        let path = root().join("docs/api/rust").join(format!("{name}.txt"));
        let made = made(name);
        assert!(made.lines().count() > 100, "{name}: only\n{made}");
        if is_renewed {
            std::fs::write(&path, &made).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        if committed != made {
            let lines = difference(&committed, &made);
            faults.push(format!("{name}: {} lines differ from docs/api/rust/{name}.txt\n  {}", lines.len(), lines.join("\n  ")));
        }
    }
    assert!(faults.is_empty(), "the public API has changed\n{}\n{RENEW}", faults.join("\n"));
}

#[test]
fn what_went_and_what_came_is_told() {
    let committed = "pub fn a::one()\npub fn a::two(u32)\n";
    assert!(difference(committed, committed).is_empty());
    assert_eq!(difference(committed, "pub fn a::one()\n"), ["- pub fn a::two(u32)"]);
    let changed = difference(committed, "pub fn a::one()\npub fn a::two(u64)\n");
    assert_eq!(changed, ["- pub fn a::two(u32)", "+ pub fn a::two(u64)"]);
}
