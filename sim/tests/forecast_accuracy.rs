//! What forecasts promise, on known truth and on real counts: the floor is the exact one, a perfect forecast stands on it, the
//! default beats the seasonal naive, files go round.

mod calibrate_kit;

use calibrate_kit::{Coverage, MONDAY_MS, seeds};
use flate2::read::GzDecoder;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use tidegate_sim::calibrate::{At, DayNumber, Estimate};
use tidegate_sim::forecast::accuracy::{Accuracy, Pair, QUANTILES, poisson_cdf, poisson_quantile, wape_floor};
use tidegate_sim::forecast::core::{Events, Model};
use tidegate_sim::forecast::paths::poisson;
use tidegate_sim::forecast::rolling::{Compared, Rolling};
use tidegate_sim::forecast::series::{Series, SeriesError, read_answer, read_long, write_long, write_paths};
use tidegate_sim::kernel::sample::Distribution;
use tidegate_sim::kernel::{Mrg32k3a, Streams};

const MONDAY: i64 = MONDAY_MS / 86_400_000;

/// Exact Poisson figures published in the planners' reference, to its printed digit.
#[test]
fn the_floor_is_the_exact_one() {
    for (volume, percent) in
        [(5.0, 35.1), (10.0, 25.0), (30.0, 14.5), (50.0, 11.3), (100.0, 8.0), (250.0, 5.0), (1_000.0, 2.5), (5_000.0, 1.1)]
    {
        let found = wape_floor(volume) * 100.0;
        assert!((found - percent).abs() <= 0.05 + 1e-9, "{volume}: {found}, published {percent}");
    }
    // Worked by hand for a mean of 1: shares 0.3679 and 0.7358 at most 0 and 1.
    assert!(
        (poisson_cdf(1.0, 0.0) - libm::exp(-1.0)).abs() < 1e-14 && (poisson_cdf(1.0, 1.0) - 2.0 * libm::exp(-1.0)).abs() < 1e-14
    );
    assert_eq!((poisson_quantile(1.0, 0.5), poisson_quantile(1.0, 0.95), poisson_quantile(1.0, 0.2)), (1.0, 3.0, 0.0));
}

/// Whoever knows the truth stands on the floor, within its own error, for WAPE and for pinball loss.
#[test]
fn a_perfect_forecast_stands_on_the_floor() {
    let mut coverage = Coverage::default();
    let mut losses = (0.0, 0.0);
    for seed in seeds(400, 100) {
        let mut stream = Mrg32k3a::from_seed(seed);
        let pairs: Vec<Pair> = (0..300)
            .map(|n| {
                let mean = 2.0 + f64::from(n % 60);
                let quantiles = Some(QUANTILES.map(|tau| poisson_quantile(mean, tau)));
                Pair { actual: poisson(mean, &mut stream) as f64, forecast: mean, quantiles }
            })
            .collect();
        let found = Accuracy::of(&pairs, 1.0).expect("counts");
        coverage.see(&Estimate::normal(found.above_floor, found.above_floor_error, found.n), 0.0);
        losses = (losses.0 + found.pinball.expect("quantiles"), losses.1 + found.pinball_floor);
    }
    coverage.check("zero skill of the truth above the floor");
    let ratio: f64 = losses.0 / losses.1;
    assert!((ratio - 1.0).abs() < 0.02, "pinball loss over its floor: {ratio}");
}

/// A forecast that is wrong by a tenth is seen above the floor, with its sign.
#[test]
fn a_wrong_forecast_is_above_the_floor() {
    let mut stream = Mrg32k3a::from_seed(5);
    let pairs: Vec<Pair> =
        (0..2_000).map(|_| Pair { actual: poisson(100.0, &mut stream) as f64, forecast: 110.0, quantiles: None }).collect();
    let found = Accuracy::of(&pairs, 8.0).expect("counts");
    assert!(found.above_floor > 5.0 * found.above_floor_error && (found.bias - 0.1).abs() < 0.01, "{found:?}");
}

