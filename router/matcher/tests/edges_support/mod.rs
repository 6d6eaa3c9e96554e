//! How the loom models are run: bounds, and the check that a planted bug is caught.
//!
//! By default a model is explored with at most two preemptions (a few seconds for all files); `TIDEGATE_NIGHTLY=1` raises
//! that to three. [`must_fail`] runs a model with one bug planted and demands that loom finds it. It does so in a process
//! of its own: loom's objects may panic again while the first panic unwinds, which ends a process.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tidegate_matcher::primitive::planted::{self, Plant};
use tidegate_matcher::primitive::sync::thread;

/// Name of the test, in every file, that holds all of the file's [`must_fail`]s.
const PLANTED_TEST: &str = "planted_bugs_are_caught";
/// Which bug the child process plants.
const PLANT_VARIABLE: &str = "TIDEGATE_PLANT";
/// What the child says once it has really begun.
const BEGUN: &str = "planted:";

/// Explores `body` within the bounds.
pub fn check(name: &str, body: impl Fn() + Sync + Send + 'static) {
    let nightly = std::env::var_os("TIDEGATE_NIGHTLY").is_some_and(|v| v == "1");
    explore(name, if nightly { 3 } else { 2 }, body);
}

/// Demands that the model fails once `plant` is in. Call it from the test named `planted_bugs_are_caught` only.
pub fn must_fail(name: &str, plant: Plant, body: impl Fn() + Sync + Send + 'static) {
    let label = format!("{name} / {plant:?}");
    if let Ok(wanted) = std::env::var(PLANT_VARIABLE) {
        if wanted == label {
            println!("{BEGUN} {label}");
            planted::with(plant, || explore(name, 3, body));
        }
        return;
    }
    let child = Command::new(std::env::current_exe().expect("a test knows its own program"))
        .args(["--exact", PLANTED_TEST, "--nocapture", "--test-threads=1"])
        .env(PLANT_VARIABLE, &label)
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("the test program starts again");
    let out = String::from_utf8_lossy(&child.stdout);
    let err = String::from_utf8_lossy(&child.stderr);
    assert!(out.contains(BEGUN), "the planted run of `{label}` did not begin: {out}{err}");
    assert!(!child.status.success(), "the model `{name}` did not notice the planted bug {plant:?}");
    let mut lines = err.lines().skip_while(|line| !line.contains("panicked at")).skip(1);
    println!("{label}: caught ({})", lines.next().unwrap_or("without a word").trim());
}

/// Runs `f` on a modelled thread of its own and waits for it. Whatever sleeps on a bell must run here: a ring that comes
/// late unparks its thread for nothing, which our waits bear and loom's own `join` does not.
pub fn apart<T: 'static>(f: impl FnOnce() -> T + 'static) -> T {
    thread::spawn(f).join().expect("the thread ends well")
}

fn explore(name: &str, preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    let executions = Arc::new(AtomicU64::new(0));
    let count = executions.clone();
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        body();
    });
    let executions = executions.load(Ordering::Relaxed);
    println!("{name}: {executions} executions, at most {preemptions} preemptions");
}
