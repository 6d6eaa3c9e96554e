//! `tidegate calibrate`: records of contacts in, fitted figures with intervals out, and what could not be identified.
//!
//! Several files are one record, in the order given. Findings go to stderr, figures to stdout: a text by default, `--json` whole.

use super::print_json;
use crate::cli::{Calibrate, RecordEncoding, RecordFormat};
use crate::failure::Failure;
use anyhow::{Context, anyhow};
use std::fmt::Write;
use std::path::Path;
use tidegate_sim::calibrate::read::{self, Encoding, Limits, ReadError, ReadReport};
use tidegate_sim::calibrate::scenario::ordinary_day;
use tidegate_sim::calibrate::{Calibration, Estimate, FittedClass, Tally, calibrate};
use tidegate_sim::kernel::Streams;

pub fn run(args: &Calibrate) -> Result<(), Failure> {
    let interval_s = args.interval * 60;
    let mut tally = Tally::new(interval_s);
    let mut report = ReadReport::default();
    for path in &args.records {
        let one = read_one(path, args, &mut tally).map_err(|error| Failure::Input(error.into()))?;
        for finding in &one.findings {
            eprintln!("{finding}");
        }
        let told = one.findings.len() as u64;
        let all: u64 = one.problems.values().sum();
        if all > told {
            eprintln!("{}: {} more findings", path.display(), all - told);
        }
        report.merge(one, Limits { findings: args.findings, ..Limits::default() });
    }
    if args.strict && report.rejected > 0 {
        return Err(Failure::Input(anyhow!("{} row(s) rejected, and --strict was asked for; correct them", report.rejected)));
    }
    let fitted = calibrate(tally, interval_s, report, &Streams::seeded(args.seed)).map_err(|error| Failure::Input(error.into()))?;
    if let Some(path) = &args.output {
        let weekday = args.weekday.unwrap_or_else(|| busiest(&fitted));
        let scenario = ordinary_day(weekday, &fitted).map_err(|error| Failure::Input(error.into()))?;
        let text = scenario.to_toml().context("the scenario cannot be written")?;
        std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        eprintln!("{}: {}, for tidegate simulate", path.display(), scenario.name);
    }
    if args.json {
        let value = serde_json::to_value(&fitted).map_err(|error| Failure::Check(error.into()))?;
        return print_json(&value);
    }
    print!("{}", text(&fitted));
    Ok(())
}

/// The weekday with the most contacts.
fn busiest(fitted: &Calibration) -> usize {
    let total = |mean: &[f64]| mean.iter().sum::<f64>();
    fitted.arrivals.rates.iter().max_by(|a, b| total(&a.mean).total_cmp(&total(&b.mean))).map_or(0, |rates| rates.weekday)
}

fn read_one(path: &Path, args: &Calibrate, tally: &mut Tally) -> Result<ReadReport, ReadError> {
    let limits = Limits { findings: args.findings, ..Limits::default() };
    let format = args.format.unwrap_or(if path.is_dir() { RecordFormat::Journal } else { RecordFormat::Bank });
    let encoding = match args.encoding {
        None => Encoding::Detect,
        Some(RecordEncoding::Utf8) => Encoding::Utf8,
        Some(RecordEncoding::Gb18030) => Encoding::Gb18030,
    };
    match format {
        RecordFormat::Bank => read::read_bank(path, limits, tally),
        RecordFormat::Csv => read::read_csv(path, &args.map, encoding, args.zone, limits, tally),
        RecordFormat::Journal => read::read_journal(path, args.zone, tally),
    }
}