fn made(weeks: i64, day_variance: f64, seed: u64) -> Series {
    let mut stream = Mrg32k3a::from_seed(seed);
    let weekday = [1.2, 1.1, 1.0, 1.0, 0.9, 0.5, 0.3];
    let busy = Distribution::gamma(1.0 / day_variance, day_variance).expect("parameters");
    let mut counts = Vec::new();
    for day in 0..weeks * 7 {
        let factor = 600.0 * weekday[(day % 7) as usize] * busy.sample(&mut stream);
        for hour in 8..18 {
            let share = 0.1 + 0.04 * f64::from((hour % 5) - 2);
            counts
                .push((At((MONDAY + day) * 86_400_000 + i64::from(hour) * 3_600_000), poisson(factor * share, &mut stream) as f64));
        }
    }
    Series::from_counts("made", 3_600, counts)
}

#[test]
fn what_was_put_in_is_found() {
    let series = made(30, 0.01, 3);
    let model = Model::fit(&series, &Events::new(), DayNumber(MONDAY + 210)).expect("thirty weeks");
    assert!((model.level * model.weekday[0] / 720.0 - 1.0).abs() < 0.07, "{}", model.level * model.weekday[0]);
    assert!((model.weekday[5] / model.weekday[0] / (0.5 / 1.2) - 1.0).abs() < 0.08, "{:?}", model.weekday);
    assert!(
        (0.004..0.025).contains(&model.day_variance) && model.interval_variance < 0.003,
        "{} {}",
        model.day_variance,
        model.interval_variance
    );
    assert!((model.shape[0].iter().sum::<f64>() - 1.0).abs() < 1e-9);
    let compared = Rolling { history: 70, step: 7, ahead: 7, paths: 200 }
        .measure(&series, &Events::new(), &Streams::seeded(1))
        .expect("long enough");
    assert!(compared.model.wape < 0.9 * compared.naive.wape, "{compared:?}");
}

/// A promotion that came three times before lifts the fourth.
#[test]
fn an_event_is_learnt_by_its_name() {
    let mut series = made(30, 0.004, 4);
    let mut events = Events::new();
    for week in [10, 16, 22, 29] {
        let day = DayNumber(MONDAY + week * 7 + 2);
        events.insert(day, "promotion".to_owned());
        for y in series.days.get_mut(&day).expect("a day") {
            *y *= 3.0;
        }
    }
    let day = DayNumber(MONDAY + 29 * 7 + 2);
    let model = Model::fit(&series, &events, day).expect("weeks");
    let total = |events: &Events| model.day(day, events).iter().sum::<f64>();
    assert!((2.2..3.3).contains(&model.events["promotion"]), "{:?}", model.events);
    assert!(total(&events) > 2.2 * total(&Events::new()));
}

/// A busy morning makes the afternoon's forecast rise by as much as days vary, and no more when they do not.
#[test]
fn a_day_that_has_begun_is_weighed_by_its_variance() {
    let (mut updated, mut stale, mut naive) = (0.0, 0.0, 0.0);
    let series = made(60, 0.04, 8);
    let events = Events::new();
    for day in (30 * 7..60 * 7).map(|day| DayNumber(MONDAY + day)) {
        let model = Model::fit(&series, &events, day).expect("weeks");
        let (expected, actual) = (model.day(day, &events), &series.days[&day]);
        let factor = model.updated(day, &events, &actual[..4]);
        let rest = |of: &[f64]| of[4..].iter().sum::<f64>();
        updated += (rest(actual) - factor.mean * rest(&expected)).abs();
        stale += (rest(actual) - rest(&expected)).abs();
        naive += (rest(actual) - rest(&expected) * actual[..4].iter().sum::<f64>() / expected[..4].iter().sum::<f64>()).abs();
        assert!(factor.variance < model.factor().variance);
    }
    println!("error of the afternoon: weighed {updated:.0}, not updated {stale:.0}, scaled by the morning {naive:.0}");
    assert!(updated < 0.7 * stale && updated < naive);
    let mut plain = Model::fit(&series, &events, DayNumber(MONDAY + 420)).expect("weeks");
    plain.day_variance = 0.0;
    assert!((plain.updated(DayNumber(MONDAY + 420), &events, &[500.0]).mean - 1.0).abs() < 1e-15);
}

