//! `tidegate erlang`: one pool by formula, and the formulas against a table of reference values.
//!
//! Its arguments stand here beside it. Times are read with their units and go to the formulas in seconds; what comes back is
//! printed as a table, or as one JSON document whose keys are stable. A mistake in a word is wrong use (2); words that contradict
//! each other, a target that nobody reaches and a broken table are bad input (3); a value off the table is a failed check (1).

use super::{heard, print_json};
use crate::failure::Failure;
use crate::say::Lang;
use anyhow::anyhow;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use tidegate_sim::erlang::units::{self, Goal};
use tidegate_sim::erlang::{
    Agents, Checked, Demand, ErlangError, Formula, Need, Patience, ServiceLevelKind, TOLERANCE, Target, Waiting, WaitsOf,
    agents_for, blocking, check_table,
};

/// The most bytes of a table of reference values.
const TABLE_BYTES_MAX: u64 = 64 << 20;
/// Quantiles of the wait that are shown.
const QUANTILES: [(&str, f64); 4] = [("p50_s", 0.5), ("p90_s", 0.9), ("p95_s", 0.95), ("p99_s", 0.99)];

/// `tidegate erlang`.
#[derive(Debug, Args)]
pub struct Erlang {
    /// b: nobody can wait. c: everybody waits. a: everybody waits until their patience ends.
    #[arg(required_unless_present = "check")]
    model: Option<Model>,
    /// Contacts in a time, as in 4.2/min, 250/h or 100/30min.
    #[arg(long, value_parser = units::rate, required_unless_present = "check")]
    arrivals: Option<f64>,
    /// Average handle time: service and wrap-up, as in 2min, 90s or 1h30m.
    #[arg(long, value_parser = units::span, required_unless_present = "check")]
    aht: Option<f64>,
    /// Agents; a fraction is taken too. Without it, as many as the targets need.
    #[arg(long, value_parser = agents)]
    agents: Option<f64>,
    /// Mean time that a customer waits before leaving (for a).
    #[arg(long, value_parser = units::span, required_if_eq("model", "a"))]
    patience: Option<f64>,
    /// Acceptable wait of the service level; that of --target otherwise, or 20 s.
    #[arg(long, value_parser = units::span)]
    awt: Option<f64>,
    /// Service level to be reached, as in 80/20s: how many agents does it need?
    #[arg(long, value_parser = units::goal)]
    target: Option<Goal>,
    /// What --target counts.
    #[arg(long, value_enum, default_value = "served-within-of-offered", requires = "target")]
    of: Kind,
    /// Mean wait of the served (ASA) to be kept below.
    #[arg(long, value_parser = units::span)]
    max_asa: Option<f64>,
    /// Share of contacts that leave unserved to be kept below, as in 5%.
    #[arg(long, value_parser = units::share)]
    max_abandon: Option<f64>,
    /// Share of blocked contacts to be kept below (for b).
    #[arg(long, value_parser = units::share)]
    max_block: Option<f64>,
    /// Share of their time that agents are busy to be kept below, as in 85%.
    #[arg(long, value_parser = units::share)]
    max_occupancy: Option<f64>,
    /// Instead of all that: a table of reference values, and the worst row of each column.
    #[arg(
        long,
        value_name = "CSV",
        conflicts_with_all = ["model", "arrivals", "aht", "agents", "patience", "awt", "target", "max_asa", "max_abandon", "max_block", "max_occupancy"]
    )]
    check: Option<PathBuf>,
    /// Figures as JSON on stdout.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Model {
    B,
    C,
    A,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    ServedWithinOfOffered,
    ServedWithinOfServed,
    LeftWithinOfOffered,
}

impl Kind {
    const fn kind(self) -> ServiceLevelKind {
        match self {
            Self::ServedWithinOfOffered => ServiceLevelKind::ServedWithinOfOffered,
            Self::ServedWithinOfServed => ServiceLevelKind::ServedWithinOfServed,
            Self::LeftWithinOfOffered => ServiceLevelKind::LeftWithinOfOffered,
        }
    }
}

