//! Scenarios that the floor is judged by, and how a run of one is reduced to figures.
//!
//! Exact and published cases of the literature (the sources stand at each); the scenario texts are those of
//! `examples/scenarios/` where there is one. It knows no expected value: those stand in the tests.

use tidegate_sim::floor::{Replication, Setup};
use tidegate_sim::scenario::parse;

/// A policy of plain queues: (name, weight in seconds); each needs the skill of its own name.
pub fn policy(queues: &[(&str, u32)]) -> String {
    let names: Vec<String> = queues.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let mut text = format!(
        "name = \"plain\"\ndefault_queue = \"{}\"\ndefault_class = \"all\"\nskills = [{}]\n[[class]]\nname = \"all\"\n",
        queues[0].0,
        names.join(", ")
    );
    for (name, weight) in queues {
        text += &format!(
            "[[queue]]\nname = \"{name}\"\nweight = \"{weight}s\"\nlength_max = 1000000\n  [[queue.step]]\n  name = \"own\"\n  requires = {{ {name} = 1 }}\n"
        );
    }
    text
}

/// A scenario ready to run; the text is complete but for its policy.
pub fn setup(text: &str, policy: &str) -> Setup {
    let text = format!("policy_text = '''\n{policy}'''\n{text}");
    let scenario = parse("test.toml", &text).unwrap_or_else(|errors| panic!("{errors}"));
    Setup::new(scenario, "test.toml", &text, "policy", policy).unwrap_or_else(|error| panic!("{error}"))
}

/// A scenario of `examples/scenarios/`, changed before it is read; its policy is inside.
pub fn example(name: &str, change: impl Fn(&str) -> String) -> Setup {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/scenarios").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = change(&text);
    let scenario = parse(name, &text).unwrap_or_else(|errors| panic!("{errors}"));
    let policy = scenario.policy_text.clone().expect("the policy is inside");
    Setup::new(scenario, name, &text, "policy", &policy).unwrap_or_else(|error| panic!("{error}"))
}

/// Whether full counts are wanted.
pub fn nightly() -> bool {
    std::env::var_os("TIDEGATE_NIGHTLY").is_some()
}

/// One queue, so many agents, patience of a mean in seconds (none without).
pub fn erlang(length: &str, ends: &str, per_hour: f64, handle_s: f64, agents: u32, patience_s: Option<f64>) -> Setup {
    let patience =
        patience_s.map_or(String::new(), |mean| format!("patience = {{ kind = \"exponential\", mean = \"{mean}s\" }}\n"));
    let text = format!(
        "name = \"erlang\"\nlength = \"{length}\"\n{ends}\n[[demand]]\nname = \"a\"\narrivals = {{ rate = \"{per_hour}/h\" }}\n\
         handle = {{ kind = \"exponential\", mean = \"{handle_s}s\" }}\n{patience}\n[[group]]\nname = \"g\"\nskills = {{ a = 1 }}\n\
         staffing = {{ agents = {agents} }}\n"
    );
    setup(&text, &policy(&[("a", 0)]))
}

/// Mean and half-width of a ratio of sums over replications, by the delta method with Student's quantile.
pub fn ratio(pairs: &[(f64, f64)], quantile: f64) -> (f64, f64) {
    let n = pairs.len() as f64;
    let (x, y) = (pairs.iter().map(|p| p.0).sum::<f64>() / n, pairs.iter().map(|p| p.1).sum::<f64>() / n);
    let r = x / y;
    let square = |x: f64| x * x;
    let variance = pairs.iter().map(|p| square(p.0 - r * p.1)).sum::<f64>() / (n - 1.0);
    (r, quantile * (variance / n).sqrt() / y)
}

/// Replications from 0 on.
pub fn run(setup: &Setup, seed: u64, replications: u64) -> Vec<Replication> {
    let mut tallies = setup.tallies();
    (0..replications).map(|number| setup.replicate(seed, number, false, &mut tallies)).collect()
}

/// A ratio of two readings of each replication.
pub fn figure(replications: &[Replication], quantile: f64, of: impl Fn(&Replication) -> (u64, u64)) -> (f64, f64) {
    let pairs: Vec<(f64, f64)> = replications.iter().map(of).map(|(x, y)| (x as f64, y as f64)).collect();
    ratio(&pairs, quantile)
}
