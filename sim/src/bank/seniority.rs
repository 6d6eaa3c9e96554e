//! How much seniority the bank gave its priority customers, found in the record.
//!
//! The owners' description says that customers of priority 2 join a common line with some seniority. Then, for two served
//! callers of one type who waited at the same moment, one of priority 2 and one not, the one with the earlier virtual arrival
//! (arrival less head start) is taken first. [`fit_head_start`] counts, for each whole second of head start, the pairs that
//! were taken in the other order (inversions) and takes the second with the fewest. Pairs of one type only, because types go
//! to different agents; pairs of one priority say nothing, the head start cancels out.
//!
//! It refuses to know: policies and routers. What it found stands in the policy's text, and a test holds the two together.

use crate::trace::{Day, Outcome, ServiceType, TraceRow};
use serde::Serialize;
use std::collections::BTreeMap;

/// Longest head start that is tried, in seconds.
pub const LONGEST_TRIED_S: u32 = 600;

/// The head start with the fewest inversions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HeadStart {
    /// The shortest best one, in seconds.
    pub from_s: u32,
    /// The longest best one: between the two no pair tells them apart.
    pub to_s: u32,
    /// Pairs compared.
    pub pairs: u64,
    /// Inversions that the best head start leaves.
    pub inversions: u64,
    /// Inversions without any.
    pub inversions_without: u64,
}

/// A served caller who waited.
struct Waiter {
    began_s: u32,
    taken_s: u32,
    high: bool,
}

/// Finds the head start in rows; `None` without a comparable pair. O(pairs + seconds tried).
pub fn fit_head_start(rows: &[TraceRow]) -> Option<HeadStart> {
    let mut lines: BTreeMap<(Day, ServiceType), Vec<Waiter>> = BTreeMap::new();
    for row in rows {
        if let (Outcome::Agent, Some(began_s), 1..) = (row.outcome, row.q_start_s, row.q_s) {
            let waiter = Waiter { began_s, taken_s: began_s + row.q_s, high: row.priority == 2 };
            lines.entry((row.day, row.kind)).or_default().push(waiter);
        }
    }
    // By how much the one of priority 2 came later, and whether he was taken first all the same.
    let mut pairs: Vec<(i64, bool)> = Vec::new();
    for line in lines.values_mut() {
        line.sort_by_key(|waiter| waiter.began_s);
        for (at, one) in line.iter().enumerate() {
            for other in line[at + 1..].iter().take_while(|other| other.began_s < one.taken_s) {
                if one.high != other.high && one.taken_s != other.taken_s {
                    let (high, low) = if one.high { (one, other) } else { (other, one) };
                    pairs.push((i64::from(high.began_s) - i64::from(low.began_s), high.taken_s < low.taken_s));
                }
            }
        }
    }
    let inversions =
        |head_start_s: u32| pairs.iter().filter(|(later_by, first)| (i64::from(head_start_s) > *later_by) != *first).count() as u64;
    let counts: Vec<u64> = (0..=LONGEST_TRIED_S).map(inversions).collect();
    let fewest = *counts.iter().min()?;
    let place = counts.iter().position(|count| *count == fewest)?;
    let length = counts[place..].iter().take_while(|count| **count == fewest).count();
    (!pairs.is_empty()).then(|| HeadStart {
        from_s: place as u32,
        to_s: (place + length - 1) as u32,
        pairs: pairs.len() as u64,
        inversions: fewest,
        inversions_without: counts[0],
    })
}
