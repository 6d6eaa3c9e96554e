//! What is played: the trace, read and mapped, cut to the hours asked for, with its speed.

use crate::cli::Demo;
use anyhow::anyhow;
use std::collections::BTreeSet;
use std::time::Duration;
use tidegate_sim::bank::{BankDay, BankWeek, Between, Script};
use tidegate_sim::kernel::Streams;
use tidegate_sim::trace::{self, Limits, Mode, Report};

/// The real sample, built in so that the demonstration runs from any directory.
const TRACE: &[u8] = include_bytes!("../../examples/bank-1999/anonymous_bank_1999-05-16_to_23.csv.gz");
const TRACE_NAME: &str = "examples/bank-1999/anonymous_bank_1999-05-16_to_23.csv.gz";
const HOUR_MS: u64 = 3_600_000;
/// Speeds that bring a day, and the week, to some three minutes and some four.
const DAY_SPEED: u32 = 480;
const WEEK_SPEED: u32 = 2_880;

/// A plan.
#[derive(Debug)]
pub struct Plan {
    /// What is shown as its name.
    pub title: String,
    /// The days, cut to the hours asked for.
    pub days: Vec<BankDay>,
    /// Who does what when.
    pub script: Script,
    /// Log seconds a second.
    pub speed: u32,
    /// What the reader found in the trace, for people.
    pub findings: Vec<String>,
}

impl Plan {
    /// Reads and maps the trace.
    ///
    /// # Errors
    /// A trace that cannot be read, a day that it does not have, hours without a contact.
    pub fn read(args: &Demo) -> anyhow::Result<Self> {
        let mode = if args.strict { Mode::Strict } else { Mode::Lenient };
        let report = match &args.trace {
            Some(path) => trace::read_file(path, mode, Limits::default()),
            None => trace::parse(TRACE, TRACE_NAME, mode, Limits::default()),
        }?;
        if report.rows.is_empty()
            && let Some(first) = report.findings.first()
        {
            return Err(anyhow!("the trace gave no row; its first finding: {first}"));
        }
        let streams = Streams::seeded(args.seed);
        let week = BankWeek::plan(&report.rows, &streams)?;
        let mut days = if args.week { week.days } else { vec![week.day(&args.day)?.clone()] };
        if let Some((from, to)) = args.hours {
            for day in &mut days {
                cut(day, from * HOUR_MS, to * HOUR_MS);
            }
        }
        if days.iter().all(|day| day.contacts.is_empty()) {
            return Err(anyhow!("nobody comes in these hours; choose others with --hours"));
        }
        let title = if args.week { "1999-05-16 … 1999-05-23".to_owned() } else { args.day.clone() };
        let speed = args.speed.unwrap_or(if args.week { WEEK_SPEED } else { DAY_SPEED });
        let script = Script::of(&days, &Between::of(&report.rows), &streams);
        Ok(Self { title, days, script, speed, findings: findings(&report) })
    }

    /// When the first act happens, in milliseconds after the script's midnight.
    pub fn first_ms(&self) -> u64 {
        let acts = self.script.visits.iter().map(|v| v.arrive_ms).chain(self.script.shifts.iter().map(|s| s.sign_in_ms));
        acts.min().unwrap_or(0)
    }

    /// Wall time from the first act to the last planned one.
    pub fn span(&self) -> Duration {
        let acts = self.script.visits.iter().map(|v| v.arrive_ms).chain(self.script.shifts.iter().map(|s| s.sign_out_ms));
        Duration::from_millis(acts.max().unwrap_or(0).saturating_sub(self.first_ms())) / self.speed
    }

    /// Distinct agents.
    pub fn seats(&self) -> usize {
        self.script.shifts.iter().map(|s| s.seat).collect::<BTreeSet<_>>().len()
    }
}

/// Keeps who comes and who works between two times of a day.
fn cut(day: &mut BankDay, from_ms: u64, to_ms: u64) {
    day.contacts.retain(|c| (from_ms..to_ms).contains(&c.arrive_ms));
    for agent in &mut day.agents {
        agent.sign_in_ms = agent.sign_in_ms.max(from_ms);
        agent.sign_out_ms = agent.sign_out_ms.min(to_ms);
        let (on, off) = (agent.sign_in_ms, agent.sign_out_ms);
        agent.breaks.retain(|pause| pause.from_ms > on && pause.until_ms < off);
    }
    day.agents.retain(|agent| agent.sign_in_ms < agent.sign_out_ms);
}

fn findings(report: &Report) -> Vec<String> {
    let mut lines: Vec<String> = report.counts.iter().map(|(problem, count)| format!("{problem:?}: {count}")).collect();
    if report.rejected > 0 {
        lines.push(format!("{} of {} lines gave no row", report.rejected, report.lines));
        lines.extend(report.findings.iter().take(20).map(ToString::to_string));
    }
    lines
}
