//! The outbox of one account as data: which row may be tried now, which waits, which answers must go back into the log.
//!
//! No actor, no clock, no provider: `now` comes in as an argument (a span since the node's start), and every rule is a method
//! here. One row a conversation is in flight, in order of number; a row that must wait holds its conversation only. Bounded:
//! a row too many is forgotten and noted as such, because the machine keeps it and can be asked again.

use super::push::{Promise, PushAnswer};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;
use tidegate_model::ids::{ConversationId, EffectId, Seq};
use tidegate_model::input::{EffectOutcome, EffectResult};
use tidegate_model::time::Timestamp;

/// First pause after an attempt that did not succeed.
pub const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// Longest pause that the outbox chooses by itself.
pub const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A row to deliver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    pub effect: EffectId,
    pub conversation: ConversationId,
    pub n: u32,
    pub seq: Seq,
    pub valid_until: Timestamp,
    /// Attempts made so far by this node.
    pub attempts: u32,
    /// It was open when this node started: whether it was tried before, nobody knows.
    pub inherited: bool,
}

#[derive(Default)]
struct Line {
    rows: VecDeque<Row>,
    in_flight: bool,
}

/// The rows of one account.
pub(crate) struct Rows {
    promise: Promise,
    limit: usize,
    lines: HashMap<ConversationId, Line>,
    known: BTreeMap<EffectId, ConversationId>,
    ready: VecDeque<ConversationId>,
    delayed: BTreeMap<(Duration, ConversationId), ()>,
    results: VecDeque<EffectOutcome>,
    in_flight: usize,
    forgot: bool,
}

impl Rows {
    pub(crate) fn new(promise: Promise, limit: usize) -> Self {
        Self {
            promise,
            limit,
            lines: HashMap::new(),
            known: BTreeMap::new(),
            ready: VecDeque::new(),
            delayed: BTreeMap::new(),
            results: VecDeque::new(),
            in_flight: 0,
            // The first look asks the machine for what is open.
            forgot: true,
        }
    }

    /// Takes a row; one that is known already (re-emitted) changes nothing. False when there was no room.
    pub(crate) fn push(&mut self, row: Row) -> bool {
        if self.known.contains_key(&row.effect) {
            return true;
        }
        if self.known.len() >= self.limit {
            self.forgot = true;
            return false;
        }
        self.known.insert(row.effect, row.conversation);
        if row.inherited && self.promise == Promise::AtMostOnce {
            self.results.push_back(EffectOutcome { effect: row.effect, result: EffectResult::InDoubt });
            return true;
        }
        let line = self.lines.entry(row.conversation).or_default();
        // Rows of one conversation come in order; after a rescan an older one may follow a newer one.
        let at = line.rows.partition_point(|other| other.effect < row.effect);
        let at = if line.in_flight { at.max(1) } else { at };
        line.rows.insert(at, row);
        if line.rows.len() == 1 {
            self.ready.push_back(row.conversation);
        }
        true
    }

    /// Rows that are held: waiting, in flight, or with a result on its way.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Attempts in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether a row was turned away since this was last asked and there is room to ask the machine for it now.
    pub(crate) fn must_rescan(&mut self) -> bool {
        self.forgot && self.known.len() <= self.limit / 2 && std::mem::take(&mut self.forgot)
    }

    /// The next row to try; it is in flight from here on, until [`Self::answered`].
    pub(crate) fn next(&mut self, now: Duration, log_time: Timestamp) -> Option<Row> {
        while let Some((&(due, conversation), ())) = self.delayed.first_key_value() {
            if due > now {
                break;
            }
            self.delayed.pop_first();
            self.ready.push_back(conversation);
        }
        while let Some(conversation) = self.ready.pop_front() {
            let Some(line) = self.lines.get_mut(&conversation).filter(|line| !line.in_flight) else { continue };
            let Some(row) = line.rows.front_mut() else {
                self.lines.remove(&conversation);
                continue;
            };
            if row.valid_until <= log_time {
                let effect = row.effect;
                line.rows.pop_front();
                self.results.push_back(EffectOutcome { effect, result: EffectResult::InDoubt });
                self.ready.push_front(conversation);
                continue;
            }
            row.attempts += 1;
            line.in_flight = true;
            self.in_flight += 1;
            return Some(*row);
        }
        None
    }

