//! `tidegate simulate`: a scenario in virtual time, decided by the router's own distributor; figures with intervals.
//!
//! Replications are played by as many threads as asked for; the result does not depend on them. Ctrl-C ends the run after the
//! replications that have begun, with a valid result of fewer of them; a second one ends the program. `--verify` plays a result
//! again and compares digests. Figures go to stdout, progress and hints to stderr.

use super::heard;
use crate::cli::Simulate;
use crate::failure::Failure;
use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tidegate_sim::floor::Setup;
use tidegate_sim::run::{Crew, DemandReport, Figure, Outcome, Part, RunConfig, simulate};
use tidegate_sim::scenario::parse;
use tokio::signal::unix::{SignalKind, signal};

pub fn run(args: &Simulate) -> Result<(), Failure> {
    let (setup, config_sha256) = read(&args.scenario).map_err(Failure::Input)?;
    let known = args.verify.as_deref().map(outcome).transpose()?;
    let scenario = setup.scenario();
    let mut config = RunConfig {
        seed: args.seed.unwrap_or(scenario.seed),
        replications: u64::from(args.reps.unwrap_or(scenario.replications)),
        antithetic: args.antithetic,
        precision: args.precision,
        shard: args.shard.unwrap_or((1, 1)),
    };
    if let Some(known) = &known {
        if known.config_sha256 != config_sha256 {
            let what = "the scenario or its policy is not the one of the report: config_sha256 is";
            return Err(Failure::check(format!("{what} {config_sha256}, in the report {}", known.config_sha256)));
        }
        config = RunConfig { seed: known.seed, antithetic: known.antithetic, precision: None, shard: (1, 1), ..config };
    }
    let threads = args.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    let crew = Threads::new(threads, config.replications.div_ceil(config.shard.1), known.as_ref());
    let part = simulate(&setup, &config, &crew);
    crew.progress.finish_and_clear();
    if part.rows().is_empty() {
        return Err(Failure::check("nothing was simulated: this shard has no replication"));
    }
    let outcome = Outcome::new(&setup, config_sha256, config.seed, config.antithetic, part);
    if crew.stopped() {
        eprintln!("stopped: a valid result of {} replications", outcome.replications.len());
    }
    if let Some(known) = known {
        if known.digest != outcome.digest {
            return Err(Failure::check(format!("digest {} is not the report's {}", outcome.digest, known.digest)));
        }
        eprintln!("verified: {} replications give digest {} again", outcome.replications.len(), outcome.digest);
    }
    print(&outcome, args.json)
}

/// The scenario with its policy, and the hash of both texts.
pub fn read(path: &Path) -> anyhow::Result<(Setup, String)> {
    let file = path.display().to_string();
    let text =
        std::fs::read_to_string(path).with_context(|| format!("{file} cannot be read; name a scenario file (TOML, UTF-8)"))?;
    let scenario = parse(&file, &text).map_err(|errors| anyhow!("{errors}"))?;
    let (policy_file, policy) = match (&scenario.policy, &scenario.policy_text) {
        (Some(name), _) => {
            let beside = path.parent().unwrap_or(Path::new("")).join(name);
            let shown = beside.display().to_string();
            let policy = std::fs::read_to_string(&beside)
                .with_context(|| format!("{file}: policy: {shown} cannot be read; name the policy file beside the scenario"))?;
            (shown, policy)
        }
        (None, text) => (format!("{file} (policy_text)"), text.clone().unwrap_or_default()),
    };
    let mut hasher = Sha256::new();
    hasher.update((text.len() as u64).to_be_bytes());
    hasher.update(&text);
    hasher.update(&policy);
    let hash: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let setup = Setup::new(scenario, &file, &text, &policy_file, &policy).map_err(|error| anyhow!("{error}"))?;
    Ok((setup, hash))
}

/// A result of `simulate --json`.
pub fn outcome(path: &Path) -> Result<Outcome, Failure> {
    let shown = path.display();
    let bad = |error: anyhow::Error| Failure::Input(error.context(format!("{shown}: name a result of `tidegate simulate --json`")));
    let text = std::fs::read_to_string(path).map_err(|error| bad(error.into()))?;
    Outcome::read(&text).map_err(|error| bad(error.into()))
}

/// Prints an outcome, for programs or for people.
pub fn print(outcome: &Outcome, json: bool) -> Result<(), Failure> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if json {
        let written = serde_json::to_writer_pretty(&mut out, outcome).map_err(std::io::Error::from);
        return heard(written.and_then(|()| writeln!(out)).and_then(|()| out.flush()));
    }
    heard(table(outcome, &mut out).and_then(|()| out.flush()))
}

