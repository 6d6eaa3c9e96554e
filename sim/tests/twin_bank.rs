//! The bank's days through the whole tenant machine: everybody in, each out by one exit, the ledger equal to the record's rows.
//!
//! The record decides what may be compared exactly: rows, phantoms, those who leave with the bot and those who ask are the
//! same whatever the router does; who is served is the router's doing, so it is compared within bounds only. Every run's log
//! replays to the same decisions. Figures are printed (`--nocapture`).

use std::path::PathBuf;
use tidegate_core::Ledger;
use tidegate_core::ledger::exit_slugs;
use tidegate_model::TenantId;
use tidegate_sim::bank::{BankDay, BankWeek, Between, Course, DeskHabits, STORM_DAY, Script, WrapUp, fit_head_start, policy};
use tidegate_sim::kernel::Streams;
use tidegate_sim::report::{Origin, Summary, figures_table};
use tidegate_sim::trace::{Limits, Mode, TraceRow, read_file};
use tidegate_sim::twin::bank::{BankRun, Play, WITHIN_MS, play};
use tidegate_sim::twin::{Keep, Replay};

fn rows() -> Vec<TraceRow> {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "..", "examples", "bank-1999", "anonymous_bank_1999-05-16_to_23.csv.gz"].iter().collect();
    read_file(&path, Mode::Lenient, Limits::default()).expect("the sample is readable").rows
}

fn week() -> BankWeek {
    BankWeek::plan(&rows(), &Streams::seeded(1999)).expect("the sample has rows")
}

fn script_of(days: &[BankDay]) -> Script {
    Script::of(days, &Between::of(&rows()), &Streams::seeded(1999))
}

fn run(days: &[BankDay], options: Play) -> BankRun {
    play(&script_of(days), options).expect("the bank's policy is sound")
}

fn exits(ledger: &Ledger, slug: &str) -> u64 {
    exit_slugs().iter().zip(ledger.exits).filter(|(name, _)| **name == slug).map(|(_, count)| count).sum()
}

/// What the rows fix, whatever a router does.
fn check_against_rows(what: &str, ledger: &Ledger, days: &[BankDay]) {
    let sum = |of: fn(&BankDay) -> u64| days.iter().map(of).sum::<u64>();
    assert_eq!(ledger.offered, sum(|day| day.counts.rows), "{what}: rows");
    assert_eq!(exits(ledger, "refused"), sum(|day| day.counts.phantoms), "{what}: phantoms");
    assert_eq!(exits(ledger, "abandoned_with_bot"), sum(|day| day.counts.left_in_bot), "{what}: left with the bot");
    let asked = exits(ledger, "served") + exits(ledger, "abandoned_waiting");
    assert_eq!(asked, sum(|day| day.counts.asked), "{what}: asked for an agent");
    assert_eq!((ledger.open(), ledger.exited()), (0, ledger.offered), "{what}: everybody left once");
    assert_eq!((ledger.refused_inputs, ledger.duplicates, ledger.poisoned), (0, 0, 0), "{what}: nothing was refused");
}

fn check_replay(what: &str, run: &BankRun) {
    let replayed = Replay::run(Keep::Contacts, run.log.iter());
    assert!(replayed.is_whole(), "{what}: {:?}", replayed.unreadable);
    let again = &replayed.tenants[&TenantId(1)];
    let found = run.tenant.parity(again);
    assert!(found.holds(), "{what}: {found:?}");
    // Nobody asks on the holiday.
    assert_eq!(found.decisions == 0, what == "1999-05-21", "{what}: {found:?}");
    assert_eq!(again, &run.tenant, "{what}");
}

#[test]
fn each_day_alone_keeps_its_ledger_and_replays() {
    for day in &week().days {
        let run = run(std::slice::from_ref(day), Play::default());
        let what = day.day.to_string();
        check_against_rows(&what, &run.tenant.ledger, std::slice::from_ref(day));
        check_replay(&what, &run);
        assert_eq!(run.days[0].passages.len() as u64, day.counts.rows, "{what}");
        assert_eq!(run.days[0].summary.offered, day.counts.asked, "{what}");
        assert_eq!(run.tenant.policy_hash, Some(policy::policy_hash()));
    }
}

