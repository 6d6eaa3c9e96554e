//! Every fault of a scenario is told with file, line, field and remedy, and limits hold: at them, one above, ten times above.

use crate::kit::policy;
use tidegate_sim::floor::Setup;
use tidegate_sim::scenario::{Scenario, parse};

const GOOD: &str = r#"name = "good"
length = "1h"
policy = "policy.toml"

[[demand]]
name = "a"
arrivals = { rate = "4.2/min" }
handle = { kind = "exponential", mean = "2min" }
patience = { kind = "table", at = ["10s", "20s"], survival = [0.9, 0.5] }

[[group]]
name = "g"
skills = { a = 1 }
staffing = { agents = 12 }
"#;

/// The errors of a scenario changed at one place, as people read them.
fn errors(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from} is not in the text");
    let text = GOOD.replace(from, to);
    let scenario = match parse("s.toml", &text) {
        Ok(scenario) => scenario,
        Err(errors) => return errors.to_string(),
    };
    match Setup::new(scenario, "s.toml", &text, "policy.toml", &policy(&[("a", 0), ("b", 0)])) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

fn check(from: &str, to: &str, line: u32, expected: &str) {
    let found = errors(from, to);
    assert!(
        found.contains(&format!("s.toml:{line}:")) && found.contains(expected),
        "{to}\n  found: {found}\n  expected line {line}: {expected}"
    );
}

#[test]
fn the_good_one_is_good_and_reads_back() {
    assert_eq!(errors("1h", "1h"), "");
    let scenario = parse("s.toml", GOOD).expect("it is good");
    let text = scenario.to_toml().expect("it can be written");
    assert_eq!(parse("again", &text).expect("it reads back"), scenario);
}

#[test]
fn faults_are_told_where_they_stand() {
    check("rate = \"4.2/min\"", "rate = \"-4.2/min\"", 7, "no rate");
    check("arrivals = { rate = \"4.2/min\" }", "arrivals = { }", 7, "exactly one of rate, contacts and recorded");
    check("rate = \"4.2/min\"", "grid = \"30min\", contacts = [5]", 7, "2 fit the length");
    check("rate = \"4.2/min\"", "grid = \"30min\", contacts = [5, 6, 7]", 7, "leave a hole or overlap");
    check("rate = \"4.2/min\"", "grid = \"30min\", contacts = [5, -1]", 7, "negative");
    check("rate = \"4.2/min\"", "recorded = [\"3s\", \"2s\"]", 7, "sort the moments");
    check("mean = \"2min\"", "mean = \"0s\"", 8, "less than a millisecond");
    check("kind = \"exponential\", mean = \"2min\"", "kind = \"log-normal\", mean = \"2min\", cv = 0", 8, "not above 0");
    check("kind = \"exponential\", mean", "kind = \"exponentiel\", mean", 8, "unknown variant");
    check("survival = [0.9, 0.5]", "survival = [0.5, 0.9]", 9, "shares fall");
    check("survival = [0.9, 0.5]", "survival = [1.9, 0.5]", 9, "no share");
    check("skills = { a = 1 }", "skills = { b = 1 }", 5, "no group has the skills");
    check("skills = { a = 1 }", "skills = { a = 1, c = 1 }", 13, "valid names: a, b");
    check("skills = { a = 1 }", "skills = { a = 11 }", 13, "expected 1 to 10");
    check("name = \"a\"", "name = \"z\"", 5, "unknown name \"z\"");
    check("staffing = { agents = 12 }", "staffing = { }", 14, "exactly one of agents, by_interval and shift");
    check("length = \"1h\"", "length = \"1h\"\nlenght = 3", 3, "unknown field");
    check("length = \"1h\"", "length = \"1h\"\nwarm_up = \"1h\"", 3, "leave nothing to count");
    check("policy = \"policy.toml\"", "", 1, "no policy");
    assert!(errors("name = \"good\"", "name = ").contains("s.toml:1:"));
}

#[test]
fn limits_hold_at_above_and_far_above() {
    for (least, most, field) in [(1, 64, "units"), (1, 1_000_000, "replications")] {
        let text = |n: u64| match field {
            "units" => ("skills = { a = 1 }", format!("skills = {{ a = 1 }}\nunits = {n}")),
            _ => ("length = \"1h\"", format!("length = \"1h\"\nreplications = {n}")),
        };
        for (n, fine) in [(least, true), (most, true), (0, false), (most + 1, false), (10 * most, false)] {
            let (from, to) = text(n);
            let found = errors(from, &to);
            assert_eq!(found.is_empty(), fine, "{field} = {n}: {found}");
        }
    }
    for (agents, fine) in [(200_000, true), (200_001, false), (2_000_000, false)] {
        let found = parse("s", &GOOD.replace("agents = 12", &format!("agents = {agents}")));
        assert_eq!(found.is_ok(), fine, "{agents} agents");
    }
    for (rate, fine) in [("100000/s", true), ("100001/s", false), ("1000000/s", false)] {
        let found = parse("s", &GOOD.replace("4.2/min", rate));
        assert_eq!(found.is_ok(), fine, "{rate}");
    }
}

#[test]
fn the_schema_names_every_table() {
    let schema = tidegate_sim::scenario::schema();
    for field in ["demand", "group", "ai", "channel", "policy", "length"] {
        assert!(schema["properties"][field].is_object(), "{field}");
    }
    let _: fn(&Scenario) -> Result<String, _> = Scenario::to_toml;
}
