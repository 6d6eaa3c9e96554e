//! The verdict: ledger, latencies, parity, one picture, and an exit code that means it.

use super::clock::Scaled;
use super::history::{Findings, Histories};
use super::{Plan, TENANT, desk};
use crate::cli::Demo;
use crate::failure::Failure;
use crate::floor::Floor;
use crate::say::Lang;
use anyhow::{Context, anyhow};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tidegate_core::Ledger;
use tidegate_model::Millis;
use tidegate_model::record::{DecisionRecord, Face};
use tidegate_router::cell::StageSummary;
use tidegate_sim::bank::{Presence, STORM_DAY};
use tidegate_sim::report::{DayPicture, DaySeries, Origin, Passage, PictureColumn, Summary, figures_table};
use tidegate_sim::twin::bank::{BankRun, Play, WITHIN_MS, passage, play};
use tidegate_sim::twin::{Keep, Parity, TenantReport, journal, parity};

/// What the live node leaves behind.
pub struct Live {
    decisions: Vec<u64>,
    decisions_digest: u64,
    ledger: Ledger,
    sound: Result<(), &'static str>,
    stages: Vec<StageSummary>,
}

impl Live {
    /// Asks the node before it goes down.
    pub async fn of(floor: &Floor) -> anyhow::Result<Self> {
        let (ledger, sound, digest) = floor
            .node
            .query(TENANT, |machine| (machine.ledger(), machine.check(), machine.digests().decisions))
            .await
            .map_err(|error| anyhow!("the node does not answer: {error:?}"))?;
        Ok(Self {
            decisions: floor.node.cell().decisions(TENANT),
            decisions_digest: digest,
            ledger,
            sound,
            stages: floor.node.cell().stages().summaries(),
        })
    }
}

/// Judges, prints, and fails when a check fails.
pub fn judge(
    args: &Demo,
    plan: &Plan,
    live: &Live,
    histories: &Histories,
    dir: &Path,
    clock: Scaled,
    lang: Lang,
) -> Result<(), Failure> {
    let found = histories.read(plan.script.visits.iter().map(|v| v.row));
    let replayed = journal::replay_dir(dir, Keep::Everything).context("the log cannot be replayed")?;
    let tenant = replayed.tenants.get(&TENANT).ok_or_else(|| anyhow!("the log does not know the tenant"))?;
    let proof = parity(&live.decisions, &tenant.decision_digests);
    let twin = play(&plan.script, Play { habits: desk::habits(plan.speed), ..Play::default() }).context("the twin")?;

    let speeds = Latencies::of(histories, tenant);
    let figures = Figures::of(plan, tenant, &twin, clock);
    std::fs::write(&args.picture, figures.picture(plan))
        .with_context(|| format!("{} cannot be written", args.picture.display()))?;

    let value = report(plan, live, &found, &proof, &speeds, &figures, tenant);
    if args.json {
        println!("{value:#}");
    } else {
        print(&value, live, &found, &speeds, &figures, args, lang);
    }
    let faults = faults(plan, live, &found, &proof, tenant, replayed.unreadable_total);
    if faults.is_empty() { Ok(()) } else { Err(Failure::check(faults.join("; "))) }
}

/// Everything that must hold, and does not.
fn faults(plan: &Plan, live: &Live, found: &Findings, proof: &Parity, tenant: &TenantReport, unreadable: u64) -> Vec<String> {
    let rows = plan.script.visits.len() as u64;
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            faults.push(what);
        }
    };
    must(
        found.lost.is_empty(),
        format!("{} customer(s) never learned how it ended, rows {:?}", found.lost.len(), first(&found.lost)),
    );
    must(found.double_assignments == 0, format!("{} contact(s) had two agents at once", found.double_assignments));
    must(found.over_capacity == 0, format!("{} time(s) a desk held more than it can", found.over_capacity));
    must(found.unowned == 0, format!("{} contact(s) were nobody's for over 5 s", found.unowned));
    must(found.ended_twice == 0, format!("{} contact(s) ended twice", found.ended_twice));
    must(found.faults.is_empty(), format!("connections failed: {:?}", first(&found.faults)));
    must(live.sound.is_ok(), format!("an invariant is broken: {:?}", live.sound));
    must(live.ledger.balanced() && live.ledger.open() == 0, format!("the ledger does not close: {:?}", live.ledger));
    must(live.ledger.offered == rows, format!("{} contacts came in of {rows} rows", live.ledger.offered));
    must(proof.holds(), format!("parity fails: {} of {} decisions differ", proof.mismatches, proof.decisions));
    must(tenant.digests.decisions == live.decisions_digest, "the replayed digest differs from the live one".into());
    must(unreadable == 0, format!("{unreadable} part(s) of the log cannot be read"));
    faults
}