/// Days ahead lie within the bands of sample paths as often as the bands say.
#[test]
fn totals_of_paths_cover_the_days_that_come() {
    let series = made(80, 0.02, 9);
    let (mut covered, mut tried) = (0, 0);
    for day in (20 * 7..80 * 7).map(|day| DayNumber(MONDAY + day)) {
        let model = Model::fit(&series, &Events::new(), day).expect("weeks");
        let paths = model.paths(&[day], &Events::new(), model.factor(), 200, &Streams::seeded(day.0 as u64));
        let mut totals: Vec<f64> = paths.paths.iter().map(|path| path[0].iter().sum()).collect();
        totals.sort_by(f64::total_cmp);
        let actual = series.total(day).expect("observed");
        covered += usize::from((totals[10]..=totals[189]).contains(&actual));
        tried += 1;
    }
    let share = covered as f64 / tried as f64;
    println!("90 % bands of days' totals covered {covered} of {tried} ({:.1} %)", share * 100.0);
    assert!((0.86..0.95).contains(&share), "{share}");
}

#[test]
fn the_same_streams_give_the_same_paths() {
    let series = made(20, 0.02, 1);
    let model = Model::fit(&series, &Events::new(), DayNumber(MONDAY + 140)).expect("weeks");
    let paths = |seed| model.paths(&[DayNumber(MONDAY + 140)], &Events::new(), model.factor(), 5, &Streams::seeded(seed));
    assert_eq!(paths(1), paths(1));
    assert_ne!(paths(1), paths(2));
}

#[test]
fn files_go_round_and_bad_ones_are_named() {
    let series = made(3, 0.02, 1);
    let mut bytes = Vec::new();
    write_long(&series, &mut bytes).expect("written");
    assert_eq!(read_long(bytes.as_slice(), "long.csv").expect("read"), std::slice::from_ref(&series));
    let model = Model::fit(&series, &Events::new(), DayNumber(MONDAY + 21)).expect("weeks");
    let day = DayNumber(MONDAY + 21);
    let paths = model.paths(&[day], &Events::new(), model.factor(), 3, &Streams::seeded(1));
    let mut bytes = Vec::new();
    write_paths(&series, &paths, &mut bytes).expect("written");
    let answer = read_answer(bytes.as_slice(), "paths.csv").expect("read");
    let expected: BTreeMap<At, Vec<f64>> =
        (0..10).map(|at| (series.at(day, at), paths.paths.iter().map(|path| path[0][at]).collect())).collect();
    assert_eq!(answer["made"], expected);
    let quantiles = read_answer(b"unique_id,ds,q05,q95\na,2026-01-05 08:00:00,1,9\n".as_slice(), "q.csv").expect("read");
    assert_eq!(quantiles["a"].values().next(), Some(&vec![1.0, 9.0]));
    for (text, expected) in [
        ("unique_id,ds,y\n", "f.csv:1: line: found no rows, expected a header and at least one; check that this is the right file"),
        ("id,ds,y\na,2026-01-05,1\n", "f.csv:1: line: found no column “unique_id”, expected unique_id, ds, y; rename the columns"),
        ("unique_id,ds,y\na,2026-01-05,-1\n", "f.csv:2: y: found “-1”, expected a number from 0; correct the row or delete it"),
        (
            "unique_id,ds,y\na,soon,1\n",
            "f.csv:2: ds: found “soon”, expected a date or a moment, as 2026-11-11 09:30:00; correct the row or delete it",
        ),
        (
            "unique_id,ds,y\na,2026-01-05,1\na,2026-01-05,2\n",
            "f.csv: series “a” has two rows of 2026-01-05 00:00:00; intervals must not overlap",
        ),
        (
            "unique_id,ds,y\na,1900-01-05,1\na,2026-01-05,2\n",
            "f.csv: series “a” spans 46022 days, more than 20000; correct the dates",
        ),
    ] {
        match read_long(text.as_bytes(), "f.csv") {
            Err(error) => assert_eq!(error.to_string(), expected),
            Ok(read) => panic!("{text}: {read:?}"),
        }
    }
    assert!(matches!(read_long(b"".as_slice(), "f.csv"), Err(SeriesError::Column { .. })));
}

