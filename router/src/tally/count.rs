//! The counts of one tenant: data, and how a record changes it.
//!
//! Service level is kept for the last hour of log time, in buckets of a minute: what a floor can still act on. Exits and codes
//! count from the start. A queue whose target changed begins its level anew: counts against two targets are no level. It
//! refuses to know where records come from.

use std::collections::HashMap;
use std::sync::Arc;
use tidegate_model::level::LevelCounts;
use tidegate_model::name::{QueueName, ReasonName};
use tidegate_model::policy::{Desk, Target};
use tidegate_model::record::{ContactRecord, Exit};
use tidegate_model::time::{Millis, Timestamp};

/// How far back a service level looks, in log time.
pub const WINDOW: Millis = Millis(60 * 60_000);
/// Queues of a tenant that are counted at most; contacts of further ones are counted under none.
pub const QUEUES_MAX: usize = 1_024;
/// Codes of wrap-ups that are counted at most; further ones are counted under none.
pub const CODES_MAX: usize = 1_024;
const BUCKET: Millis = Millis(60_000);
const BUCKETS: usize = (WINDOW.0 / BUCKET.0) as usize;

/// What is counted of one queue.
#[derive(Clone, Debug)]
pub(crate) struct QueueTally {
    /// Contacts that an agent had to the end, or until the customer left.
    pub(crate) served: u64,
    /// Contacts whose customer left waiting.
    pub(crate) abandoned: u64,
    /// What its level is measured against.
    pub(crate) target: Target,
    level: [(u64, LevelCounts); BUCKETS],
}

impl QueueTally {
    fn new(target: Target) -> Self {
        Self { served: 0, abandoned: 0, target, level: [(0, LevelCounts::default()); BUCKETS] }
    }

    /// Service level of the contacts that left within [`WINDOW`] before `now`.
    pub(crate) fn level(&self, now: Timestamp) -> LevelCounts {
        let newest = now.0 / BUCKET.0;
        let mut sum = LevelCounts::default();
        for (minute, counts) in &self.level {
            if *minute <= newest && minute + (BUCKETS as u64) > newest {
                sum.add(*counts);
            }
        }
        sum
    }

    fn take(&mut self, record: &ContactRecord) {
        self.served += u64::from(record.exit.was_served());
        self.abandoned += u64::from(record.exit == Exit::AbandonedWaiting);
        let minute = record.ended_at.0 / BUCKET.0;
        let bucket = &mut self.level[(minute % BUCKETS as u64) as usize];
        if bucket.0 != minute {
            *bucket = (minute, LevelCounts::default());
        }
        bucket.1.take(record.exit, record.waited(), self.target.within);
    }
}

/// What is counted of one tenant.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    desk: Arc<Desk>,
    targets: HashMap<QueueName, Target>,
    queues: HashMap<QueueName, QueueTally>,
    codes: HashMap<ReasonName, u64>,
    since: Option<Timestamp>,
}

impl Tally {
    /// Counts against the targets of this table from now on.
    pub(crate) fn aim(&mut self, desk: Arc<Desk>) {
        self.targets = desk.queues.iter().map(|queue| (QueueName::of(&queue.name), queue.target)).collect();
        for (name, queue) in &mut self.queues {
            let target = self.targets.get(name).copied().unwrap_or_default();
            if target != queue.target {
                (queue.target, queue.level) = (target, QueueTally::new(target).level);
            }
        }
        self.desk = desk;
    }

    /// A contact left.
    pub(crate) fn left(&mut self, record: &ContactRecord) {
        self.since.get_or_insert(record.ended_at);
        let full = self.queues.len() >= QUEUES_MAX && !self.queues.contains_key(&record.queue);
        let name = if full { QueueName::NONE } else { record.queue };
        let target = self.targets.get(&name).copied().unwrap_or_default();
        self.queues.entry(name).or_insert_with(|| QueueTally::new(target)).take(record);
    }

    /// An agent ended a wrap-up with a code.
    pub(crate) fn wrapped_up(&mut self, code: ReasonName) {
        let full = self.codes.len() >= CODES_MAX && !self.codes.contains_key(&code);
        *self.codes.entry(if full { ReasonName::NONE } else { code }).or_default() += 1;
    }

    /// The counts of a queue, if any contact of it has left.
    pub(crate) fn queue(&self, name: QueueName) -> Option<&QueueTally> {
        self.queues.get(&name)
    }

    /// The target of a queue.
    pub(crate) fn target(&self, name: QueueName) -> Target {
        self.targets.get(&name).copied().unwrap_or_default()
    }

