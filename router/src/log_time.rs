//! Log time: what the leader stamps into entries, and what "now" means to every deadline of a tenant.
//!
//! It is driven by a monotonic clock alone. The wall clock is read once, when the node starts: a jump of an hour while it
//! runs moves nothing. Between two readings log time advances by at most [`ClockLimits::step_max`] (a frozen process does
//! not let every offer expire at once); what was held back, at a step or at the start, is given back at
//! [`ClockLimits::catch_up_permille`] of the elapsed time, so that log time never runs more than that faster than its
//! monotonic source. It never goes back, over restarts included: it continues from the last entry's time.
//!
//! In [`ClockMode::Scaled`] (demonstration, drill) one elapsed second is `speed` seconds of log time, from a given start.
//! The source is injected ([`ClockSource`]), so that tests own it. This module refuses to know what a deadline is for.

use crate::primitive::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tidegate_model::{Millis, Timestamp};

/// Where time comes from.
pub trait ClockSource: Send + Sync + 'static {
    /// Nanoseconds of a clock that only goes forward, from any origin.
    fn monotonic_ns(&self) -> u64;

    /// Milliseconds since the Unix epoch, as the node's wall clock believes. Read once, at the start.
    fn wall_ms(&self) -> u64;
}

/// The operating system's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A source whose monotonic origin is now.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl ClockSource for SystemClock {
    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn wall_ms(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }
}

/// How log time relates to elapsed time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockMode {
    /// Milliseconds since the Unix epoch, one for one.
    Real,
    /// `start` plus `speed` times what elapsed.
    Scaled {
        /// Log time of the first entry of an empty log; a restarted node continues from its last entry.
        start: Timestamp,
        /// Log seconds in one elapsed second, 1 to 100,000.
        speed: u32,
    },
}

/// What log time may do at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockLimits {
    /// Most that it advances between two readings (times the speed, when scaled).
    pub step_max: Millis,
    /// How much faster than its source it may run while it catches up, in thousandths.
    pub catch_up_permille: u32,
    /// The longest gap that a restart may add at once; the rest is caught up.
    pub gap_max: Millis,
}

impl Default for ClockLimits {
    /// 10 s a step, 1 % faster, a gap of at most a day.
    fn default() -> Self {
        Self { step_max: Millis(10_000), catch_up_permille: 10, gap_max: Millis(86_400_000) }
    }
}

/// The clock of one cell's log. Shared; any thread may read it.
pub struct LogClock {
    source: Arc<dyn ClockSource>,
    speed: u64,
    step_max_us: u64,
    catch_up_permille: u64,
    gap: Millis,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Source's reading that `now_us` belongs to.
    read_ns: u64,
    /// Elapsed nanoseconds below one microsecond, kept so that frequent readings lose nothing.
    rest_ns: u64,
    /// Log time in microseconds, so that 1 % of a millisecond is not lost.
    now_us: u64,
    /// Microseconds of log time that were held back and are still to be caught up.
    behind_us: u64,
    /// Thousandths of a microsecond of catching up not yet given.
    rest_catch_up: u64,
}

impl LogClock {
    /// A clock that continues after `last`, the newest entry's time; `None` for an empty log.
    #[must_use]
    pub fn start(mode: ClockMode, limits: ClockLimits, source: Arc<dyn ClockSource>, last: Option<Timestamp>) -> Self {
        let read_ns = source.monotonic_ns();
        let (speed, target) = match mode {
            ClockMode::Real => (1, source.wall_ms()),
            ClockMode::Scaled { start, speed } => (u64::from(speed.max(1)), last.map_or(start.0, |t| t.0.max(start.0))),
        };
        let last_ms = last.map_or(target, |t| t.0);
        // A wall clock that stands before the log's own time moves nothing: log time goes on from where it was.
        let behind = target.saturating_sub(last_ms);
        let gap = behind.min(limits.gap_max.0);
        Self {
            source,
            speed,
            step_max_us: limits.step_max.0.saturating_mul(1_000).saturating_mul(speed),
            catch_up_permille: u64::from(limits.catch_up_permille),
            gap: Millis(gap),
            state: Mutex::new(State {
                read_ns,
                rest_ns: 0,
                now_us: last_ms.saturating_add(gap).saturating_mul(1_000),
                behind_us: (behind - gap).saturating_mul(1_000),
                rest_catch_up: 0,
            }),
        }
    }