    /// An attempt came out.
    pub(crate) fn answered(&mut self, row: &Row, answer: PushAnswer, now: Duration) {
        let Some(line) = self.lines.get_mut(&row.conversation) else { return };
        if !line.in_flight || line.rows.front().is_none_or(|front| front.effect != row.effect) {
            return;
        }
        line.in_flight = false;
        self.in_flight -= 1;
        let result = match (answer, self.promise) {
            (PushAnswer::Sent, _) => EffectResult::Sent,
            (PushAnswer::Refused, _) => EffectResult::Failed,
            (PushAnswer::Unknown, Promise::AtMostOnce) => EffectResult::InDoubt,
            (PushAnswer::Unknown, Promise::AtLeastOnce) => return self.delay(row, Duration::ZERO, now),
            (PushAnswer::Later { after }, _) => return self.delay(row, Duration::from_millis(after.0), now),
        };
        line.rows.pop_front();
        self.results.push_back(EffectOutcome { effect: row.effect, result });
        if line.rows.is_empty() {
            self.lines.remove(&row.conversation);
        } else {
            self.ready.push_back(row.conversation);
        }
    }

    fn delay(&mut self, row: &Row, asked: Duration, now: Duration) {
        let own = PAUSE_FIRST.saturating_mul(1 << row.attempts.saturating_sub(1).min(16)).min(PAUSE_MAX);
        self.delayed.insert((now + own.max(asked), row.conversation), ());
    }

    /// The machine closed a row: an untried one is dropped; one in flight ends by itself and its result is ignored there.
    pub(crate) fn closed(&mut self, effect: EffectId) {
        let Some(conversation) = self.known.get(&effect) else { return };
        let line = self.lines.get_mut(conversation);
        let at = line.as_ref().and_then(|line| line.rows.iter().position(|row| row.effect == effect));
        match (line, at) {
            (Some(line), Some(0)) if line.in_flight => return,
            (Some(line), Some(at)) => drop(line.rows.remove(at)),
            _ => self.results.retain(|result| result.effect != effect),
        }
        self.known.remove(&effect);
    }

    /// Up to `max` results for one entry. They stay here until [`Self::logged`]: a half that dies with them loses none.
    pub(crate) fn results(&self, max: usize) -> Vec<EffectOutcome> {
        self.results.iter().take(max).copied().collect()
    }

    /// Results that wait for the log.
    pub(crate) fn results_len(&self) -> usize {
        self.results.len()
    }

    /// These results are in the log.
    pub(crate) fn logged(&mut self, results: &[EffectOutcome]) {
        for result in results {
            if let Some(at) = self.results.iter().position(|waiting| waiting == result) {
                self.results.remove(at);
            }
            self.known.remove(&result.effect);
        }
    }

    /// When the next delayed row is due.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.delayed.first_key_value().map(|((due, _), ())| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::time::Millis;

    const VALID: Timestamp = Timestamp(1_000);

    fn row(effect: u64, conversation: u128) -> Row {
        Row {
            effect: EffectId(effect),
            conversation: ConversationId(conversation),
            n: effect as u32,
            seq: Seq(effect),
            valid_until: VALID,
            attempts: 0,
            inherited: false,
        }
    }

    fn ms(span: u64) -> Duration {
        Duration::from_millis(span)
    }

    fn next(rows: &mut Rows, at: u64) -> Option<u64> {
        rows.next(ms(at), Timestamp(0)).map(|row| row.effect.0)
    }

    #[test]
    fn one_row_of_a_conversation_is_out_at_a_time_and_in_order() {
        let mut rows = Rows::new(Promise::AtLeastOnce, 16);
        for (effect, conversation) in [(1, 7), (2, 7), (3, 8)] {
            assert!(rows.push(row(effect, conversation)));
        }
        assert_eq!(next(&mut rows, 0), Some(1));
        assert_eq!(next(&mut rows, 0), Some(3));
        assert_eq!(next(&mut rows, 0), None);
        rows.answered(&row(1, 7), PushAnswer::Sent, ms(0));
        assert_eq!(next(&mut rows, 0), Some(2));
        assert_eq!(rows.in_flight(), 2);
    }