fn table(outcome: &Outcome, out: &mut impl Write) -> std::io::Result<()> {
    let report = &outcome.report;
    writeln!(out, "{}: {} replications, seed {}", outcome.scenario, outcome.replications.len(), outcome.seed)?;
    let alone = report.demands.len() == 1;
    for demand in report.demands.iter().chain((!alone).then_some(&report.all)) {
        writeln!(out, "\n{} (95 % intervals over replications)", demand.name)?;
        figures(demand, alone || demand.name != "all", out)?;
    }
    for group in &report.groups {
        writeln!(out, "\n{}", group.name)?;
        line(out, "agents at work", &group.staffed, 1.0, "")?;
        line(out, "occupancy", &group.occupancy, 100.0, "%")?;
    }
    writeln!(out, "\nconfig_sha256 {}\ndigest {}", outcome.config_sha256, outcome.digest)
}

fn figures(demand: &DemandReport, one: bool, out: &mut impl Write) -> std::io::Result<()> {
    line(out, "offered", &demand.offered, 1.0, "")?;
    line(out, "served", &demand.served, 1.0, "")?;
    line(out, "abandoned", &demand.abandoned_share, 100.0, "%")?;
    if demand.contained.mean.is_some_and(|mean| mean > 0.0) {
        line(out, "contained by AI", &demand.contained, 1.0, "")?;
    }
    let levels = &demand.service_level;
    let within = if one { format!("{} s", levels.within_s) } else { "its wait".into() };
    line(out, &format!("served within {within} of offered"), &levels.served_within_of_offered, 100.0, "%")?;
    line(out, &format!("served within {within} of served"), &levels.served_within_of_served, 100.0, "%")?;
    line(out, &format!("left within {within} of offered"), &levels.left_within_of_offered, 100.0, "%")?;
    line(out, "mean wait", &demand.wait_s.mean, 1.0, "s")?;
    let wait = &demand.wait_s;
    writeln!(out, "  {:36} p50 {} s, p95 {} s, p99 {} s, n {}", "wait", wait.p50, wait.p95, wait.p99, wait.n)?;
    line(out, "speed of answer", &demand.answer_s.mean, 1.0, "s")?;
    line(out, "waiting", &demand.waiting, 1.0, "")
}

fn line(out: &mut impl Write, name: &str, figure: &Figure, scale: f64, unit: &str) -> std::io::Result<()> {
    match (figure.mean, figure.ci95) {
        (Some(mean), Some([low, high])) => {
            writeln!(out, "  {name:36} {:>12.4} {unit:2} ({:.4}, {:.4})", mean * scale, low * scale, high * scale)
        }
        (Some(mean), None) => writeln!(out, "  {name:36} {:>12.4} {unit:2} (no interval from one replication)", mean * scale),
        _ => writeln!(out, "  {name:36} {:>12}", "-"),
    }
}

/// Threads that play replications, each taking the next number.
struct Threads {
    threads: usize,
    stop: Arc<AtomicBool>,
    progress: ProgressBar,
    /// When a result is verified: its numbers, instead of those asked for.
    numbers: Option<Vec<u64>>,
}

impl Threads {
    fn new(threads: usize, replications: u64, known: Option<&Outcome>) -> Self {
        let numbers: Option<Vec<u64>> = known.map(|known| known.replications.iter().map(|row| row.number).collect());
        let length = numbers.as_ref().map_or(replications, |numbers| numbers.len() as u64);
        let progress = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{pos}/{len} replications, {eta} left {wide_bar}");
        progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let stop = Arc::new(AtomicBool::new(false));
        if let Err(error) = listen(&stop) {
            eprintln!("Ctrl-C ends the program without a result: {error}");
        }
        eprintln!("{length} replications, {} threads; Ctrl-C ends with those that have begun", threads.max(1));
        Self { threads: threads.max(1), stop, progress, numbers }
    }
}

/// Ctrl-C ends the run after what has begun; the second one ends the program. Heard from the return on.
fn listen(stop: &Arc<AtomicBool>) -> std::io::Result<()> {
    let stop = stop.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut interrupted = {
        let _inside = runtime.enter();
        signal(SignalKind::interrupt())?
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            while interrupted.recv().await.is_some() {
                if stop.swap(true, Ordering::Relaxed) {
                    std::process::exit(130);
                }
            }
        });
    });
    Ok(())
}

impl Crew for Threads {
    fn play(&self, numbers: &[u64], new_part: &(dyn Fn() -> Part + Sync), play: &(dyn Fn(&mut Part, u64) + Sync)) -> Vec<Part> {
        let numbers = self.numbers.as_deref().unwrap_or(numbers);
        let next = AtomicUsize::new(0);
        let parts = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..self.threads.min(numbers.len()) {
                scope.spawn(|| {
                    let mut part = new_part();
                    // Numbers are taken in order and what is taken is played, so what is done is the first so many.
                    while let Some(number) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
                        play(&mut part, *number);
                        self.progress.inc(1);
                        if self.stopped() {
                            break;
                        }
                    }
                    parts.lock().unwrap_or_else(PoisonError::into_inner).push(part);
                });
            }
        });
        parts.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