    /// The leaderless gap that this start found: what open deadlines are lengthened by.
    #[must_use]
    pub fn gap(&self) -> Millis {
        self.gap
    }

    /// Log time now. Never less than before; never panics, whatever the source says.
    pub fn now(&self) -> Timestamp {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let read = self.source.monotonic_ns();
        // A source that goes back is taken as one that stands still; what it then repeats does not count twice.
        let elapsed_ns = read.saturating_sub(state.read_ns).saturating_add(state.rest_ns);
        if read > state.read_ns {
            state.read_ns = read;
        }
        state.rest_ns = elapsed_ns % 1_000;
        let elapsed_us = (elapsed_ns / 1_000).saturating_mul(self.speed);
        let step = elapsed_us.min(self.step_max_us);
        state.behind_us = state.behind_us.saturating_add(elapsed_us - step);
        let earned = step.saturating_mul(self.catch_up_permille).saturating_add(state.rest_catch_up);
        let caught_up = (earned / 1_000).min(state.behind_us);
        state.rest_catch_up = if state.behind_us > caught_up { earned % 1_000 } else { 0 };
        state.behind_us -= caught_up;
        state.now_us = state.now_us.saturating_add(step).saturating_add(caught_up);
        Timestamp(state.now_us / 1_000)
    }

    /// How long, in elapsed time, until log time reaches `at`: zero when it has. Never longer than the step limit allows, so
    /// that a sleeper reads the clock often enough for no step to be cut.
    #[must_use]
    pub fn until(&self, at: Timestamp) -> Duration {
        let now = self.now();
        let span_ms = at.since(now).0.div_ceil(self.speed);
        Duration::from_millis(span_ms).min(Duration::from_micros(self.step_max_us / self.speed / 4))
    }

    /// Log time that was held back and is still being caught up.
    #[must_use]
    pub fn behind(&self) -> Millis {
        Millis(self.state.lock().unwrap_or_else(PoisonError::into_inner).behind_us / 1_000)
    }
}

