//! Dashboards and alerts ask for what a running node really tells: every metric, and every label, that they name is scraped.

use crate::node::Serve;
use crate::talk::{meet, soon};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Metrics and labels in an expression: `tidegate_name{label="…"}`.
fn asked(text: &str, into: &mut BTreeMap<String, BTreeSet<String>>) {
    let mut rest = text;
    while let Some(at) = rest.find("tidegate_") {
        rest = &rest[at..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let (name, tail) = rest.split_at(end);
        let labels = into.entry(name.to_owned()).or_default();
        if let Some((inside, _)) = tail.strip_prefix('{').and_then(|tail| tail.split_once('}')) {
            for part in inside.split(',') {
                let label = part.split(['=', '!']).next().unwrap_or("").trim();
                if !label.is_empty() && label != "instance" {
                    labels.insert(label.to_owned());
                }
            }
        }
        rest = tail;
    }
}

#[tokio::test]
async fn dashboards_and_alerts_name_what_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let mut wanted = BTreeMap::new();
    let rules = fs::read_to_string(root.join("prometheus/alerts.yml")).expect("rules");
    for line in rules.lines().filter(|line| line.trim_start().starts_with("expr:")) {
        asked(line, &mut wanted);
    }
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(root.join("grafana/tidegate.json")).expect("a file")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    for target in targets {
        asked(target["expr"].as_str().expect("an expression"), &mut wanted);
    }
    assert!(wanted.len() > 20, "{wanted:?}");

    let dir = tempfile::tempdir().expect("a temporary directory");
    let node = Serve::on(dir.path()).start();
    let (mut page, mut desk) = (node.customer().await, node.desk("Lin").await);
    meet(&mut page, &mut desk).await;
    soon("a message", page.send_text("hello")).await;
    let scraped = node.get("/metrics").text;
    for (name, labels) in wanted {
        let lines: Vec<&str> =
            scraped.lines().filter(|l| l.strip_prefix(&name).is_some_and(|t| t.starts_with(['{', ' ']))).collect();
        assert!(!lines.is_empty(), "{name} is asked for and not there");
        for label in labels {
            assert!(lines.iter().all(|l| l.contains(&format!("{label}=\""))), "{name} has no label {label}: {}", lines[0]);
        }
    }
}

/// The unit starts what the binary has, and asks for what it does.
#[test]
fn the_unit_and_the_packages_fit_the_binary() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let unit = fs::read_to_string(root.join("systemd/tidegate.service")).expect("a unit");
    for line in ["Type=notify", "ExecReload=/bin/kill -HUP $MAINPID", "WatchdogSec=20s"] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/tidegate ")).expect("a command");
    let arguments: Vec<&str> = start.split(' ').collect();
    let ran = crate::run::tidegate(arguments.iter().copied().chain(["--help"])).ends(0, &[]);
    assert!(ran.out.contains("--config"));
    // The configuration that a package installs passes its own check beside the files that it asks for.
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("tidegate.toml");
    fs::copy(root.join("debian/tidegate.toml"), &path).expect("copied");
    fs::copy(root.join("../examples/serve/policy.toml"), dir.path().join("policy.toml")).expect("copied");
    fs::write(dir.path().join("admin.token"), "0".repeat(64)).expect("written");
    crate::run::tidegate(["config", "check", path.to_str().expect("UTF-8")]).ends(0, &[]);
}
