//! Parity: the same decisions, one by one, by digest.
//!
//! A decision's digest covers entry, time, contact, seat, every term of the score, the runner-up and the policy's hash, so two
//! equal digests are one decision. Digests of *all* outputs are compared through `Digests`; this list says where the first
//! decision went another way, which is what somebody looking for the cause needs.

use super::follow::TenantReport;
use serde::Serialize;

/// How two runs' decisions compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Parity {
    /// Decisions of the longer run.
    pub decisions: u64,
    /// Places that differ, those that only one run has included.
    pub mismatches: u64,
    /// The first of them, from 0.
    pub first_mismatch: Option<u64>,
}

/// Compares decision by decision. O(n).
///
/// ```
/// use tidegate_sim::twin::parity;
///
/// assert!(parity(&[7, 8, 9], &[7, 8, 9]).holds());
/// let found = parity(&[7, 8, 9], &[7, 1]);
/// assert_eq!((found.decisions, found.mismatches, found.first_mismatch), (3, 2, Some(1)));
/// ```
pub fn parity(live: &[u64], replayed: &[u64]) -> Parity {
    let common = live.len().min(replayed.len());
    let surplus = live.len().max(replayed.len()) - common;
    let mut differing = live.iter().zip(replayed).enumerate().filter(|(_, (a, b))| a != b).map(|(place, _)| place as u64);
    let first = differing.next();
    let mismatches = differing.count() as u64 + u64::from(first.is_some()) + surplus as u64;
    let first_mismatch = first.or((surplus > 0).then_some(common as u64));
    Parity { decisions: live.len().max(replayed.len()) as u64, mismatches, first_mismatch }
}

impl Parity {
    /// Whether there is no mismatch.
    pub fn holds(&self) -> bool {
        self.mismatches == 0
    }
}

impl TenantReport {
    /// How this run's decisions compare with another's.
    pub fn parity(&self, other: &Self) -> Parity {
        parity(&self.decision_digests, &other.decision_digests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mismatches_and_surplus_are_counted_and_the_first_is_named() {
        let check = |live: &[u64], replayed: &[u64], expected: (u64, u64, Option<u64>)| {
            let found = parity(live, replayed);
            assert_eq!((found.decisions, found.mismatches, found.first_mismatch), expected, "{live:?} {replayed:?}");
        };
        check(&[], &[], (0, 0, None));
        check(&[1], &[1], (1, 0, None));
        check(&[1, 2, 3], &[1, 9, 9], (3, 2, Some(1)));
        check(&[1], &[1, 2, 3], (3, 2, Some(1)));
        check(&[9, 2], &[1], (2, 2, Some(0)));
        check(&[], &[1], (1, 1, Some(0)));
    }
}