#[test]
fn the_whole_week_keeps_its_ledger_and_replays() {
    let week = week();
    let run = run(&week.days, Play::default());
    check_against_rows("week", &run.tenant.ledger, &week.days);
    check_replay("week", &run);
    for (ran, planned) in run.days.iter().zip(&week.days) {
        assert_eq!((ran.day, ran.passages.len() as u64), (planned.day, planned.counts.rows));
        assert_eq!(ran.summary.exits_of("refused"), planned.counts.phantoms, "{}", ran.day);
        assert_eq!(ran.summary.exits_of("abandoned_with_bot"), planned.counts.left_in_bot, "{}", ran.day);
        assert_eq!(ran.summary.offered, planned.counts.asked, "{}", ran.day);
    }
    println!("week: {} entries, {} of them ticks, {} decisions", run.log.len(), run.ticks, run.tenant.digests.decision_count);
}

/// Recorded and twin side by side on the storm day. The bounds say "the same kind of day", not "the same day": the record's
/// agents had breaks that nobody wrote down, and who is served next differs.
#[test]
fn the_storm_day_is_a_storm_in_the_twin_too() {
    let week = week();
    let day = week.day(STORM_DAY).expect("the storm day");
    let twin = run(std::slice::from_ref(day), Play::default());
    let recorded = Summary::of(&day.recorded_passages(), WITHIN_MS);
    let summary = &twin.days[0].summary;
    println!("{}", figures_table(&[(Origin::Recorded, &recorded), (Origin::Twin, summary)]));
    let abandoned = |summary: &Summary| summary.abandoned_of_offered().expect("somebody asked");
    assert!((abandoned(summary) - abandoned(&recorded)).abs() < 0.15, "{} for {}", abandoned(summary), abandoned(&recorded));
    assert!(summary.wait.mean_ms > 0.3 * recorded.wait.mean_ms && summary.wait.mean_ms < 3.0 * recorded.wait.mean_ms);
    // Agents are there as planned, and longer only to serve a contact to its end.
    let planned: u64 = script_of(std::slice::from_ref(day)).presences().iter().map(|p| p.until_ms - p.from_ms).sum();
    let there: u64 = twin.days[0].presences.iter().map(|p| p.until_ms - p.from_ms).sum();
    assert!(there >= planned && there < planned + planned / 10, "{there} for {planned}");
}

/// Same script, same habits, same bytes; other habits, another log.
#[test]
fn a_run_is_a_function_of_script_and_habits() {
    let week = week();
    let day = std::slice::from_ref(&week.days[0]);
    let first = run(day, Play::default());
    assert_eq!(first, run(day, Play::default()));
    let slower = Play { habits: DeskHabits { accept_ms: 5_000, wrap_up: WrapUp::Fixed(20_000) }, ..Play::default() };
    let other = run(day, slower);
    assert_ne!(first.tenant.digests.decisions, other.tenant.digests.decisions);
    check_against_rows("slow desks", &other.tenant.ledger, day);
    check_replay("slow desks", &other);
}

/// Desks so slow that every offer expires: seats go NotResponding and come back, nobody is lost.
#[test]
fn desks_that_answer_too_late_lose_nobody() {
    let week = week();
    let day = std::slice::from_ref(&week.days[6]);
    let hopeless = Play { habits: DeskHabits { accept_ms: 700_000, wrap_up: WrapUp::AsRecorded }, ..Play::default() };
    let run = run(day, hopeless);
    let ledger = run.tenant.ledger;
    assert_eq!((ledger.open(), ledger.exited()), (0, ledger.offered));
    assert_eq!(exits(&ledger, "served"), 0, "an offer lives ten minutes, these desks take longer");
    assert!(run.tenant.digests.decision_count > 0);
    check_replay("hopeless desks", &run);
}

#[test]
fn head_start_is_in_the_data() {
    let found = fit_head_start(&rows()).expect("pairs that can be compared");
    println!("{found:?}");
    assert_eq!((found.from_s, found.to_s), (89, 90));
    assert_eq!((found.pairs, found.inversions, found.inversions_without), (2_107, 143, 568));
    let policy = policy::policy().expect("sound");
    let class = policy.classes.iter().find(|class| class.name == policy::PRIORITY_CLASS).expect("the priority class");
    assert!((found.from_s..=found.to_s).contains(&((class.head_start.0 / 1_000) as u32)), "the policy takes what the data show");
    assert_eq!(fit_head_start(&[]), None);
}