fn first<T: Clone>(list: &[T]) -> Vec<T> {
    list.iter().take(5).cloned().collect()
}

/// Latencies in wall time.
struct Latencies {
    /// From asking for an agent to the offer on a desk's wire, an idle agent being there.
    offer: Histogram<u64>,
    /// From sending an acceptance to its acknowledgement.
    accept: Histogram<u64>,
    /// From asking to the acknowledgement of it.
    acknowledged: Histogram<u64>,
}

impl Latencies {
    fn of(histories: &Histories, tenant: &TenantReport) -> Self {
        let empty = || Histogram::new(3).unwrap_or_else(|_| unreachable!("three digits are in range"));
        let (mut offer, mut accept, mut acknowledged) = (empty(), empty(), empty());
        // An idle agent was there when the contact's own arrival chose a seat, at the moment of asking.
        let at_once = |d: &&DecisionRecord| d.face == Face::SelectAgent;
        let asked: std::collections::BTreeMap<_, _> = tenant.contacts.iter().map(|c| (c.contact, c.requested_at)).collect();
        let decisions = tenant.decisions.iter().flatten().filter(at_once);
        let idle: BTreeSet<u64> =
            decisions.filter(|d| asked.get(&d.contact).copied().flatten() == Some(d.at)).map(|d| d.contact.0).collect();
        let mut seen = BTreeSet::new();
        for (o, asked) in histories.offers() {
            if let (Some(asked), true) = (asked, idle.contains(&o.contact) && seen.insert(o.contact)) {
                record(&mut offer, o.at.saturating_duration_since(asked));
            }
            if let Some((sent, answered)) = o.accepted {
                record(&mut accept, answered - sent);
            }
        }
        for span in histories.acknowledgements() {
            record(&mut acknowledged, span);
        }
        Self { offer, accept, acknowledged }
    }
}

fn record(histogram: &mut Histogram<u64>, span: Duration) {
    histogram.saturating_record(span.as_micros() as u64);
}

fn quantiles(h: &Histogram<u64>) -> Value {
    let ms = |q| h.value_at_quantile(q) as f64 / 1_000.0;
    json!({"p50": ms(0.5), "p95": ms(0.95), "p99": ms(0.99), "max": h.max() as f64 / 1_000.0, "n": h.len()})
}

/// Recorded, live and twin side by side.
struct Figures {
    columns: Vec<(Origin, Vec<Passage>, Vec<Presence>, Summary)>,
}

impl Figures {
    fn of(plan: &Plan, tenant: &TenantReport, twin: &BankRun, clock: Scaled) -> Self {
        // With several days the picture shows the last one: the storm.
        let (day, offset) = plan.script.days.last().copied().unwrap_or((plan.script.origin, 0));
        let recorded = plan.days.last().map(tidegate_sim::bank::BankDay::recorded_passages).unwrap_or_default();
        let midnight = clock.midnight + Millis(offset);
        let on_day = |at: tidegate_model::Timestamp| at >= midnight && at < midnight + Millis(86_400_000);
        let live: Vec<Passage> = tenant.contacts.iter().filter(|c| on_day(c.began_at)).map(|c| passage(c, midnight)).collect();
        let planned: Vec<Presence> = plan.days.last().iter().flat_map(|d| &d.agents).flat_map(|a| a.presences()).collect();
        let run = twin.days.iter().find(|d| d.day == day);
        let twin = run.map(|d| (d.passages.clone(), d.presences.clone())).unwrap_or_default();
        let column = |origin, passages: Vec<Passage>, presences| {
            let summary = Summary::of(&passages, WITHIN_MS);
            (origin, passages, presences, summary)
        };
        Self {
            columns: vec![
                column(Origin::Recorded, recorded, planned.clone()),
                column(Origin::Live, live, planned),
                column(Origin::Twin, twin.0, twin.1),
            ],
        }
    }

    fn picture(&self, plan: &Plan) -> String {
        let columns = self.columns.iter().map(|(origin, passages, presences, summary)| PictureColumn {
            origin: *origin,
            series: DaySeries::of(passages, presences, DaySeries::QUARTER_MS),
            summary: summary.clone(),
        });
        DayPicture {
            day: plan.days.last().map_or_else(String::new, |d| d.day.to_string()),
            caption: format!("telephone trace mapped to web chat; live and twin at speed {}", plan.speed),
            columns: columns.collect(),
        }
        .to_svg()
    }

    fn table(&self) -> String {
        figures_table(&self.columns.iter().map(|(origin, _, _, summary)| (*origin, summary)).collect::<Vec<_>>())
    }
}

