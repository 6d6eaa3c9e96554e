//! Defaults, file, environment: which wins, where each value is said to come from, and the schema that editors read.

use super::example;
use super::run::{Ran, tidegate, tidegate_in};
use serde_json::Value;
use std::fs;
use std::path::Path;

fn explained(path: &str, environment: &[(&str, &str)]) -> Value {
    let ran = tidegate_in(["config", "explain", path, "--json"], environment).ends(0, &[]);
    serde_json::from_str(&ran.out).expect("JSON")
}

fn setting<'v>(explained: &'v Value, path: &str) -> &'v Value {
    let settings = explained["settings"].as_array().expect("settings");
    settings.iter().find(|s| s["path"] == path).unwrap_or_else(|| panic!("{path} in {explained:#}"))
}

#[test]
fn each_value_comes_from_a_line_a_variable_or_a_default() {
    let (_dir, path) = example("tidegate.toml", "data_dir = \"data\"", "data_dir = \"data\"\nretain_gib = 3");
    let all = explained(&path, &[("TIDEGATE__LISTEN", "127.0.0.1:9"), ("TIDEGATE__LOG__LEVEL", "info"), ("TIDEGATE_LANG", "en")]);
    let origin = |path: &str| setting(&all, path)["origin"].clone();
    assert_eq!(setting(&all, "listen")["value"], "127.0.0.1:9");
    assert_eq!(origin("listen")["environment"]["variable"], "TIDEGATE__LISTEN");
    assert_eq!(setting(&all, "log.level")["value"], "info");
    assert_eq!(origin("log.level")["environment"]["variable"], "TIDEGATE__LOG__LEVEL");
    assert_eq!(setting(&all, "segment_mib")["value"], 64);
    assert_eq!(origin("segment_mib"), "default");
    assert_eq!(setting(&all, "retain_gib")["value"], 3);
    let text = fs::read_to_string(&path).expect("read");
    let line = text.lines().position(|line| line.starts_with("retain_gib")).expect("there") + 1;
    assert_eq!(origin("retain_gib")["file"]["line"], line);
    assert_eq!(setting(&all, "tenant[0].agent[2].name")["value"], "Wang");
    assert_eq!(origin("tenant[0].agent[2].cost_ms"), "default");

    let shown = tidegate(["config", "explain", &path]).ends(0, &[]).out;
    assert!(shown.lines().any(|l| l.starts_with("retain_gib = 3") && l.ends_with(&format!("tidegate.toml:{line}"))), "{shown}");
}

#[test]
fn the_environment_gives_what_the_file_lacks() {
    let (_dir, path) = example("tidegate.toml", "data_dir = \"data\"\n", "");
    tidegate(["config", "check", &path]).ends(3, &["missing field `data_dir`"]);
    tidegate_in(["config", "check", &path], &[("TIDEGATE__DATA_DIR", "elsewhere")]).ends(0, &[]);
}

/// Faults of the environment name the variable.
#[test]
fn a_wrong_variable_is_named() {
    let (_dir, path) = example("tidegate.toml", "", "");
    let check = |variable: &str, value: &str, words: &[&str]| -> Ran {
        tidegate_in(["config", "check", &path], &[(variable, value)]).ends(3, &[&[variable], words].concat())
    };
    check("TIDEGATE__SEGMENT_MIB", "many", &["segment_mib", "many"]);
    check("TIDEGATE__SEGMENT_MIB", "1025", &["segment_mib: is 1 to 1024 (MiB), found 1025"]);
    check("TIDEGATE__LISTEN", "nowhere", &["listen", "is no address"]);
    check("TIDEGATE__LISEN", "127.0.0.1:1", &["unknown field `lisen`", "did you mean \"listen\"?"]);
    check("TIDEGATE__LOG__FORMAT", "xml", &["xml"]);
}

#[test]
fn the_committed_schema_is_the_code_s() {
    let printed = tidegate(["config", "schema"]).ends(0, &[]).out;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.schema.json");
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == printed, "docs/config.schema.json is old: `tidegate config schema > docs/config.schema.json`");
    let schema: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(schema["additionalProperties"], false);
    for (name, property) in schema["properties"].as_object().expect("properties") {
        assert!(property["description"].is_string(), "{name} says nothing to an editor");
    }
}