fn told(name: &str, compared: &Compared) {
    let show = |who: &str, of: &Accuracy| {
        println!(
            "{name:<16} {who:<6} WAPE {:.2} % (floor {:.2}, above {:.2} ± {:.2}), bias {:+.2} %, MASE {:.3} (floor {:.3}), pinball {} (floor {:.2} %), n {}",
            of.wape * 100.0,
            of.wape_floor * 100.0,
            of.above_floor * 100.0,
            of.above_floor_error * 100.0,
            of.bias * 100.0,
            of.mase,
            of.mase_floor,
            of.pinball.map_or("-".to_owned(), |loss| format!("{:.2} %", loss * 100.0)),
            of.pinball_floor * 100.0,
            of.n
        );
    };
    show("model", &compared.model);
    show("naive", &compared.naive);
}

/// Three real series, a week ahead each: the default beats the seasonal naive on every one.
#[test]
fn real_counts_are_forecast_better_than_by_the_seasonal_naive() {
    let Ok(data) = std::env::var("TIDEGATE_DATA") else {
        println!(
            "SKIPPED: set TIDEGATE_DATA to the directory of bank-calls-5min/, vancouver-311/ and anonymous-bank-6min/ to run this"
        );
        return;
    };
    let data = Path::new(&data);
    let nightly = std::env::var("TIDEGATE_NIGHTLY").is_ok_and(|value| value == "1");
    for (name, series, history) in [
        ("bank-calls-5min", five_minutes(&data.join("bank-calls-5min/bank_calls_2003-03_to_08.csv.gz")), 56),
        ("vancouver-311", daily(&data.join("vancouver-311/contact_centre_metrics_2009_2021.csv")), 364),
        ("bank 6 min", six_minutes(&data.join("anonymous-bank-6min/calls_6min_jan-jul_sep.csv.gz")), 56),
    ] {
        let step = if nightly { 7 } else { 28 };
        let rolling = Rolling { history, step, ahead: 7, paths: if nightly { 400 } else { 50 } };
        let compared = rolling.measure(&series, &Events::new(), &Streams::seeded(1)).expect("long enough");
        told(name, &compared);
        assert!(compared.model.wape < compared.naive.wape, "{name}");
        assert!(compared.model.wape >= compared.model.wape_floor, "{name}");
    }
}

fn text(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("a whole gzip stream");
    } else {
        text = String::from_utf8(bytes).expect("UTF-8");
    }
    text
}

/// Columns renamed to the long form and read by the product's own reader.
fn long(id: &str, rows: impl Iterator<Item = (String, String)>) -> Series {
    let mut file = String::from("unique_id,ds,y\n");
    for (ds, y) in rows {
        file.push_str(&format!("{id},{ds},{y}\n"));
    }
    read_long(file.as_bytes(), id).expect("a long file").remove(0)
}

fn five_minutes(path: &Path) -> Series {
    let text = text(path);
    long("five", text.lines().skip(1).filter_map(|line| line.split_once(',')).map(|(ds, y)| (format!("{ds}:00"), y.to_owned())))
}

fn daily(path: &Path) -> Series {
    let text = text(path);
    let rows = text.lines().skip(1).filter_map(|line| {
        let mut fields = line.split(',');
        Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
    });
    long("daily", rows.filter(|(_, y)| y.parse::<f64>().is_ok()))
}

fn six_minutes(path: &Path) -> Series {
    let text = text(path);
    let rows = text.lines().skip(1).filter_map(|line| {
        let mut fields = line.split(',');
        let (date, slot, y) = (fields.next()?, fields.next()?.parse::<u32>().ok()?, fields.next()?);
        Some((format!("{date} {:02}:{:02}:00", slot * 6 / 60, slot * 6 % 60), y.to_owned()))
    });
    long("six", rows)
}
