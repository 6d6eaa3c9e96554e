//! Wall time and the day's own time: one start, one speed.
//!
//! The node's log time runs at `speed` from its own start; a player does at [`Scaled::wall`] what the script says for a
//! millisecond after midnight, so that both clocks mean the same moment to within a timer's grain (1 ms of yours is `speed`
//! ms of the day).

use std::time::Duration;
use tidegate_model::{Millis, Timestamp};
use tokio::time::Instant;

/// How the demonstration's clocks relate. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Scaled {
    /// Wall instant of the script's first act.
    first_at: Instant,
    first_ms: u64,
    /// Log time of the script's midnight.
    pub midnight: Timestamp,
    speed: u32,
}

impl Scaled {
    /// The clocks of a node whose log time is `now`, when the script's first act at `first_ms` is to happen `lead` from now.
    pub fn new(now: Timestamp, speed: u32, first_ms: u64, lead: Duration) -> Self {
        let lead_ms = lead.as_millis() as u64 * u64::from(speed);
        let midnight = (now + Millis(lead_ms)).before(Millis(first_ms));
        Self { first_at: Instant::now() + lead, first_ms, midnight, speed }
    }

    /// When a player does what the script says for `at_ms`; the first act's moment for anything before it.
    pub fn wall(&self, at_ms: u64) -> Instant {
        self.first_at + self.span(at_ms.saturating_sub(self.first_ms))
    }

    /// A span of the day in wall time.
    pub fn span(&self, ms: u64) -> Duration {
        Duration::from_millis(ms) / self.speed
    }

    /// The day's time now, for people.
    pub fn time_of_day(&self) -> String {
        let since = Instant::now().saturating_duration_since(self.first_at) * self.speed;
        let secs = self.first_ms / 1_000 + since.as_secs();
        format!("day {} {:02}:{:02}", secs / 86_400 + 1, secs / 3_600 % 24, secs / 60 % 60)
    }
}