    #[test]
    fn a_row_that_waits_holds_its_conversation_and_no_other() {
        let mut rows = Rows::new(Promise::AtLeastOnce, 16);
        for (effect, conversation) in [(1, 7), (2, 7), (3, 8)] {
            rows.push(row(effect, conversation));
        }
        let first = rows.next(ms(0), Timestamp(0)).expect("ready");
        rows.answered(&first, PushAnswer::Later { after: Millis(500) }, ms(0));
        assert_eq!(next(&mut rows, 0), Some(3));
        assert_eq!(next(&mut rows, 499), None, "number 2 does not overtake number 1");
        assert_eq!(rows.next_due(), Some(ms(500)));
        assert_eq!(next(&mut rows, 500), Some(1));
    }

    #[test]
    fn pauses_double_up_to_their_limit() {
        let mut rows = Rows::new(Promise::AtLeastOnce, 16);
        rows.push(row(1, 7));
        let mut now = Duration::ZERO;
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let out = rows.next(now, Timestamp(0)).expect("due");
            rows.answered(&out, PushAnswer::Unknown, now);
            let due = rows.next_due().expect("delayed");
            pauses.push((due - now).as_millis());
            now = due;
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000, 30_000]);
    }

    #[test]
    fn what_nobody_knows_is_in_doubt_when_once_is_all_that_was_promised() {
        let mut rows = Rows::new(Promise::AtMostOnce, 16);
        rows.push(row(1, 7));
        rows.push(Row { inherited: true, ..row(2, 8) });
        let out = rows.next(ms(0), Timestamp(0)).expect("ready");
        rows.answered(&out, PushAnswer::Unknown, ms(0));
        let results: Vec<_> = rows.results(9).iter().map(|r| (r.effect.0, r.result)).collect();
        assert_eq!(results, [(2, EffectResult::InDoubt), (1, EffectResult::InDoubt)]);
        assert_eq!(next(&mut rows, 60_000), None, "neither is tried again");
    }

    #[test]
    fn a_row_past_its_time_is_in_doubt_and_lets_the_next_one_pass() {
        let mut rows = Rows::new(Promise::AtLeastOnce, 16);
        rows.push(row(1, 7));
        rows.push(Row { valid_until: Timestamp(2_000), ..row(2, 7) });
        let out = rows.next(ms(0), Timestamp(999)).expect("valid until 1000");
        rows.answered(&out, PushAnswer::Unknown, ms(0));
        assert_eq!(rows.next(ms(60_000), VALID).map(|row| row.effect.0), Some(2));
        assert_eq!(rows.results(9), [EffectOutcome { effect: EffectId(1), result: EffectResult::InDoubt }]);
    }

    #[test]
    fn results_stay_until_they_are_in_the_log() {
        let mut rows = Rows::new(Promise::AtLeastOnce, 16);
        rows.push(row(1, 7));
        let out = rows.next(ms(0), Timestamp(0)).expect("ready");
        rows.answered(&out, PushAnswer::Sent, ms(0));
        let batch = rows.results(9);
        assert_eq!(rows.results(9), batch, "asked again, the same: the first asker may have died");
        assert!(rows.push(row(1, 7)), "re-emitted meanwhile");
        assert_eq!(next(&mut rows, 0), None, "and not sent twice");
        rows.logged(&batch);
        assert!(rows.results(9).is_empty());
        assert_eq!(rows.len(), 0);
    }

    #[test]
    fn a_row_too_many_is_asked_for_again_when_there_is_room() {
        let mut rows = Rows::new(Promise::AtLeastOnce, 2);
        assert!(rows.must_rescan(), "the first look asks for what is open");
        for effect in 1..=2 {
            assert!(rows.push(row(effect, effect.into())));
        }
        assert!(!rows.push(row(3, 3)), "one above the limit");
        for effect in 4..=23 {
            assert!(!rows.push(row(effect, effect.into())), "ten times above it");
        }
        assert_eq!(rows.len(), 2);
        assert!(!rows.must_rescan(), "no room yet");
        rows.closed(EffectId(1));
        assert!(rows.must_rescan());
        assert!(!rows.must_rescan(), "once");
    }

    #[test]
    fn a_closed_row_is_dropped_unless_it_is_out() {
        let mut rows = Rows::new(Promise::AtLeastOnce, 16);
        for (effect, conversation) in [(1, 7), (2, 7), (3, 7)] {
            rows.push(row(effect, conversation));
        }
        let out = rows.next(ms(0), Timestamp(0)).expect("ready");
        rows.closed(EffectId(1));
        rows.closed(EffectId(2));
        assert_eq!(rows.len(), 2);
        rows.answered(&out, PushAnswer::Sent, ms(0));
        assert_eq!(next(&mut rows, 0), Some(3));
    }
}