    /// Codes and how often each was chosen.
    pub(crate) fn codes(&self) -> impl Iterator<Item = (ReasonName, u64)> {
        self.codes.iter().map(|(code, count)| (*code, *count))
    }

    /// The table that is shown from.
    pub(crate) fn desk(&self) -> &Desk {
        &self.desk
    }

    /// When the first contact left that is counted here.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::ids::{AccountId, ContactId, ConversationId, CustomerId, SeatId};
    use tidegate_model::name::ClassName;
    use tidegate_model::policy::DeskQueue;

    const SALES: QueueName = QueueName::of("sales");

    fn record(asked: u64, waited: u64, exit: Exit) -> ContactRecord {
        let assigned = exit.was_served().then_some(Timestamp(asked + waited));
        ContactRecord {
            contact: ContactId(1),
            conversation: ConversationId(1),
            account: AccountId(1),
            customer: CustomerId::NONE,
            queue: SALES,
            class: ClassName::NONE,
            began_at: Timestamp(asked),
            requested_at: Some(Timestamp(asked)),
            offered_at: assigned,
            assigned_at: assigned,
            ended_at: Timestamp(asked + waited),
            exit,
            seat: SeatId::NONE,
            offers: 1,
            segments: 1,
        }
    }

    fn desk(seconds: u64) -> Arc<Desk> {
        let target = Target { within: Millis(seconds * 1_000), percent: 90 };
        let queue =
            DeskQueue { name: "sales".into(), en: "Sales".into(), zh: "销售".into(), transfer: true, wrap_up: None, target };
        Arc::new(Desk { queues: vec![queue], ..Desk::default() })
    }

    #[test]
    fn a_level_counts_at_its_target_and_forgets_after_an_hour() {
        let mut tally = Tally::default();
        tally.aim(desk(20));
        let start = 10 * WINDOW.0;
        tally.left(&record(start, 20_000, Exit::Served));
        tally.left(&record(start, 20_001, Exit::Served));
        tally.left(&record(start, 5_000, Exit::AbandonedWaiting));
        let at = |tally: &Tally, after: u64| tally.queue(SALES).expect("counted").level(Timestamp(start + after));
        let expected = LevelCounts { offered: 3, served: 2, served_within: 1, left_within: 2 };
        assert_eq!(at(&tally, 59 * 60_000), expected);
        assert_eq!(at(&tally, 60 * 60_000), LevelCounts::default(), "an hour later");
        let queue = tally.queue(SALES).expect("counted");
        assert_eq!((queue.served, queue.abandoned, tally.since()), (2, 1, Some(Timestamp(start + 20_000))));
        // The bucket of the same minute of the next hour is another one.
        tally.left(&record(start + WINDOW.0, 1_000, Exit::Served));
        assert_eq!(at(&tally, WINDOW.0).offered, 1);
    }

    #[test]
    fn another_target_begins_the_level_anew_and_keeps_the_rest() {
        let mut tally = Tally::default();
        tally.aim(desk(20));
        tally.left(&record(0, 30_000, Exit::Served));
        tally.aim(desk(20));
        assert_eq!(tally.queue(SALES).map(|queue| queue.level(Timestamp(60_000)).offered), Some(1), "the same target");
        tally.aim(desk(60));
        let queue = tally.queue(SALES).expect("counted");
        assert_eq!(
            (queue.level(Timestamp(60_000)), queue.served, queue.target.within),
            (LevelCounts::default(), 1, Millis(60_000))
        );
        tally.left(&record(60_000, 30_000, Exit::Served));
        assert_eq!(tally.queue(SALES).map(|queue| queue.level(Timestamp(90_000)).served_within), Some(1));
    }

    #[test]
    fn a_full_table_counts_the_rest_under_no_name() {
        let mut tally = Tally::default();
        for code in 0..CODES_MAX as u64 + 10 {
            tally.wrapped_up(ReasonName(code + 1));
        }
        assert_eq!(
            (tally.codes().count(), tally.codes().find(|(code, _)| code.is_none())),
            (CODES_MAX + 1, Some((ReasonName::NONE, 10)))
        );
        let mut contact = record(0, 1, Exit::Served);
        for queue in 0..QUEUES_MAX as u64 + 10 {
            contact.queue = QueueName(queue + 1);
            tally.left(&contact);
        }
        assert_eq!((tally.queues.len(), tally.queue(QueueName::NONE).map(|queue| queue.served)), (QUEUES_MAX + 1, Some(10)));
    }
}
