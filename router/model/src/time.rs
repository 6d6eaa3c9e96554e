//! Log time and spans, both in whole milliseconds.
//!
//! A [`Timestamp`] is never read from a clock here: the leader stamps it into an entry, the twin's calendar computes it, an
//! embedder passes it. Spans are [`Millis`]; arithmetic saturates, so hostile spans cannot panic a decision.

use core::fmt;
use core::ops::Add;
use serde::{Deserialize, Serialize};

/// Milliseconds of log time since the Unix epoch (or since zero in virtual time).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

/// A span of milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Timestamp {
    /// A time that never comes: "no deadline".
    pub const NEVER: Self = Self(u64::MAX);

    /// The span since `earlier`; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    /// This time moved towards the past, not before zero.
    pub const fn before(self, span: Millis) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl Millis {
    /// Whole seconds as a span.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000))
    }
}

impl Add<Millis> for Timestamp {
    type Output = Self;
    fn add(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

impl fmt::Debug for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}
