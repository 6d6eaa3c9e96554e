//! Every scenario of `examples/scenarios/` runs, accounts for every contact, has a page, and is the same twice.
//!
//! In reduced size: two replications, of the first hours where a day is long to simulate. Conservation: whoever came left by an
//! exit or is open, and whoever asked for an agent was served, hung up, was refused, timed out or is open.

use crate::kit::{example, run};
use std::path::Path;

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn names() -> Vec<String> {
    let listed = std::fs::read_dir(root().join("examples/scenarios")).expect("the examples are there");
    let mut names: Vec<String> =
        listed.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).filter(|name| name.ends_with(".toml")).collect();
    names.sort();
    names
}

#[test]
fn every_scenario_accounts_for_every_contact() {
    let names = names();
    assert!(names.len() >= 13, "{names:?}");
    for name in names {
        let setup = example(&name, str::to_owned);
        let rows = run(&setup, 9, 2);
        assert_eq!(rows, run(&setup, 9, 2), "{name} is not the same twice");
        for row in &rows {
            let mut served = 0;
            for (demand, named) in row.demands.iter().zip(&setup.scenario().demand) {
                let counts = demand.counts;
                assert_eq!(counts.contacts, counts.exits.iter().sum::<u64>(), "{name}, {}: an exit is missing", named.name);
                // What was contained never asked for a person.
                assert_eq!(counts.contacts, counts.offered + demand.contained, "{name}, {}", named.name);
                let timed_out = counts.exits[4] + counts.exits[6] + counts.exits[7];
                assert_eq!(counts.offered, counts.served + counts.abandoned + timed_out, "{name}, {}", named.name);
                if setup.scenario().at_end == tidegate_sim::scenario::AtEnd::Finish {
                    assert_eq!(demand.open, 0, "{name}, {}: somebody was left behind", named.name);
                }
                served += counts.served;
            }
            assert!(served > 0, "{name}: nobody was served");
            for (group, named) in row.groups.iter().zip(&setup.scenario().group) {
                assert!(group.busy_ms <= group.staffed_ms, "{name}, {}: busier than there", named.name);
                assert!(group.engaged_ms <= group.busy_ms * u64::from(named.units), "{name}, {}: over capacity", named.name);
            }
        }
    }
}

#[test]
fn every_scenario_has_its_page() {
    let overview = std::fs::read_to_string(root().join("docs/scenarios/README.md")).expect("the overview is there");
    for name in names() {
        let name = name.trim_end_matches(".toml");
        assert!(overview.contains(&format!("`{name}`")), "docs/scenarios/README.md does not name {name}");
        let page = if root().join(format!("docs/scenarios/{name}.md")).exists() { name } else { "published" };
        let text = std::fs::read_to_string(root().join(format!("docs/scenarios/{page}.md"))).expect("the page is there");
        assert!(text.contains(&format!("{name}.toml")), "docs/scenarios/{page}.md does not speak of {name}.toml");
    }
}

/// Little's law and the load: independent ways to the same numbers, on the case with the most parts.
#[test]
fn areas_and_waits_agree() {
    let setup = example("simple-msk.toml", str::to_owned);
    for row in run(&setup, 5, 4) {
        let waits: u64 = row.demands.iter().map(|demand| demand.counts.wait_ms).sum();
        let queues: u64 = row.demands.iter().map(|demand| demand.queue_ms).sum();
        assert_eq!(waits, queues, "time waited is the area under the number waiting");
        let handled: u64 = row.demands.iter().map(|demand| demand.handled_ms).sum();
        let engaged: u64 = row.groups.iter().map(|group| group.engaged_ms).sum();
        assert_eq!(handled, engaged, "time handled is the area under the number engaged");
    }
}
