//! The lowest compiler for the crates that people embed: declared, alike everywhere, and not above what dependencies ask for.
//!
//! Two checks of words, which need no second compiler. That an older one really builds and passes is proved by the part
//! `minimum-rust` of `./verify`, which fetches it; clippy's `incompatible_msrv` (in the part `clippy`) reads `rust-version`
//! and refuses newer library items meanwhile. It refuses to know any version itself: the manifests say it.
#![forbid(unsafe_code)]

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const CRATES: [&str; 3] = ["tidegate-model", "tidegate-matcher", "tidegate-core"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `1.85` and `1.85.0` are the same version.
fn version(text: &str) -> (u32, u32, u32) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or_else(|_| panic!("{text:?} is no version of Rust")));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

fn metadata() -> Value {
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(["metadata", "--locked", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata:\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

struct Package<'m> {
    name: &'m str,
    rust: Option<&'m str>,
    /// Ids of what its library needs: neither tests nor build scripts of others.
    needs: Vec<&'m str>,
}

fn packages(metadata: &Value) -> BTreeMap<&str, Package<'_>> {
    let mut packages = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let (id, name) = (package["id"].as_str().unwrap_or_default(), package["name"].as_str().unwrap_or_default());
        packages.insert(id, Package { name, rust: package["rust_version"].as_str(), needs: Vec::new() });
    }
    for node in metadata["resolve"]["nodes"].as_array().into_iter().flatten() {
        let Some(package) = node["id"].as_str().and_then(|id| packages.get_mut(id)) else { continue };
        for dep in node["deps"].as_array().into_iter().flatten() {
            let is_needed = dep["dep_kinds"].as_array().into_iter().flatten().any(|kind| {
                // Under a `cfg` of a checker nothing is built for users.
                let is_checker = kind["target"].as_str().is_some_and(|cfg| cfg.contains("loom") || cfg.contains("shuttle"));
                !is_checker && kind["kind"].as_str() != Some("dev")
            });
            if is_needed {
                package.needs.extend(dep["pkg"].as_str());
            }
        }
    }
    packages
}

/// Everything that the library of `name` is built from, with the version that each asks for.
fn asked<'m>(packages: &BTreeMap<&'m str, Package<'m>>, name: &str) -> BTreeMap<&'m str, Option<&'m str>> {
    let mut open: Vec<&str> = packages.iter().filter(|(_, package)| package.name == name).map(|(id, _)| *id).collect();
    assert_eq!(open.len(), 1, "one package {name}");
    let mut found = BTreeMap::new();
    while let Some(package) = open.pop().and_then(|id| packages.get(id)) {
        if found.insert(package.name, package.rust).is_none() {
            open.extend(&package.needs);
        }
    }
    found
}

/// What is wrong with the tree below `name`.
fn faults(packages: &BTreeMap<&str, Package<'_>>, name: &str, lowest: &str) -> Vec<String> {
    let above = |rust: &&str| version(rust) > version(lowest);
    let tree = asked(packages, name);
    let rows = tree.iter().filter_map(|(dependency, rust)| Some((dependency, rust.filter(above)?)));
    rows.map(|(dependency, rust)| format!("{name} promises Rust {lowest}, and {dependency} asks for {rust}")).collect()
}

#[test]
fn the_promise_is_one_and_no_dependency_asks_for_more() {
    let metadata = metadata();
    let packages = packages(&metadata);
    let promised: Vec<_> = CRATES.iter().map(|name| asked(&packages, name)[name].expect("a rust-version")).collect();
    let lowest = promised[0];
    assert!(promised.iter().all(|rust| *rust == lowest), "{CRATES:?} promise {promised:?}: one promise for all three");
    let whole = std::fs::read_to_string(root().join("Cargo.toml")).expect("the manifest").parse::<toml::Table>().expect("TOML");
    let ours = whole["workspace"]["package"]["rust-version"].as_str().expect("the workspace's rust-version");
    assert!(version(lowest) < version(ours), "{lowest} is not lower than the workspace's {ours}: nothing is promised");
    // Edition 2024 asks for it, whatever a manifest says.
    assert!(version(lowest) >= version("1.85"), "edition 2024 needs Rust 1.85");
    for name in CRATES {
        let tree = asked(&packages, name);
        assert!(tree.len() > 3, "{name} is built from {tree:?}");
        assert_eq!(faults(&packages, name, lowest), Vec::<String>::new());
    }
    // The checks can say no.
    assert!(!faults(&packages, "tidegate-core", "1.0").is_empty());
    assert!(!faults(&packages, "tidegate-router", lowest).is_empty(), "the router's tree asks for more");
}

#[test]
fn versions_compare_as_numbers() {
    assert!(version("1.85") == version("1.85.0") && version("1.9") < version("1.85") && version("1.95") > version("1.85.1"));
}