fn report(
    plan: &Plan,
    live: &Live,
    found: &Findings,
    proof: &Parity,
    speeds: &Latencies,
    figures: &Figures,
    tenant: &TenantReport,
) -> Value {
    let stage = |s: &StageSummary| {
        let ms = |us: f64| us / 1_000.0;
        (
            format!("{:?}", s.stage).to_lowercase(),
            json!({"p50": ms(s.p50_us), "p99": ms(s.p99_us), "p999": ms(s.p999_us), "n": s.count}),
        )
    };
    let stages: serde_json::Map<String, Value> = live.stages.iter().map(stage).collect();
    let side = |(origin, _, _, s): &(Origin, Vec<Passage>, Vec<Presence>, Summary)| {
        let value = json!({
            "contacts": s.contacts, "asked": s.offered, "exits": s.exits, "abandoned_of_asked": s.abandoned_of_offered(),
            "wait_s": {"mean": s.wait.mean_ms / 1e3, "p50": s.wait.p50_ms as f64 / 1e3, "p95": s.wait.p95_ms as f64 / 1e3,
                       "p99": s.wait.p99_ms as f64 / 1e3, "n": s.wait.n},
            "service_level_20s": {"of_asked": s.service_level.served_within_of_offered(), "of_served": s.service_level.served_within_of_served()},
        });
        (origin.english().to_lowercase(), value)
    };
    let sides: serde_json::Map<String, Value> = figures.columns.iter().map(side).collect();
    json!({
        "trace": plan.title,
        "speed": plan.speed,
        "rows": plan.script.visits.len(),
        "exits": found.exits,
        "lost": found.lost.len(),
        "double_assignments": found.double_assignments,
        "over_capacity": found.over_capacity,
        "unowned": found.unowned,
        "parity": {"decisions": proof.decisions, "mismatches": proof.mismatches},
        "offer_ms": quantiles(&speeds.offer),
        "accept_ms": quantiles(&speeds.accept),
        "acknowledged_ms": quantiles(&speeds.acknowledged),
        "commit_ms": stages.get("commit").cloned().unwrap_or(Value::Null),
        "stages_ms": stages,
        "figures": sides,
        "inputs": tenant.inputs,
        "digest": format!("{:016x}", live.decisions_digest),
    })
}

fn print(value: &Value, live: &Live, found: &Findings, speeds: &Latencies, figures: &Figures, args: &Demo, lang: Lang) {
    println!("{}", lang.say("Ledger (from the clients' own histories)", "总账（由客户端自己的记录得出）"));
    println!("  {} {}  {:?}", lang.say("rows", "行数"), value["rows"], found.exits);
    println!(
        "  {} {}  {} {}  {} {}  {} {}",
        lang.say("lost", "丢失"),
        found.lost.len(),
        lang.say("double assignments", "重复分配"),
        found.double_assignments,
        lang.say("over capacity", "超出容量"),
        found.over_capacity,
        lang.say("unowned over 5 s", "无主超过 5 秒"),
        found.unowned,
    );
    println!("{}", lang.say("Parity (the log replayed in the twin from its first entry)", "一致性（日志在孪生中从头重放）"));
    println!(
        "  {} {}  {} {}",
        lang.say("decisions", "决策"),
        value["parity"]["decisions"],
        lang.say("mismatches", "不一致"),
        value["parity"]["mismatches"]
    );
    println!("{}", lang.say("Latency, ms", "延迟（毫秒）"));
    for (name, h) in [
        (lang.say("asked to offer on the wire, idle agent there", "请求到坐席端可见（有空闲坐席）"), &speeds.offer),
        (lang.say("acceptance to its acknowledgement", "接受到确认"), &speeds.accept),
        (lang.say("request to its acknowledgement", "请求到确认"), &speeds.acknowledged),
    ] {
        let ms = |q| h.value_at_quantile(q) as f64 / 1_000.0;
        println!("  {name}: p50 {:.2}  p95 {:.2}  p99 {:.2}  n {}", ms(0.5), ms(0.95), ms(0.99), h.len());
    }
    for s in &live.stages {
        println!("  {:?}: p50 {:.3}  p99 {:.3}  n {}", s.stage, s.p50_us / 1e3, s.p99_us / 1e3, s.count);
    }
    println!("{}", figures.table());
    if value["trace"] == STORM_DAY {
        println!("{}", lang.say("The storm of 23 May 1999: nobody knows its cause.", "1999 年 5 月 23 日的来电风暴：原因不明。"));
    }
    println!("{} {}", lang.say("picture:", "图："), args.picture.display());
    println!("{} {}", lang.say("digest:", "摘要："), value["digest"].as_str().unwrap_or(""));
}