/// The figures for people. Writing to a string cannot fail.
fn text(of: &Calibration) -> String {
    let mut page = String::new();
    let mut line = |text: String| {
        page.push_str(text.trim_end());
        page.push('\n');
    };
    line(format!(
        "{} to {}: {} days, {} contacts asked, {} left before asking; {} rows read, {} rejected, {} ignored",
        of.from, of.until, of.days, of.asked, of.left_early, of.read.rows, of.read.rejected, of.read.ignored
    ));
    line(format!("every interval in brackets is 95 %; profile by weekday in steps of {} min", of.arrivals.interval_s / 60));
    line(String::new());
    line(format!(
        "arrivals     {} an ordinary day; {} special days left out{}",
        shown(&of.arrivals.per_day, 1.0, 0),
        of.arrivals.special.len(),
        specials(of)
    ));
    if let Some(busyness) = &of.arrivals.busyness {
        line(format!(
            "busyness     day factor's variance {}, interval's {} (correlation {}); counts vary {:.2} times as much as Poisson",
            shown(&busyness.day_variance, 1.0, 4),
            shown(&busyness.interval_variance, 1.0, 4),
            shown(&busyness.interval_correlation, 1.0, 2),
            busyness.dispersion
        ));
    }
    if let Some(presence) = &of.presence {
        line(format!(
            "agents       {} seen, {} h a day from first to last service, {:.1} % of it breaks, {:.1} % of presence serving",
            presence.agents,
            shown(&presence.span_h, 1.0, 2),
            presence.break_share * 100.0,
            presence.serving_share * 100.0
        ));
        if let Some(idle) = &presence.hidden_idle {
            line(format!(
                "hidden idle  {} s after a service although somebody waits; median {:.0} s, {:.1} % over two minutes",
                shown(&idle.mean_s, 1.0, 1),
                idle.median_s,
                idle.over_2_min * 100.0
            ));
        }
    }
    if let Some(agents) = &of.agents {
        line(format!(
            "agents vary  handle times by {} on the logarithm, of {} agents",
            shown(&agents.factors.log_deviation, 1.0, 3),
            agents.names.len()
        ));
    }
    if let Some(redial) = &of.redial {
        line(format!(
            "redial       {} % come again within an hour of giving up, {} % after service{}",
            shown(&redial.after_abandoning, 100.0, 1),
            shown(&redial.after_service, 100.0, 1),
            redial.time_constant_s.as_ref().map_or(String::new(), |time| format!("; time constant {} s", shown(time, 1.0, 0)))
        ));
    }
    if let Some(head) = &of.head_start {
        line(format!(
            "head start   {} s, best from {} to {} [{:.0}, {:.0}]; {} of {} pairs stay inverted, {} without it",
            head.seconds,
            head.best_s[0],
            head.best_s[1],
            head.ci95[0],
            head.ci95[1],
            head.inversions,
            head.pairs,
            head.inversions_without
        ));
    }
    if let Some(curve) = &of.slow_down {
        let levels = curve.levels.iter().map(|level| format!("{} at once ×{}", level.level, shown(&level.slower, 1.0, 3)));
        line(format!("slow-down    {}", levels.collect::<Vec<_>>().join(", ")));
    }
    line(String::new());
    line(format!(
        "{:<12} {:>8} {:>22} {:>18} {:>9} {:>24} {:>8} {:>6}  {:<18} {}",
        "class",
        "asked",
        "abandoned %",
        "patience median s",
        "if exp. s",
        "handle mean s",
        "p95 s",
        "scv",
        "used",
        "KS / A² on held-out days"
    ));
    for class in &of.classes {
        line(row(class));
    }
    line(String::new());
    let starts: Vec<String> = of
        .classes
        .iter()
        .filter_map(|class| {
            class.head_start.map(|head| format!("{} {:+.0} s [{:.0}, {:.0}]", class.name, head.seconds, head.ci95[0], head.ci95[1]))
        })
        .collect();
    if !starts.is_empty() {
        line(format!("head start over ordinary callers of the largest class: {}", starts.join(", ")));
        line(String::new());
    }
    line("could not be identified".to_owned());
    for unknown in &of.unidentified {
        line(format!("- {}: {}", unknown.what, unknown.why));
    }
    page
}

fn row(class: &FittedClass) -> String {
    let mut row = format!("{:<12} {:>8}", class.name, class.asked);
    let patience = class.patience.as_ref();
    let abandoned = patience.map_or("-".to_owned(), |patience| shown(&patience.abandoned, 100.0, 1));
    let median = patience.map_or("-".to_owned(), |patience| {
        patience.median_s.map_or(format!("over {:.0}", patience.known_until_s), |median| format!("{median:.0}"))
    });
    let exponential = patience.map_or("-".to_owned(), |patience| format!("{:.0}", patience.mean_if_exponential_s));
    let _written = write!(row, " {abandoned:>22} {median:>18} {exponential:>9}");
    if let Some(handle) = &class.handle {
        let fits = handle.fit.iter().map(|fit| format!("{} {:.3}/{:.3}", family(fit.family), fit.distance, fit.anderson_darling));
        let _written = write!(
            row,
            " {:>24} {:>8.0} {:>6.2}  {:<18} {}",
            shown(&handle.mean_s, 1.0, 1),
            handle.p95_s,
            handle.scv,
            family(handle.used),
            fits.collect::<Vec<_>>().join(", ")
        );
    }
    row
}

fn family(family: tidegate_sim::calibrate::handle::Family) -> &'static str {
    use tidegate_sim::calibrate::handle::Family;
    match family {
        Family::LogNormal => "log-normal",
        Family::Gamma => "Gamma",
        Family::Empirical => "record",
    }
}

fn specials(of: &Calibration) -> String {
    const SHOWN: usize = 6;
    let special = &of.arrivals.special;
    if special.is_empty() {
        return String::new();
    }
    let dates: Vec<String> = special.iter().take(SHOWN).map(|day| format!("{} ×{:.2}", day.date, day.of_median)).collect();
    let more = if special.len() > SHOWN { format!(" and {} more", special.len() - SHOWN) } else { String::new() };
    format!(" ({}{more})", dates.join(", "))
}

/// A figure with its interval, scaled.
fn shown(of: &Estimate, scale: f64, digits: usize) -> String {
    if !of.value.is_finite() {
        return "unknown".to_owned();
    }
    format!("{:.digits$} [{:.digits$}, {:.digits$}]", of.value * scale, of.ci95[0] * scale, of.ci95[1] * scale)
}
