//! What a subscription sends next, and what follows from an answer: order, retries, breaker, dead letters. No I/O, no clock.
//!
//! Events stand in lanes, one a conversation and one for events without; of each lane the first is under way, and the next
//! waits until it is delivered or a dead letter. Lanes go side by side up to a limit. A failed attempt is repeated after an
//! exponential span with full jitter (Brooker, "Exponential Backoff And Jitter", 2015); after a configured time it becomes a
//! dead letter and its lane goes on. When attempts fail in a row, whatever their lane, the receiver as a whole is left alone
//! and then tried with one. Everything read and not yet delivered is [`Plan::pending`]: with the number read up to, that is
//! the whole cursor, and it stays small while one conversation is stuck and all others go on.
//!
//! Drive it: [`Plan::push`], [`Plan::next`] until it waits, [`Plan::done`] for every answer; `now` in milliseconds, growing.

use crate::events::{Event, EventNo};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How a plan goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Attempts under way at once.
    pub in_flight: usize,
    /// Events held at most.
    pub window: usize,
    /// How long an event is tried before it is a dead letter.
    pub span_ms: u64,
    /// The first span between two attempts; it doubles with each.
    pub base_ms: u64,
    /// The longest.
    pub cap_ms: u64,
    /// Failures in a row after which the receiver as a whole is left alone.
    pub breaker_after: u32,
    /// Dead letters kept at most; one more pauses the subscription.
    pub letters_max: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            in_flight: 16,
            window: 1_024,
            span_ms: 86_400_000,
            base_ms: 1_000,
            cap_ms: 300_000,
            breaker_after: 5,
            letters_max: 1_000,
        }
    }
}

/// Longest that a receiver's Retry-After is honoured.
pub const RETRY_AFTER_MAX_MS: u64 = 3_600_000;

/// Which events wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Those of the tenant and its seats.
    Common,
    /// Those of a conversation.
    Conversation(u128),
    /// A dead letter sent again: alone.
    Again(EventNo),
}

/// An attempt to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// What to send.
    pub event: Event,
    /// For [`Plan::done`].
    pub ticket: Ticket,
}

/// Names an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    lane: Lane,
    no: EventNo,
    life: u64,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "made, matched and gone")]
pub enum Next {
    /// Send this.
    Send(Attempt),
    /// Nothing before this moment, unless an answer or an event comes.
    Wait(u64),
    /// Nothing, until an answer or an event comes.
    Idle,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The receiver has it.
    Taken,
    /// It may or may not.
    Failed {
        /// For the operator.
        why: String,
        /// What the receiver asked for.
        retry_after_ms: Option<u64>,
    },
    /// The receiver wants nothing more (410).
    Gone,
}

/// What an answer led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Delivered.
    Delivered,
    /// To be tried again.
    Again,
    /// It is a dead letter now.
    Dead,
    /// Dead, but there is no room for the letter: it stays, and the subscription must pause.
    Full,
    /// The subscription must pause.
    Gone,
    /// An attempt from before a rewind.
    Old,
}

/// An event that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The event.
    pub event: Event,
    /// Attempts made.
    pub attempts: u32,
    /// When the first began.
    pub first_ms: u64,
    /// When the last failed.
    pub last_ms: u64,
    /// How it failed.
    pub why: String,
}

/// An event read and not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// The event.
    pub event: Event,
    /// Whether it was a dead letter.
    pub again: bool,
    /// Attempts made.
    pub attempts: u32,
    /// When the first began, if one did.
    pub first_ms: Option<u64>,
}

/// Counters since the subscription's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Events delivered.
    pub delivered: u64,
    /// Attempts made.
    pub attempts: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Events that became dead letters.
    pub dead: u64,
    /// Times the receiver as a whole was left alone.
    pub breaks: u64,
}

#[derive(Debug)]
struct Line {
    events: VecDeque<Event>,
    attempts: u32,
    first_ms: Option<u64>,
    is_sending: bool,
}

/// See the module head.
#[derive(Debug)]
pub struct Plan {
    pace: Pace,
    random: u64,
    life: u64,
    lines: BTreeMap<Lane, Line>,
    ready: VecDeque<Lane>,
    waiting: BTreeSet<(u64, Lane)>,
    held: usize,
    sending: usize,
    in_a_row: u32,
    breaks_in_a_row: u32,
    /// Nothing is sent before; while the breaker is open, one at a time behind it.
    hold_until: u64,
    letters: BTreeMap<EventNo, Letter>,
    counts: Counts,
}