/// The method finds a head start that was put in: rows made from a line that took by virtual arrival.
#[test]
fn the_method_finds_what_was_put_in() {
    for planted_s in [0_u32, 30, 200] {
        let template = rows().into_iter().find(|row| row.q_start_s.is_some() && row.agent.is_some()).expect("a served row");
        let mut made: Vec<TraceRow> = (0..400_u32)
            .map(|n| {
                let began_s = 36_000 + n * 7 + n * n % 5;
                TraceRow { priority: if n % 3 == 0 { 2 } else { 1 }, q_start_s: Some(began_s), ..template }
            })
            .collect();
        let virtual_s = |row: &TraceRow| row.q_start_s.unwrap_or(0) - if row.priority == 2 { planted_s } else { 0 };
        made.sort_by_key(|row| (virtual_s(row), row.q_start_s));
        for (place, row) in made.iter_mut().enumerate() {
            // Taken one by one, later than anybody's arrival, in the order of the line.
            row.q_s = 50_000 + place as u32 - row.q_start_s.unwrap_or(0);
        }
        let found = fit_head_start(&made).expect("pairs");
        assert!((found.from_s..=found.to_s + 1).contains(&planted_s), "{planted_s}: {found:?}");
        assert_eq!(found.inversions, 0, "{planted_s}: {found:?}");
    }
}

/// The gaps through which somebody waited; the figures were counted once by another program from the text columns.
#[test]
fn pauses_between_services_are_in_the_data() {
    let rows = rows();
    let between = Between::of(&rows);
    let storm = rows.iter().map(|row| row.day).max().expect("rows");
    let mean_s = |gaps: &[u64]| gaps.iter().sum::<u64>() as f64 / gaps.len() as f64 / 1_000.0;
    let gaps = between.gaps(storm);
    println!("storm day: {} gaps, median {} ms, mean {:.1} s", gaps.len(), gaps[gaps.len() / 2], mean_s(gaps));
    assert!((1_000..1_150).contains(&gaps.len()) && gaps[gaps.len() / 2] == 6_000, "{}", gaps.len());
    assert!((mean_s(gaps) - 26.3).abs() < 1.0, "{}", mean_s(gaps));
    // The holiday has none of its own: all days' stand in.
    let holiday = rows.iter().map(|row| row.day).find(|day| day.to_string() == "1999-05-21").expect("the holiday");
    assert!(between.gaps(holiday).len() > 3_500, "{}", between.gaps(holiday).len());
    let streams = Streams::seeded(7);
    assert_eq!(between.draw_ms(storm, 3, &streams), between.draw_ms(storm, 3, &streams));
    assert_eq!(Between::of(&[]).draw_ms(storm, 3, &streams), 0);
}

#[test]
fn a_script_holds_every_contact_and_shift_once_in_order() {
    let week = week();
    let script = script_of(&week.days);
    let acts = script.acts();
    assert!(acts.is_sorted_by_key(|(at_ms, _)| *at_ms));
    let asked = script.visits.iter().filter(|visit| matches!(visit.course, Course::Asks { .. })).count() as u64;
    assert_eq!(script.visits.len() as u64, week.days.iter().map(|day| day.counts.rows).sum::<u64>());
    assert_eq!(asked, week.days.iter().map(|day| day.counts.asked).sum::<u64>());
    let last = week.days.len() - 1;
    assert_eq!(script.days[last].1, 7 * 86_400_000, "eight days without a gap");
    let one = script_of(&week.days[last..]);
    let expected: Vec<_> = week.days[last].agents.iter().flat_map(|agent| agent.presences()).collect();
    assert_eq!(one.presences(), expected);
    assert_eq!(Script::wall(86_400_000, 480).as_secs(), 180);
    let habits = DeskHabits::at_speed(std::time::Duration::from_micros(2_500), 480);
    assert_eq!((habits.accept_ms, habits.wrap_up_ms(6_000), habits.wrap_up_ms(1_000)), (1_200, 4_800, 0));
}
