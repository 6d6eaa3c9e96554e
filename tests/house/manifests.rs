//! Rules about manifests: one dependency table with a reason for each line, lints inherited, nothing from git.
//!
//! The table is `[workspace.dependencies]` of the root; the reasons stand in `docs/decisions/0002-dependencies.md`, one
//! table row a dependency, the crate's name in backticks first. A member takes a dependency from the table or by path.

use crate::tree::{Tree, assert_caught, assert_clean};

const REASONS: &str = "docs/decisions/0002-dependencies.md";

/// A reason is a sentence, not a word.
const REASON_MIN: usize = 24;

fn parsed(path: &str, text: &str) -> toml::Table {
    text.parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn table<'a>(parent: &'a toml::Table, path: &[&str]) -> Option<&'a toml::Table> {
    path.iter().try_fold(parent, |table, key| table.get(*key)?.as_table())
}

/// The members' manifests: path and parsed text, the root package among them.
fn members(tree: &Tree) -> Vec<(String, toml::Table)> {
    let root = parsed("Cargo.toml", tree.text("Cargo.toml").unwrap_or_default());
    let listed = table(&root, &["workspace"]).and_then(|table| table.get("members")?.as_array().cloned());
    let listed = listed.unwrap_or_default();
    let paths = listed.iter().filter_map(|member| member.as_str()).map(|member| format!("{member}/Cargo.toml"));
    std::iter::once("Cargo.toml".to_owned())
        .chain(paths)
        .map(|path| {
            let text = tree.text(&path).unwrap_or_else(|| panic!("no manifest {path}"));
            (path.clone(), parsed(&path, text))
        })
        .collect()
}

/// Every dependency table of a manifest: normal, dev, build, and those under `[target]`.
fn dependencies(manifest: &toml::Table) -> Vec<(String, toml::Value)> {
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let targets = table(manifest, &["target"]).map(|targets| targets.values().filter_map(|value| value.as_table()).collect());
    let tables: Vec<&toml::Table> = targets.unwrap_or_default();
    tables
        .into_iter()
        .chain([manifest])
        .flat_map(|table| kinds.iter().filter_map(|kind| table.get(*kind)?.as_table()))
        .flat_map(|table| table.iter().map(|(name, value)| (name.clone(), value.clone())))
        .collect()
}

fn lints(tree: &Tree) -> Vec<String> {
    let inherits = |manifest: &toml::Table| table(manifest, &["lints"])?.get("workspace")?.as_bool();
    members(tree)
        .into_iter()
        .filter(|(_, manifest)| inherits(manifest) != Some(true))
        .map(|(path, _)| format!("{path}: `[lints] workspace = true` is missing"))
        .collect()
}

fn one_table(tree: &Tree) -> Vec<String> {
    let root = parsed("Cargo.toml", tree.text("Cargo.toml").unwrap_or_default());
    let offered = table(&root, &["workspace", "dependencies"]).cloned().unwrap_or_default();
    let mut used = Vec::new();
    let mut violations = Vec::new();
    for (path, manifest) in members(tree) {
        for (name, value) in dependencies(&manifest) {
            let of = |key: &str| value.as_table().and_then(|table| table.get(key));
            if of("workspace").is_none() && of("path").is_none() {
                violations.push(format!("{path}: `{name}` is not from [workspace.dependencies]"));
            }
            used.push(name);
        }
    }
    let unused = offered.keys().filter(|name| !used.contains(name));
    violations.extend(unused.map(|name| format!("Cargo.toml: no member takes `{name}`: leave it out")));
    let foreign = offered.iter().filter(|(_, value)| value.as_table().is_some_and(|table| table.contains_key("git")));
    violations.extend(foreign.map(|(name, _)| format!("Cargo.toml: `{name}` comes from git: crates.io only")));
    violations
}

fn reasons(tree: &Tree) -> Vec<String> {
    let root = parsed("Cargo.toml", tree.text("Cargo.toml").unwrap_or_default());
    let offered = table(&root, &["workspace", "dependencies"]).cloned().unwrap_or_default();
    let text = tree.text(REASONS).unwrap_or_default();
    let reason_of = |name: &str| {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{name}` |")))?;
        Some(row.split('|').nth(2)?.trim().chars().count())
    };
    let external = offered.keys().filter(|name| !name.starts_with("tidegate"));
    let mut violations = external
        .filter(|name| reason_of(name).is_none_or(|length| length < REASON_MIN))
        .map(|name| format!("{REASONS}: no reason for `{name}`: add a row `| `{name}` | why we take it |`"))
        .collect::<Vec<_>>();
    let named = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let gone = named.filter(|name| !offered.contains_key(*name));
    violations.extend(gone.map(|name| format!("{REASONS}: `{name}` is no longer in the table")));
    violations
}

#[test]
fn every_member_inherits_the_lints() {
    assert_clean("lints", &lints(&Tree::load()));
}

#[test]
fn dependencies_come_from_one_table() {
    assert_clean("dependency table", &one_table(&Tree::load()));
}

#[test]
fn every_dependency_has_its_reason() {
    assert_clean("dependency reasons", &reasons(&Tree::load()));
}

#[test]
fn planted_manifests_are_caught() {
    let root = "[workspace]\nmembers = [\"a\"]\n[workspace.dependencies]\nserde = \"1\"\n[lints]\nworkspace = true\n\
                [dependencies]\nserde.workspace = true\n";
    let plant = |root: &str, member: &str, reasons: &str| {
        Tree::planted(&[("Cargo.toml", root), ("a/Cargo.toml", member), (REASONS, reasons)])
    };
    let good = "[lints]\nworkspace = true\n[dependencies]\nserde.workspace = true\n";
    let why = "| `serde` | one shape for wire and disk, derived |\n";
    let clean = plant(root, good, why);
    assert!(lints(&clean).is_empty() && one_table(&clean).is_empty() && reasons(&clean).is_empty());
    assert_caught(&lints(&plant(root, "[dependencies]\n", why)), "a/Cargo.toml");
    let own = "[lints]\nworkspace = true\n[target.'cfg(loom)'.dependencies]\nrand = \"1\"\n";
    assert_caught(&one_table(&plant(root, own, why)), "`rand` is not from");
    assert_caught(
        &one_table(&plant(&root.replace("serde.workspace = true\n", ""), "[lints]\nworkspace = true\n", why)),
        "no member takes",
    );
    assert_caught(&reasons(&plant(root, good, "| `serde` | yes |\n")), "no reason for `serde`");
    assert_caught(&reasons(&plant(root, good, &format!("{why}| `rand` | once upon a time, for seeds |\n"))), "no longer");
}
