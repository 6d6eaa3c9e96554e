//! What the router leaves for a desk: notices in order, wakes by conversation, all bounded.
//!
//! The router's side never blocks: a full queue is emptied and the desk is told to read its seat anew; a conversation that
//! does not fit into the table of wakes has the same effect. Locks are held for a push or a swap only.

use crate::config::DeskLimits;
use crate::gauges::Level;
use crate::service::lock;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use tidegate_model::ConversationId;
use tidegate_model::output::SeatNotice;
use tidegate_model::port::SeatSink;
use tokio::sync::Notify;

/// What was left since the last time.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    pub notices: VecDeque<SeatNotice>,
    pub wakes: BTreeMap<ConversationId, u32>,
    /// Conversations whose customers type.
    pub typing: BTreeSet<ConversationId>,
    pub policy_changed: bool,
    pub overflow: bool,
    pub replaced: bool,
}

/// A desk's letter box.
#[derive(Debug)]
pub(crate) struct Sink {
    mail: Mutex<Mail>,
    bell: Notify,
    limits: DeskLimits,
    level: Arc<Level>,
}

impl Sink {
    pub(crate) fn new(limits: DeskLimits, level: &Arc<Level>) -> Arc<Self> {
        Arc::new(Self { mail: Mutex::default(), bell: Notify::new(), limits, level: Arc::clone(level) })
    }

    /// Waits until something was left.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Rings again: something was left in the box on purpose.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Takes what may be taken. Notices stay while `hold`: before the first snapshot they would be told twice.
    pub(crate) fn take(&self, hold: bool) -> Mail {
        let mut mail = lock(&self.mail);
        let wakes = std::mem::take(&mut mail.wakes);
        let (overflow, replaced) = (std::mem::take(&mut mail.overflow), mail.replaced);
        let (typing, policy_changed) = (std::mem::take(&mut mail.typing), std::mem::take(&mut mail.policy_changed));
        let notices = if hold { VecDeque::new() } else { std::mem::take(&mut mail.notices) };
        drop(mail);
        self.level.shift(notices.len(), 0);
        Mail { notices, wakes, typing, policy_changed, overflow, replaced }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.level.shift(lock(&self.mail).notices.len(), 0);
    }
}

impl SeatSink for Sink {
    fn notice(&self, notice: SeatNotice) {
        let mut mail = lock(&self.mail);
        if mail.notices.len() >= self.limits.notices {
            // The snapshot that follows tells more than any of these.
            self.level.shift(mail.notices.len(), 0);
            mail.notices.clear();
            mail.overflow = true;
        } else if !mail.overflow {
            mail.notices.push_back(notice);
            self.level.shift(0, 1);
        }
        drop(mail);
        self.bell.notify_one();
    }

    fn wake(&self, conversation: ConversationId, n: u32) {
        let mut mail = lock(&self.mail);
        let fits = mail.wakes.len() < self.limits.conversations.saturating_mul(4);
        match mail.wakes.get_mut(&conversation) {
            Some(newest) => *newest = n.max(*newest),
            None if fits => drop(mail.wakes.insert(conversation, n)),
            None => mail.overflow = true,
        }
        drop(mail);
        self.bell.notify_one();
    }

    fn typing(&self, conversation: ConversationId) {
        let mut mail = lock(&self.mail);
        if mail.typing.len() >= self.limits.conversations {
            return;
        }
        mail.typing.insert(conversation);
        drop(mail);
        self.bell.notify_one();
    }

    fn policy_changed(&self) {
        lock(&self.mail).policy_changed = true;
        self.bell.notify_one();
    }

    fn replaced(&self) {
        lock(&self.mail).replaced = true;
        self.bell.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::ClaimId;

    #[test]
    fn overflow_empties_and_asks_for_a_snapshot() {
        let limits = DeskLimits { notices: 3, conversations: 1, ..DeskLimits::default() };
        let level = Level::new(3);
        let sink = Sink::new(limits, &level);
        for claim in 0..3 {
            sink.notice(SeatNotice::Released { claim: ClaimId(claim) });
        }
        assert_eq!(level.used(), 3);
        let held = sink.take(true);
        assert!(held.notices.is_empty() && !held.overflow);
        assert_eq!(level.used(), 3, "held notices stay");
        for claim in 3..30 {
            sink.notice(SeatNotice::Released { claim: ClaimId(claim) });
        }
        let mail = sink.take(false);
        assert!(mail.notices.is_empty() && mail.overflow, "none of a lost run is told");
        assert_eq!(level.used(), 0);
        sink.notice(SeatNotice::Released { claim: ClaimId(30) });
        assert_eq!(sink.take(false).notices.len(), 1, "after the snapshot was asked for they count again");
    }

    #[test]
    fn typing_is_bounded_and_told_once() {
        let limits = DeskLimits { conversations: 4, ..DeskLimits::default() };
        let sink = Sink::new(limits, &Level::new(1));
        for conversation in 0..40 {
            sink.typing(ConversationId(conversation % 10));
        }
        sink.policy_changed();
        let mail = sink.take(true);
        assert_eq!((mail.typing.len(), mail.policy_changed, mail.overflow), (4, true, false));
        let mail = sink.take(true);
        assert!(mail.typing.is_empty() && !mail.policy_changed);
    }

    #[test]
    fn wakes_keep_the_newest_number_and_are_bounded() {
        let limits = DeskLimits { conversations: 1, ..DeskLimits::default() };
        let sink = Sink::new(limits, &Level::new(1));
        sink.wake(ConversationId(1), 5);
        sink.wake(ConversationId(1), 3);
        for conversation in 2..5 {
            sink.wake(ConversationId(conversation), 1);
        }
        assert!(!sink.mail.lock().expect("no panic").overflow);
        sink.wake(ConversationId(5), 1);
        let mail = sink.take(false);
        assert_eq!(mail.wakes.get(&ConversationId(1)), Some(&5));
        assert!(mail.overflow && mail.wakes.len() == 4);
    }
}
