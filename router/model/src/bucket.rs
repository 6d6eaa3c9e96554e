//! A token bucket over a clock that the caller passes: integers only, so that a machine behaves the same in virtual time.
//!
//! One thousandth of a token is the unit; a bucket refills by `per_second` tokens a second up to `burst`. It refuses to know
//! what a token stands for. Drive it with [`Bucket::take`], which either takes one or says how long to wait.

use crate::time::{Millis, Timestamp};

/// A token bucket.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    milli: u64,
    cap_milli: u64,
    per_second: u64,
    last: Timestamp,
}

impl Bucket {
    /// A full bucket. A rate of zero never refills.
    pub const fn new(per_second: u32, burst: u32, now: Timestamp) -> Self {
        let cap_milli = burst as u64 * 1_000;
        Self { milli: cap_milli, cap_milli, per_second: per_second as u64, last: now }
    }

    /// Takes one token.
    ///
    /// # Errors
    /// The span after which one will be there. Nothing was taken. A clock that goes back refills nothing.
    pub fn take(&mut self, now: Timestamp) -> Result<(), Millis> {
        let passed = now.0.saturating_sub(self.last.0);
        self.milli = self.milli.saturating_add(passed.saturating_mul(self.per_second)).min(self.cap_milli);
        self.last = Timestamp(self.last.0.max(now.0));
        if self.milli >= 1_000 {
            self.milli -= 1_000;
            return Ok(());
        }
        match (1_000 - self.milli).checked_div(self.per_second) {
            Some(span) => Err(Millis(span.max(1))),
            None => Err(Millis(60_000)),
        }
    }

    /// Whole tokens that are left.
    pub const fn left(&self) -> u64 {
        self.milli / 1_000
    }

    /// Whether it would be full at `now`: such a one is as good as a new one.
    pub const fn is_full(&self, now: Timestamp) -> bool {
        let passed = now.0.saturating_sub(self.last.0);
        self.milli.saturating_add(passed.saturating_mul(self.per_second)) >= self.cap_milli
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_rate() {
        let mut bucket = Bucket::new(10, 3, Timestamp(0));
        for _ in 0..3 {
            assert_eq!(bucket.take(Timestamp(0)), Ok(()));
        }
        assert_eq!(bucket.take(Timestamp(0)), Err(Millis(100)));
        assert_eq!(bucket.take(Timestamp(99)), Err(Millis(1)));
        assert_eq!(bucket.take(Timestamp(100)), Ok(()));
        assert!(bucket.take(Timestamp(50)).is_err(), "a clock that goes back refills nothing");
        assert!(bucket.take(Timestamp(150)).is_err());
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut bucket = Bucket::new(u32::MAX, u32::MAX, Timestamp(0));
        assert_eq!(bucket.take(Timestamp(u64::MAX)), Ok(()));
        let mut never = Bucket::new(0, 0, Timestamp(0));
        assert!(never.take(Timestamp(u64::MAX)).is_err());
    }
}
