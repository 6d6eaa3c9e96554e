//! Targets of `tidegate-sim`: the reader of recorded days.
//!
//! Properties: reading any bytes is total; every line after the header is a row or is rejected, and what is rejected was
//! found; the strict mode stops exactly when the lenient one finds something.

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