fn agents(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().map_err(|_| "expected a number of agents, as in 12 or 11.4".to_owned())?;
    Agents::new(number).map(Agents::count).map_err(|error| error.to_string())
}

/// Figures of one pool.
struct Figures {
    agents: f64,
    load: f64,
    p_wait: f64,
    p_block: f64,
    p_abandon: f64,
    mean_wait_s: f64,
    mean_wait_served_s: f64,
    mean_wait_abandoned_s: Option<f64>,
    mean_queue: f64,
    occupancy: f64,
    awt_s: f64,
    service_level: [(ServiceLevelKind, f64); 3],
    wait_quantiles: [(&'static str, f64); 4],
}

pub fn run(args: &Erlang, lang: Lang) -> Result<(), Failure> {
    if let Some(path) = &args.check {
        return check(path, args.json, lang);
    }
    // clap has seen to it that these are there.
    let (Some(model), Some(arrivals), Some(aht)) = (args.model, args.arrivals, args.aht) else {
        return Err(input(anyhow!("a formula, --arrivals and --aht are needed; or --check with a table")));
    };
    let demand = Demand::new(arrivals, aht).map_err(refused)?;
    let formula = formula(model, args.patience)?;
    let targets = targets(args, model)?;
    let need = if targets.is_empty() { None } else { Some(agents_for(formula, demand, &targets).map_err(refused)?) };
    let agents = match (args.agents, need) {
        (Some(agents), _) => agents,
        (None, Some(need)) => f64::from(need.agents),
        (None, None) => {
            return Err(input(anyhow!("--agents: nothing is given; name their number, or a target such as --target 80/20s")));
        }
    };
    let awt_s = args.awt.or(args.target.map(|goal| goal.within_s)).unwrap_or(20.0);
    let figures = figures(formula, agents, demand, awt_s).map_err(refused)?;
    if args.json { print_json(&document(model, &figures, need)) } else { print(model, &figures, need, lang) }
}

fn input(error: anyhow::Error) -> Failure {
    Failure::Input(error)
}

fn refused(error: ErlangError) -> Failure {
    Failure::Input(error.into())
}

fn formula(model: Model, patience: Option<f64>) -> Result<Formula, Failure> {
    match (model, patience) {
        (Model::A, Some(mean)) => Ok(Formula::Queue(Patience::Exponential { mean })),
        (Model::C, None) => Ok(Formula::Queue(Patience::Endless)),
        (Model::B, None) => Ok(Formula::Loss),
        (Model::A, None) => Err(input(anyhow!("--patience: nothing is given; formula a needs it, as in --patience 1min"))),
        (Model::B | Model::C, Some(_)) => {
            Err(input(anyhow!("--patience: formulas b and c know none; leave it out, or ask formula a")))
        }
    }
}

fn targets(args: &Erlang, model: Model) -> Result<Vec<Target>, Failure> {
    let level = args.target.map(|goal| Target::ServiceLevel { kind: args.of.kind(), share: goal.share, within: goal.within_s });
    let queue =
        [("--max-asa", args.max_asa.map(Target::MeanWaitOfServed)), ("--max-abandon", args.max_abandon.map(Target::Abandonment))];
    let misplaced = |flag: &str, wants: &str| {
        input(anyhow!("{flag}: formula {model:?} has no such figure; leave it out, or ask formula {wants}"))
    };
    match model {
        Model::B => {
            if let Some((flag, _)) = queue.iter().find(|(_, target)| target.is_some()) {
                return Err(misplaced(flag, "c or a"));
            }
        }
        Model::C if args.max_abandon.is_some() => return Err(misplaced("--max-abandon", "a")),
        Model::A | Model::C => {}
    }
    if model != Model::B && args.max_block.is_some() {
        return Err(misplaced("--max-block", "b"));
    }
    let others = [args.max_block.map(Target::Blocking), args.max_occupancy.map(Target::Occupancy)];
    Ok([level].into_iter().chain(queue.map(|(_, target)| target)).chain(others).flatten().collect())
}

fn figures(formula: Formula, agents: f64, demand: Demand, awt_s: f64) -> Result<Figures, ErlangError> {
    let (of, load) = (Agents::new(agents)?, demand.load());
    let Formula::Queue(patience) = formula else {
        let p_block = blocking(of, demand);
        // Whoever is not blocked is served at once; whoever is, is gone at once.
        let service_level = ServiceLevelKind::ALL.map(|kind| match kind {
            ServiceLevelKind::ServedWithinOfOffered => (kind, 1.0 - p_block),
            _ => (kind, 1.0),
        });
        let occupancy = load * (1.0 - p_block) / agents;
        let wait_quantiles = QUANTILES.map(|(name, _)| (name, 0.0));
        return Ok(Figures {
            agents,
            load,
            p_wait: 0.0,
            p_block,
            p_abandon: 0.0,
            mean_wait_s: 0.0,
            mean_wait_served_s: 0.0,
            mean_wait_abandoned_s: None,
            mean_queue: 0.0,
            occupancy,
            awt_s,
            service_level,
            wait_quantiles,
        });
    };
    let waiting = Waiting::new(of, demand, patience)?;
    let mut wait_quantiles = QUANTILES;
    for (_, value) in &mut wait_quantiles {
        *value = waiting.wait_quantile(*value, WaitsOf::Everybody)?;
    }
    Ok(Figures {
        agents,
        load,
        p_wait: waiting.p_wait(),
        p_block: 0.0,
        p_abandon: waiting.p_abandon(),
        mean_wait_s: waiting.mean_wait(),
        mean_wait_served_s: waiting.mean_wait_of_served(),
        mean_wait_abandoned_s: waiting.mean_wait_of_abandoned(),
        mean_queue: waiting.mean_queue(),
        occupancy: waiting.occupancy(),
        awt_s,
        service_level: ServiceLevelKind::ALL.map(|kind| (kind, waiting.service_level(kind, awt_s))),
        wait_quantiles,
    })
}

fn document(model: Model, figures: &Figures, need: Option<Need>) -> Value {
    let levels: serde_json::Map<_, _> =
        figures.service_level.iter().map(|(kind, share)| (kind.slug().to_owned(), json!(share))).collect();
    let quantiles: serde_json::Map<_, _> =
        figures.wait_quantiles.iter().map(|(name, seconds)| ((*name).to_owned(), json!(seconds))).collect();
    json!({
        "model": format!("{model:?}").to_lowercase(),
        "agents": figures.agents,
        "load": figures.load,
        "p_wait": figures.p_wait,
        "p_block": figures.p_block,
        "p_abandon": figures.p_abandon,
        "mean_wait_s": figures.mean_wait_s,
        "mean_wait_served_s": figures.mean_wait_served_s,
        "mean_wait_abandoned_s": figures.mean_wait_abandoned_s,
        "wait": quantiles,
        "mean_queue": figures.mean_queue,
        "occupancy": figures.occupancy,
        "awt_s": figures.awt_s,
        "service_level": levels,
        "need": need.map(|need| json!({"agents": need.agents, "fractional": need.fractional})),
    })
}

fn print(model: Model, figures: &Figures, need: Option<Need>, lang: Lang) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let say = |en, zh| lang.say(en, zh);
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let seconds = |seconds: f64| format!("{seconds:.2} s");
    let mut rows = vec![(say("load (Erlang)", "话务量（爱尔兰）").to_owned(), format!("{:.4}", figures.load))];
    if let Some(need) = need {
        let value = format!("{} ({:.2})", need.agents, need.fractional);
        rows.push((say("agents that the targets need", "达标所需坐席").to_owned(), value));
    }
    rows.push((say("agents", "坐席数").to_owned(), figures.agents.to_string()));
    rows.push((say("occupancy", "工时利用率").to_owned(), percent(figures.occupancy)));
    if model == Model::B {
        rows.push((say("blocked", "呼损").to_owned(), percent(figures.p_block)));
    } else {
        rows.push((say("waits", "需排队").to_owned(), percent(figures.p_wait)));
        if model == Model::A {
            rows.push((say("leaves unserved", "放弃").to_owned(), percent(figures.p_abandon)));
        }
        rows.push((say("mean wait, of all", "平均等待（全部）").to_owned(), seconds(figures.mean_wait_s)));
        rows.push((say("mean wait, of the served (ASA)", "平均应答时长").to_owned(), seconds(figures.mean_wait_served_s)));
        if let Some(wait) = figures.mean_wait_abandoned_s {
            rows.push((say("mean wait, of who left", "平均等待（放弃者）").to_owned(), seconds(wait)));
        }
        for (name, wait) in figures.wait_quantiles {
            let name = name.trim_end_matches("_s").to_uppercase();
            rows.push((format!("{} {name}", say("wait, of all,", "等待（全部）")), seconds(wait)));
        }
        rows.push((say("mean number waiting", "平均排队人数").to_owned(), format!("{:.4}", figures.mean_queue)));
    }
    for (kind, share) in figures.service_level {
        let name = format!("{} {}", say("service level", "服务水平"), kind.slug());
        rows.push((name, format!("{} / {} s", percent(share), figures.awt_s)));
    }
    // Chinese letters are two columns wide.
    let width = |text: &str| text.chars().map(|letter| if letter.is_ascii() { 1 } else { 2 }).sum::<usize>();
    let widest = rows.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    for (name, value) in rows {
        heard(writeln!(out, "{name}{}  {value}", " ".repeat(widest - width(&name))))?;
    }
    Ok(())
}

fn check(path: &Path, as_json: bool, lang: Lang) -> Result<(), Failure> {
    let shown = path.display();
    let unread = |what: String| input(anyhow!("{shown}: {what}; name a CSV file of reference values"));
    let size = std::fs::metadata(path).map_err(|error| unread(format!("cannot be read ({error})")))?.len();
    if size > TABLE_BYTES_MAX {
        return Err(unread(format!("{size} bytes, expected at most {TABLE_BYTES_MAX}")));
    }
    let bytes = std::fs::read(path).map_err(|error| unread(format!("cannot be read ({error})")))?;
    let checked = check_table(&bytes).map_err(|error| input(anyhow!("{shown}: {error}")))?;
    report(&checked, as_json, lang)?;
    if checked.holds() {
        return Ok(());
    }
    Err(Failure::check(format!("{shown}: a value is further off than {TOLERANCE:e}; the lines above name it")))
}

fn report(checked: &Checked, as_json: bool, lang: Lang) -> Result<(), Failure> {
    if as_json {
        let columns: Vec<_> = checked
            .worst
            .iter()
            .map(|((model, column), worst)| {
                json!({
                    "model": model.to_string(), "column": column, "values": worst.values, "off": worst.off, "line": worst.line,
                    "expected": worst.expected, "found": worst.found,
                })
            })
            .collect();
        let rows: u64 = checked.rows.values().sum();
        return print_json(&json!({ "rows": rows, "tolerance": TOLERANCE, "holds": checked.holds(), "columns": columns }));
    }
    let mut out = std::io::stdout().lock();
    heard(writeln!(out, "{}", lang.say("model column        values  worst    line", "公式  列            数值数  最差     行")))?;
    for ((model, column), worst) in &checked.worst {
        let (values, off, line) = (worst.values, worst.off, worst.line);
        let verdict = if off <= TOLERANCE { "" } else { lang.say("  OFF", "  超差") };
        heard(writeln!(out, "{model:<5} {column:<12} {values:>7}  {off:<7.1e} {line:>5}{verdict}"))?;
    }
    Ok(())
}
