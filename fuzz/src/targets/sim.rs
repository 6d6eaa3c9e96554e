//! Targets of `tidegate-sim`: the readers of recorded days, contacts in CSV, scenarios, results, and what people write on the
//! command line of a formula.
//!
//! Properties of recorded days: reading any bytes is total; every line after the header is a row or is rejected, and what is
//! rejected was found; the strict mode stops exactly when the lenient one finds something. A time, rate, share or goal that is
//! read is finite, not negative and within its limit, and reads the same when it is written out in its base unit.

use tidegate_sim::calibrate::read::{Encoding, Mapping, Zone};
use tidegate_sim::calibrate::{self, Tally};
use tidegate_sim::erlang::units::{self, RATE_MAX, SECONDS_MAX};
use tidegate_sim::kernel::Streams;
use tidegate_sim::run::Outcome;
use tidegate_sim::scenario;
use tidegate_sim::trace::{Limits, Mode, parse, parse_bytes};

/// Any bytes as a recorded day, plain or gzip.
///
/// # Panics
/// When a line is dropped in silence, or the two modes disagree.
pub fn bank_trace(data: &[u8]) {
    let report = parse_bytes(data);
    assert_eq!(report.rows.len() as u64 + report.rejected, report.lines, "a line is neither row nor rejected");
    let found: u64 = report.counts.values().sum();
    assert!(report.rejected <= found, "{} rejected, {found} found", report.rejected);
    assert!(report.findings.len() as u64 <= found, "more findings than problems");
    match parse(data, "input", Mode::Strict, Limits::default()) {
        Ok(strict) => {
            assert_eq!(found, 0, "the strict reader overlooks what the lenient one found");
            assert_eq!(strict.rows, report.rows, "the two modes read other rows");
        }
        Err(_) => assert!(found > 0, "the strict reader stops at nothing"),
    }
}

/// Any text as a scenario.
///
/// # Panics
/// When a fault names no place or no problem, or an accepted scenario changes by being written and read again.
pub fn scenario_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match scenario::parse("scenario.toml", text) {
        Ok(read) => {
            let written = read.to_toml().expect("what was read can be written");
            assert_eq!(scenario::parse("written", &written).as_ref(), Ok(&read), "a scenario changes on its way");
        }
        Err(errors) => {
            assert!(!errors.0.is_empty(), "refused without a fault");
            for error in &errors.0 {
                assert!(error.line as usize <= text.lines().count() + 1, "line {} of {}", error.line, text.lines().count());
                assert!(!error.problem.is_empty() && !error.field.is_empty(), "a fault without field or problem: {error}");
            }
        }
    }
}

/// Any text as a result of a simulation.
///
/// # Panics
/// When a result that is read cannot be merged alone, or merges with itself.
pub fn simulation_results(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(read) = Outcome::read(text) else { return };
    let alone = Outcome::merge(vec![read.clone()]).expect("one result is a whole");
    assert_eq!(alone.digest, read.digest, "a result changes by being merged alone");
    if !read.replications.is_empty() {
        assert!(Outcome::merge(vec![read.clone(), read]).is_err(), "a replication was counted twice");
    }
}

/// Any bytes as a record of contacts in CSV; the first byte chooses the encoding that is named.
///
/// Properties: reading is total; every row is a contact or is rejected with a finding; what was read can be fitted or is refused.
///
/// # Panics
/// When a row is dropped in silence.
pub fn contact_csv(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let encoding = [Encoding::Detect, Encoding::Utf8, Encoding::Gb18030][usize::from(first % 3)];
    let mut tally = Tally::new(21_600);
    let limits = calibrate::read::Limits::default();
    let read = calibrate::read::read_csv_from(bytes, "input", &Mapping::default(), encoding, Zone::default(), limits, &mut tally);
    let Ok(report) = read else { return };
    assert_eq!(report.contacts + report.rejected, report.rows, "a row is neither contact nor rejected");
    assert_eq!(report.contacts, tally.contacts, "a contact is lost");
    assert!(report.rejected == report.problems.values().sum::<u64>(), "a row is rejected without a finding");
    let fitted = calibrate::calibrate(tally, 21_600, report, &Streams::seeded(1));
    if let Ok(fitted) = fitted {
        assert!(fitted.asked > 0 && fitted.days > 0, "fitted from nobody");
    }
}

/// Any text as a time, a rate, a share and a goal.
///
/// # Panics
/// When a value is out of its range, or another one once it is written out.
pub fn unit_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let same = |again: Result<f64, units::UnitError>, value: f64| match again {
        Ok(again) => assert_eq!(again.to_bits(), value.to_bits(), "a value changes when it is written out"),
        Err(error) => {
            assert!(value.to_string().len() + 2 > units::LENGTH_MAX, "a value is refused when it is written out: {error}")
        }
    };
    let whole = |value: f64, most: f64| assert!((0.0..=most).contains(&value), "{value} is outside 0 to {most}");
    if let Ok(seconds) = units::span(&text) {
        whole(seconds, SECONDS_MAX);
        same(units::span(&format!("{seconds}s")), seconds);
    }
    if let Ok(rate) = units::rate(&text) {
        whole(rate, RATE_MAX);
        same(units::rate(&format!("{rate}/s")), rate);
    }
    if let Ok(share) = units::share(&text) {
        whole(share, 1.0);
        same(units::share(&share.to_string()), share);
    }
    if let Ok(goal) = units::goal(&text) {
        whole(goal.share, 1.0);
        whole(goal.within_s, SECONDS_MAX);
    }
}
