//! Lengths and counts of the rims: every queue with a name, its length and its limit; every refusal with a counter.
//!
//! Plain atomics, read at any time from any thread; the binary turns them into metrics. A [`Slot`] holds a place under a
//! limit and gives it back when dropped, so that a length cannot leak on any path.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A queue's or table's length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gauge {
    /// Its name.
    pub name: &'static str,
    /// How much of it is used.
    pub used: usize,
    /// How much there is.
    pub limit: usize,
}

/// A length under a limit.
#[derive(Debug)]
pub struct Level {
    used: AtomicUsize,
    limit: usize,
}

impl Level {
    /// An empty one.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), limit })
    }

    /// Takes a place, or nothing when all are taken. Wait-free.
    pub fn slot(self: &Arc<Self>) -> Option<Slot> {
        // One step too far is taken back: two that race for the last place may both be refused, never both let in.
        if self.used.fetch_add(1, Ordering::Relaxed) < self.limit {
            Some(Slot { level: Arc::clone(self) })
        } else {
            self.used.fetch_sub(1, Ordering::Relaxed);
            None
        }
    }

    /// Length now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Sets the part of one holder from `old` to `new`.
    pub fn shift(&self, old: usize, new: usize) {
        if new >= old {
            self.used.fetch_add(new - old, Ordering::Relaxed);
        } else {
            self.used.fetch_sub(old - new, Ordering::Relaxed);
        }
    }

    /// This length under a name.
    pub fn gauge(&self, name: &'static str) -> Gauge {
        Gauge { name, used: self.used(), limit: self.limit }
    }
}

/// A place under a [`Level`].
#[derive(Debug)]
pub struct Slot {
    level: Arc<Level>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.level.used.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One holder's part of a summed length; given back when dropped.
#[derive(Debug)]
pub struct Part {
    level: Arc<Level>,
    held: usize,
}

impl Part {
    /// An empty part.
    pub fn new(level: &Arc<Level>) -> Self {
        Self { level: Arc::clone(level), held: 0 }
    }

    /// Sets it.
    pub fn set(&mut self, held: usize) {
        if held != self.held {
            self.level.shift(self.held, held);
            self.held = held;
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.level.shift(self.held, 0);
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Counts since the start.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: AtomicU64,)+
        }

        impl Counters {
            /// All of them by name.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.load(Ordering::Relaxed)),)+]
            }
        }
    };
}

counters! {
    /// Sessions opened.
    sessions_opened,
    /// Tokens refused.
    tokens_refused,
    /// Requests or upgrades of a foreign origin.
    origins_refused,
    /// Connections refused because all places were taken.
    connections_refused,
    /// Frames taken off sockets.
    frames_in,
    /// Frames refused for their form.
    frames_refused,
    /// Frames refused for speed.
    frames_limited,
    /// Signs of typing passed on, both ways.
    typing_in,
    /// Connections closed for invalid UTF-8.
    closed_utf8,
    /// Connections closed for a giant frame.
    closed_giant,
    /// Readers cut off because they were too slow.
    closed_slow,
    /// Transcript items sent.
    items_out,
    /// Ports that said busy.
    ports_busy,
    /// Desks replaced by another on the same seat.
    desks_replaced,
    /// Desks that resynchronised because notices overflowed.
    desks_resynced,
    /// Seats whose desk came back in time.
    seats_resumed,
    /// Seats whose lease ran out.
    leases_ended,
    /// Files taken.
    files_taken,
    /// Requests for files refused, uploads and downloads.
    files_refused,
    /// Files given out.
    files_given,
}

/// Adds one.
pub fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_end_at_the_limit_and_come_back() {
        let level = Level::new(2);
        let a = level.slot();
        let b = level.slot();
        assert!(a.is_some() && b.is_some() && level.slot().is_none());
        assert_eq!(level.used(), 2);
        drop(a);
        assert!(level.slot().is_some());
        drop(b);
        assert_eq!(level.used(), 0);
    }
}