impl std::fmt::Debug for LogClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogClock").field("speed", &self.speed).field("behind", &self.behind()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{ClockLimits, ClockMode, ClockSource, LogClock};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use tidegate_model::{Millis, Timestamp};

    #[derive(Default)]
    struct Hand {
        mono: AtomicU64,
        wall: AtomicU64,
    }
    impl ClockSource for Hand {
        fn monotonic_ns(&self) -> u64 {
            self.mono.load(SeqCst)
        }
        fn wall_ms(&self) -> u64 {
            self.wall.load(SeqCst)
        }
    }
    impl Hand {
        fn pass_ms(&self, ms: u64) {
            self.mono.fetch_add(ms * 1_000_000, SeqCst);
        }
    }

    fn clock(hand: &Arc<Hand>, mode: ClockMode, last: Option<u64>) -> LogClock {
        LogClock::start(mode, ClockLimits::default(), hand.clone(), last.map(Timestamp))
    }

    #[test]
    fn a_jump_of_the_wall_clock_moves_nothing() {
        let hand = Arc::new(Hand::default());
        hand.wall.store(50_000_000, SeqCst);
        let clock = clock(&hand, ClockMode::Real, None);
        assert_eq!(clock.now(), Timestamp(50_000_000));
        for jump in [50_000_000 + 3_600_000, 50_000_000 - 3_600_000, 0, u64::MAX] {
            let before = clock.now();
            hand.wall.store(jump, SeqCst);
            assert_eq!(clock.now(), before);
            hand.pass_ms(5);
            assert_eq!(clock.now(), before + Millis(5));
        }
    }

    #[test]
    fn a_restart_continues_and_names_the_gap() {
        let hand = Arc::new(Hand::default());
        hand.wall.store(1_000_000, SeqCst);
        let later = clock(&hand, ClockMode::Real, Some(940_000));
        assert_eq!((later.gap(), later.now()), (Millis(60_000), Timestamp(1_000_000)));
        // The wall clock was set back an hour meanwhile: no negative gap, no step back.
        let earlier = clock(&hand, ClockMode::Real, Some(1_000_000 + 3_600_000));
        assert_eq!((earlier.gap(), earlier.now()), (Millis(0), Timestamp(4_600_000)));
    }

    #[test]
    fn a_gap_past_the_cap_is_caught_up_at_one_percent() {
        let hand = Arc::new(Hand::default());
        let day = 86_400_000;
        hand.wall.store(3 * day, SeqCst);
        let clock = clock(&hand, ClockMode::Real, Some(day));
        assert_eq!(clock.now(), Timestamp(2 * day));
        assert_eq!(clock.behind(), Millis(day));
        let mut last = clock.now();
        for _ in 0..1_000 {
            hand.pass_ms(1_000);
            let now = clock.now();
            assert_eq!(now.since(last), Millis(1_010));
            last = now;
        }
    }

    #[test]
    fn a_freeze_is_one_step_and_then_caught_up() {
        let hand = Arc::new(Hand::default());
        let clock = clock(&hand, ClockMode::Real, Some(0));
        hand.pass_ms(60_000);
        assert_eq!(clock.now(), Timestamp(10_100), "a step of ten seconds and one per cent of it");
        let before = clock.now();
        hand.pass_ms(1_000);
        assert_eq!(clock.now().since(before), Millis(1_010));
        for _ in 0..6_000 {
            hand.pass_ms(1_000);
            clock.now();
        }
        assert_eq!((clock.behind(), clock.now()), (Millis(0), Timestamp(6_061_000)), "nothing is lost in the end");
    }

    #[test]
    fn a_source_that_goes_back_never_takes_log_time_with_it() {
        let hand = Arc::new(Hand::default());
        let clock = clock(&hand, ClockMode::Real, Some(0));
        hand.pass_ms(1_000);
        let at = clock.now();
        hand.mono.store(0, SeqCst);
        assert_eq!(clock.now(), at);
        hand.pass_ms(500);
        assert_eq!(clock.now(), at, "time that was counted before does not count twice");
        hand.pass_ms(501);
        assert_eq!(clock.now(), at + Millis(1));
    }

    proptest::proptest! {
        /// Whatever the source does, log time never goes back and never runs more than 1 % faster than it.
        #[test]
        fn never_back_and_never_faster_than_one_percent(moves in proptest::collection::vec((0_u8..10, 0_u64..100_000_000_000), 1..200)) {
            let hand = Arc::new(Hand::default());
            hand.wall.store(10_000_000_000, SeqCst);
            let clock = clock(&hand, ClockMode::Real, Some(1_000));
            let (mut last, start) = (clock.now(), clock.now());
            let mut furthest = 0_u64;
            for (kind, ns) in moves {
                match kind {
                    0 => hand.mono.store(hand.mono.load(SeqCst).saturating_sub(ns), SeqCst),
                    1 => hand.wall.store(ns, SeqCst),
                    _ => {
                        hand.mono.fetch_add(ns, SeqCst);
                    }
                }
                furthest = furthest.max(hand.mono.load(SeqCst));
                let now = clock.now();
                proptest::prop_assert!(now >= last);
                let most = furthest / 1_000_000 + furthest / 100_000_000 + 1;
                proptest::prop_assert!(now.since(start).0 <= most, "{:?} of at most {most}", now.since(start));
                last = now;
            }
        }
    }

    #[test]
    fn frequent_readings_lose_nothing() {
        let hand = Arc::new(Hand::default());
        let clock = clock(&hand, ClockMode::Real, Some(0));
        for _ in 0..1_000_000 {
            hand.mono.fetch_add(999, SeqCst);
            clock.now();
        }
        assert_eq!(clock.now(), Timestamp(999));
    }

    #[test]
    fn scaled_time_runs_from_its_start_and_goes_on_after_a_restart() {
        let hand = Arc::new(Hand::default());
        hand.wall.store(999_999_999_999, SeqCst);
        let mode = ClockMode::Scaled { start: Timestamp(500), speed: 480 };
        let clock = clock(&hand, mode, None);
        assert_eq!((clock.now(), clock.gap()), (Timestamp(500), Millis(0)));
        hand.pass_ms(10);
        assert_eq!(clock.now(), Timestamp(500 + 4_800));
        assert_eq!(clock.until(Timestamp(500 + 4_800 + 481)).as_millis(), 2);
        let again = LogClock::start(mode, ClockLimits::default(), hand.clone(), Some(Timestamp(5_300)));
        assert_eq!((again.now(), again.gap()), (Timestamp(5_300), Millis(0)));
    }
}
