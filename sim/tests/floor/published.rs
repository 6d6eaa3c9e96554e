//! The floor gives what ContactCenters publishes of its examples.
//!
//! Source: umontreal-simul/contactcenters, doc/examples/{MMCAb,MMC,SimpleMSK}.java with their result files: 95 % intervals of 1,000
//! days. Two intervals of one quantity must overlap. Days here: 1,000 with `TIDEGATE_NIGHTLY=1`, else 200, whose intervals are
//! wider by the root of five. Their service level is served within 20 s over all but those who hung up sooner.

use crate::kit::{example, nightly, ratio, run};
use tidegate_sim::floor::Replication;

const NORMAL_975: f64 = 1.959_963_985;

fn days() -> u64 {
    if nightly() { 1_000 } else { 200 }
}

fn overlaps(name: &str, days: &[Replication], of: impl Fn(&Replication) -> (f64, f64), published: (f64, f64)) {
    let pairs: Vec<(f64, f64)> = days.iter().map(of).collect();
    let (mean, half) = ratio(&pairs, NORMAL_975);
    println!("{name:20} ours {mean:.4} ({:.4}, {:.4})  published ({}, {})", mean - half, mean + half, published.0, published.1);
    assert!(mean - half <= published.1 && mean + half >= published.0, "{name}: {mean} ± {half} does not meet {published:?}");
}

fn sum(day: &Replication, of: impl Fn(&tidegate_sim::report::Counts) -> u64) -> f64 {
    day.demands.iter().map(|demand| of(&demand.counts)).sum::<u64>() as f64
}

/// Hung up after the acceptable wait: all who hung up less those who left within it without service.
fn abandoned_late(day: &Replication) -> f64 {
    sum(day, |c| c.abandoned - (c.left_within - c.served_within))
}

#[test]
fn one_line_with_abandonment() {
    let days = run(&example("mmcab.toml", str::to_owned), 42, days());
    overlaps("abandoned", &days, |d| (sum(d, |c| c.abandoned), 1.0), (57.660, 59.558));
    overlaps("in target", &days, |d| (sum(d, |c| c.served_within), 1.0), (1_903.785, 1_908.231));
    overlaps("service level", &days, |d| (sum(d, |c| c.served_within), sum(d, |c| c.served) + abandoned_late(d)), (0.968, 0.969));
}

#[test]
fn one_line_without() {
    let days = run(&example("mmc.toml", str::to_owned), 42, days());
    overlaps("in target", &days, |d| (sum(d, |c| c.served_within), 1.0), (1_812.618, 1_819.698));
    overlaps("service level", &days, |d| (sum(d, |c| c.served_within), sum(d, |c| c.served)), (0.900, 0.904));
}

#[test]
fn three_types_and_two_groups() {
    let days = run(&example("simple-msk.toml", str::to_owned), 42, days());
    overlaps("served", &days, |d| (sum(d, |c| c.served), 1.0), (4_270.150, 4_324.460));
    overlaps("abandoned", &days, |d| (sum(d, |c| c.abandoned), 1.0), (876.133, 944.537));
    overlaps("service level", &days, |d| (sum(d, |c| c.served_within), sum(d, |c| c.served) + abandoned_late(d)), (0.494, 0.509));
    overlaps("occupancy", &days, |d| (d.groups[0].busy_ms as f64, d.groups[0].staffed_ms as f64), (0.877, 0.884));
}