impl Plan {
    /// An empty plan; `seed` is the jitter's.
    #[must_use]
    pub fn new(pace: Pace, seed: u64) -> Self {
        Self {
            pace,
            random: seed,
            life: 0,
            lines: BTreeMap::new(),
            ready: VecDeque::new(),
            waiting: BTreeSet::new(),
            held: 0,
            sending: 0,
            in_a_row: 0,
            breaks_in_a_row: 0,
            hold_until: 0,
            letters: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    /// Takes up what a stop left.
    pub fn restore(&mut self, pending: Vec<Pending>, letters: Vec<Letter>, counts: Counts) {
        self.counts = counts;
        self.letters = letters.into_iter().map(|letter| (letter.event.no, letter)).collect();
        for Pending { event, again, attempts, first_ms } in pending {
            let lane = if again { Lane::Again(event.no) } else { lane_of(&event) };
            self.put(lane, event);
            if let Some(line) = self.lines.get_mut(&lane)
                && line.events.len() == 1
            {
                line.attempts = attempts;
                line.first_ms = first_ms;
            }
        }
    }

    /// How many more events it takes now.
    #[must_use]
    pub fn room(&self) -> usize {
        self.pace.window.saturating_sub(self.held)
    }

    /// Takes an event; they come in their order.
    pub fn push(&mut self, event: Event) {
        self.put(lane_of(&event), event);
    }

    fn put(&mut self, lane: Lane, event: Event) {
        self.held += 1;
        let line = self.lines.entry(lane).or_insert_with(|| Line {
            events: VecDeque::new(),
            attempts: 0,
            first_ms: None,
            is_sending: false,
        });
        line.events.push_back(event);
        if line.events.len() == 1 {
            self.ready.push_back(lane);
        }
    }

    /// What to do now.
    pub fn next(&mut self, now: u64) -> Next {
        let limit = if self.breaks_in_a_row > 0 { 1 } else { self.pace.in_flight };
        if self.sending >= limit {
            return Next::Idle;
        }
        while let Some(&(until, lane)) = self.waiting.first() {
            if until > now {
                break;
            }
            self.waiting.pop_first();
            self.ready.push_back(lane);
        }
        if self.ready.is_empty() {
            return self.waiting.first().map_or(Next::Idle, |(until, _)| Next::Wait((*until).max(self.hold_until)));
        }
        if self.hold_until > now {
            return Next::Wait(self.hold_until);
        }
        while let Some(lane) = self.ready.pop_front() {
            let Some(line) = self.lines.get_mut(&lane) else { continue };
            let Some(event) = line.events.front().copied() else { continue };
            line.is_sending = true;
            line.first_ms.get_or_insert(now);
            line.attempts = line.attempts.saturating_add(1);
            self.sending += 1;
            self.counts.attempts += 1;
            return Next::Send(Attempt { event, ticket: Ticket { lane, no: event.no, life: self.life } });
        }
        Next::Idle
    }

    /// An attempt has ended.
    pub fn done(&mut self, ticket: Ticket, answer: Answer, now: u64) -> Verdict {
        if ticket.life != self.life {
            return Verdict::Old;
        }
        let Some(line) = self.lines.get_mut(&ticket.lane).filter(|line| line.is_sending) else { return Verdict::Old };
        line.is_sending = false;
        self.sending -= 1;
        let (attempts, first_ms) = (line.attempts, line.first_ms.unwrap_or(now));
        match answer {
            Answer::Taken => {
                self.counts.delivered += 1;
                self.pop(ticket.lane);
                self.alive();
                Verdict::Delivered
            }
            Answer::Gone => {
                self.counts.failures += 1;
                self.ready.push_front(ticket.lane);
                Verdict::Gone
            }
            Answer::Failed { why, retry_after_ms } => {
                self.counts.failures += 1;
                self.fell(now, retry_after_ms);
                if now.saturating_sub(first_ms) < self.pace.span_ms {
                    let until = now + self.jitter(attempts);
                    self.waiting.insert((until, ticket.lane));
                    return Verdict::Again;
                }
                if self.letters.len() >= self.pace.letters_max {
                    self.ready.push_front(ticket.lane);
                    return Verdict::Full;
                }
                if let Some(event) = self.pop(ticket.lane) {
                    self.counts.dead += 1;
                    self.letters.insert(event.no, Letter { event, attempts, first_ms, last_ms: now, why });
                }
                Verdict::Dead
            }
        }
    }

    fn pop(&mut self, lane: Lane) -> Option<Event> {
        let line = self.lines.get_mut(&lane)?;
        let event = line.events.pop_front();
        line.attempts = 0;
        line.first_ms = None;
        if line.events.is_empty() {
            self.lines.remove(&lane);
        } else {
            self.ready.push_back(lane);
        }
        self.held -= usize::from(event.is_some());
        event
    }

    /// The receiver answers: what waited for its sake need not.
    fn alive(&mut self) {
        self.in_a_row = 0;
        if self.breaks_in_a_row > 0 {
            self.breaks_in_a_row = 0;
            self.hold_until = 0;
            self.ready.extend(std::mem::take(&mut self.waiting).into_iter().map(|(_, lane)| lane));
        }
    }

    fn fell(&mut self, now: u64, retry_after_ms: Option<u64>) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.in_a_row >= self.pace.breaker_after {
            // Attempts that were under way when it opened are no further proof.
            if now >= self.hold_until || self.breaks_in_a_row == 0 {
                self.breaks_in_a_row = self.breaks_in_a_row.saturating_add(1);
                self.counts.breaks += 1;
                self.hold_until = now + self.jitter(self.breaks_in_a_row);
            }
        }
        if let Some(span) = retry_after_ms {
            self.hold_until = self.hold_until.max(now + span.min(RETRY_AFTER_MAX_MS));
        }
    }

    /// Full jitter, with a floor so that "at once" is never drawn.
    fn jitter(&mut self, attempts: u32) -> u64 {
        let most = self.pace.base_ms.saturating_mul(1 << attempts.saturating_sub(1).min(30)).min(self.pace.cap_ms).max(1);
        // splitmix64 (Steele, Lea, Flood 2014).
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let floor = (self.pace.base_ms / 10).clamp(1, most);
        floor + tidegate_model::name::mix(self.random) % (most - floor + 1)
    }

    /// Everything read and not delivered, in order.
    #[must_use]
    pub fn pending(&self) -> Vec<Pending> {
        let mut pending: Vec<Pending> = Vec::with_capacity(self.held);
        for (lane, line) in &self.lines {
            for (place, event) in line.events.iter().enumerate() {
                let (attempts, first_ms) = if place == 0 { (line.attempts, line.first_ms) } else { (0, None) };
                pending.push(Pending { event: *event, again: matches!(lane, Lane::Again(_)), attempts, first_ms });
            }
        }
        pending.sort_by_key(|pending| pending.event.no);
        pending
    }

    /// Forgets everything pending, attempts under way included: it will be read again from elsewhere. Dead letters stay.
    pub fn rewind(&mut self) {
        self.life += 1;
        self.lines.clear();
        self.ready.clear();
        self.waiting.clear();
        self.held = 0;
        self.sending = 0;
        self.revive();
    }

    /// The operator has changed something: the receiver is tried at once.
    pub fn revive(&mut self) {
        self.in_a_row = 0;
        self.breaks_in_a_row = 0;
        self.hold_until = 0;
        self.ready.extend(std::mem::take(&mut self.waiting).into_iter().map(|(_, lane)| lane));
    }

    /// Sends a dead letter again, beside its conversation, which has gone on. Whether there was one.
    pub fn resend(&mut self, no: EventNo) -> bool {
        let Some(letter) = self.letters.remove(&no) else { return false };
        self.put(Lane::Again(no), letter.event);
        true
    }

    /// Dead letters behind a number, in order.
    pub fn letters(&self, after: EventNo) -> impl Iterator<Item = &Letter> {
        self.letters.range((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded)).map(|(_, letter)| letter)
    }

    /// How many dead letters.
    #[must_use]
    pub fn letters_len(&self) -> usize {
        self.letters.len()
    }

    /// Events held, and attempts under way.
    #[must_use]
    pub const fn load(&self) -> (usize, usize) {
        (self.held, self.sending)
    }

    /// Log time of the oldest event that waits. O(lanes).
    #[must_use]
    pub fn oldest(&self) -> Option<tidegate_model::Timestamp> {
        self.lines.values().filter_map(|line| line.events.front()).map(|event| event.at).min()
    }

    /// Whether the receiver as a whole is being left alone.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        self.breaks_in_a_row > 0
    }

    /// The counters.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }
}

fn lane_of(event: &Event) -> Lane {
    event.fact.conversation().map_or(Lane::Common, |conversation| Lane::Conversation(conversation.0))
}

#[cfg(test)]
mod tests;
