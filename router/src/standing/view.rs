//! One tenant's open contacts as the outputs tell of them: who waits where, who is served by whom, how fast queues move.
//!
//! Fed by [`View::apply`] in the order of the log, rebuilt by [`View::rebuild`] from rows that the machine gave (what outputs
//! say twice, once by a row and once by themselves, is passed over by the transcript's number). It decides nothing and is
//! never asked by anything that decides. Each event is O(log n) in the queue's length.

use super::line::{Key, Line};
use super::pace::{Observed, Pace};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use tidegate_core::{ClassTable, OpenContact, OpenStage};
use tidegate_model::ids::{AccountId, ContactId, ConversationId, OfferId, SeatId};
use tidegate_model::input::{Inbound, InboundAct};
use tidegate_model::limits::REQUEST_SKILLS_MAX;
use tidegate_model::name::{ClassName, Level, QueueName, SkillName};
use tidegate_model::output::{Item, Output, Rescind, SeatNotice};
use tidegate_model::time::{Millis, Timestamp};

/// What the view hears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// What a contact asked for, heard before its items.
    Asked { conversation: ConversationId, account: AccountId, request: Option<(ClassName, Skills)> },
    /// An item that moves its contact.
    Item { conversation: ConversationId, n: u32, at: Timestamp, item: Item },
    /// An offer is out.
    Offered { conversation: ConversationId, offer: OfferId, at: Timestamp },
    /// It is withdrawn, and its contact waits again.
    Rescinded { offer: OfferId },
    /// The conversation has left the machine.
    Closed { conversation: ConversationId },
    /// What the outputs do not tell in full (a policy swap, a poisoned decision): the machine must be asked.
    Anew,
}

/// Skills asked for on top of the queue's.
pub(crate) type Skills = [(SkillName, Level); REQUEST_SKILLS_MAX];

impl Event {
    /// What an output says, if the view needs it.
    pub(crate) fn of(output: &Output) -> Option<Self> {
        Some(match *output {
            Output::Transcript { conversation, n, at, item, .. } => match item {
                Item::Began { .. } | Item::Queued { .. } | Item::Assigned { .. } | Item::Ended { .. } => {
                    Self::Item { conversation, n, at, item }
                }
                _ => return None,
            },
            Output::Seat { notice: SeatNotice::Offered { offer, conversation, deadline, timeout, .. }, .. } => {
                Self::Offered { conversation, offer, at: deadline.before(timeout) }
            }
            // A contact that leaves says so by its last item.
            Output::Seat { notice: SeatNotice::Rescinded { why: Rescind::CustomerLeft | Rescind::TimedOut, .. }, .. } => {
                return None;
            }
            Output::Seat { notice: SeatNotice::Rescinded { offer, .. }, .. } => Self::Rescinded { offer },
            Output::Conversation { conversation, life: tidegate_model::output::Life::Closed, .. } => Self::Closed { conversation },
            Output::PolicyActive { .. } | Output::Poisoned { .. } => Self::Anew,
            _ => return None,
        })
    }

    /// What an input asks for.
    pub(crate) fn asked(inbound: &Inbound<'_>) -> Self {
        let request = match inbound.act {
            InboundAct::Begin { request, .. } | InboundAct::RequestAgent { request } => Some((request.class, request.skills)),
            _ => None,
        };
        Self::Asked { conversation: inbound.conversation, account: inbound.account, request }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Stage {
    /// Known by what it asks, or with a bot.
    #[default]
    Apart,
    Waiting,
    Served(SeatId),
}

#[derive(Clone, Copy, Debug, Default)]
struct Contact {
    contact: ContactId,
    account: AccountId,
    class: ClassName,
    skills: Skills,
    queue: QueueName,
    /// When it first asked for an agent; kept by transfers and returns.
    seniority: Option<Timestamp>,
    key_ms: u64,
    queued_at: Timestamp,
    /// As its queue counts its age, while it waits.
    waits_from: Timestamp,
    n: u32,
    stage: Stage,
    /// It has waited for a seat, and not only for the acceptance of one that was free.
    backlogged: bool,
    offer: OfferId,
    offers: u16,
    segments: u16,
}

#[derive(Debug, Default)]
struct Queue {
    line: Line,
    /// How many wait from when: the first is the oldest, whoever stands before it by its class.
    ages: BTreeMap<Timestamp, u32>,
    backlog: u32,
    pace: Pace,
}

/// What a desk may know of a contact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    pub account: AccountId,
    pub class: ClassName,
    pub skills: Skills,
    pub returned: bool,
}

/// Where a contact stands.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Place {
    pub queue: QueueName,
    pub position: u32,
    pub waiting: u32,
    pub observed: Observed,
}

/// The view.
#[derive(Debug, Default)]
pub(crate) struct View {
    classes: ClassTable,
    contacts: HashMap<ConversationId, Contact>,
    offers: HashMap<OfferId, ConversationId>,
    queues: HashMap<QueueName, Queue>,
    /// Log time of the newest event.
    now: Timestamp,
}

impl View {
    /// Contacts that it holds.
    pub(crate) fn len(&self) -> usize {
        self.contacts.len()
    }

    /// Where a conversation's contact stands, when it waits.
    pub(crate) fn place(&mut self, conversation: ConversationId, now: Timestamp) -> Option<Place> {
        let contact = self.contacts.get(&conversation).filter(|contact| contact.stage == Stage::Waiting)?;
        let queue = self.queues.get_mut(&contact.queue)?;
        let position = queue.line.place(contact.key())?;
        Some(Place { queue: contact.queue, position, waiting: queue.line.len(), observed: queue.pace.observed(now) })
    }

    /// Since when the longest waiting contact of each queue waits, where somebody does.
    pub(crate) fn oldest(&self) -> Vec<(QueueName, Timestamp)> {
        let oldest = |(name, queue): (&QueueName, &Queue)| Some((*name, *queue.ages.first_key_value()?.0));
        self.queues.iter().filter_map(oldest).collect()
    }

    /// The seat that serves a conversation.
    pub(crate) fn served_by(&self, conversation: ConversationId) -> Option<SeatId> {
        match self.contacts.get(&conversation)?.stage {
            Stage::Served(seat) => Some(seat),
            _ => None,
        }
    }

    /// What a contact asked for.
    pub(crate) fn asked(&self, conversation: ConversationId) -> Option<Asked> {
        let contact = self.contacts.get(&conversation).filter(|contact| !contact.contact.is_none())?;
        let class = if contact.class.is_none() { self.classes.default } else { contact.class };
        let returned = contact.offers > 1 || contact.segments > 0;
        Some(Asked { account: contact.account, class, skills: contact.skills, returned })
    }

    /// Takes one event; `room` says whether one more contact may be held.
    pub(crate) fn apply(&mut self, event: &Event, room: bool) {
        match *event {
            Event::Asked { conversation, account, request } => {
                let Some(contact) = self.contact(conversation, room) else { return };
                contact.account = account;
                if let Some((class, skills)) = request {
                    (contact.class, contact.skills) = (class, skills);
                }
            }
            Event::Item { conversation, n, at, item } => self.item(conversation, n, at, item, room),
            Event::Offered { conversation, offer, at } => self.offered(conversation, offer, at),
            Event::Rescinded { offer } => {
                // What came back has waited for a seat, whatever came before.
                if let Some(conversation) = self.offers.remove(&offer) {
                    self.stands_in_backlog(conversation);
                }
            }
            Event::Closed { conversation } => {
                if let Some(contact) = self.contacts.remove(&conversation) {
                    self.offers.remove(&contact.offer);
                }
            }
            Event::Anew => {}
        }
    }

    fn contact(&mut self, conversation: ConversationId, room: bool) -> Option<&mut Contact> {
        if !room && !self.contacts.contains_key(&conversation) {
            return None;
        }
        Some(self.contacts.entry(conversation).or_default())
    }

    fn item(&mut self, conversation: ConversationId, n: u32, at: Timestamp, item: Item, room: bool) {
        self.now = self.now.max(at);
        let at = self.now;
        let Some(contact) = self.contact(conversation, room) else { return };
        if n <= contact.n {
            return;
        }
        contact.n = n;
        match item {
            Item::Began { contact: id } => {
                (contact.contact, contact.seniority, contact.stage) = (id, None, Stage::Apart);
                (contact.offers, contact.segments, contact.offer) = (0, 0, OfferId::NONE);
            }
            Item::Queued { queue } => {
                self.leave(conversation, at, false);
                self.enter(conversation, queue, at);
            }
            Item::Assigned { seat } => {
                self.leave(conversation, at, true);
                if let Some(contact) = self.contacts.get_mut(&conversation) {
                    contact.stage = Stage::Served(seat);
                    contact.segments = contact.segments.saturating_add(1);
                    self.offers.remove(&contact.offer);
                }
            }
            Item::Ended { .. } => {
                self.leave(conversation, at, false);
                if let Some(contact) = self.contacts.remove(&conversation) {
                    self.offers.remove(&contact.offer);
                }
            }
            _ => {}
        }
    }

    fn enter(&mut self, conversation: ConversationId, queue: QueueName, at: Timestamp) {
        let Some(contact) = self.contacts.get_mut(&conversation) else { return };
        let seniority = *contact.seniority.get_or_insert(at);
        contact.key_ms = seniority.before(self.classes.head_start(contact.class)).0;
        (contact.queue, contact.queued_at, contact.stage, contact.backlogged) = (queue, at, Stage::Waiting, false);
        contact.waits_from = seniority;
        let key = contact.key();
        self.queues.entry(queue).or_default().stands(key, seniority);
        self.stands_in_backlog(conversation);
    }

    /// It waits for a seat, and not only for the acceptance of one that was free.
    fn stands_in_backlog(&mut self, conversation: ConversationId) {
        let Some(contact) = self.contacts.get_mut(&conversation) else { return };
        if contact.stage != Stage::Waiting || contact.backlogged {
            return;
        }
        contact.backlogged = true;
        if let Some(queue) = self.queues.get_mut(&contact.queue) {
            queue.backlog += 1;
            queue.pace.backlog(self.now, true);
        }
    }

    fn offered(&mut self, conversation: ConversationId, offer: OfferId, at: Timestamp) {
        let Some(contact) = self.contacts.get_mut(&conversation) else { return };
        if offer.0 <= contact.offer.0 {
            return;
        }
        self.now = self.now.max(at);
        contact.offer = offer;
        contact.offers = contact.offers.saturating_add(1);
        self.offers.insert(offer, conversation);
        if contact.stage == Stage::Waiting && contact.backlogged && contact.offers == 1 && contact.queued_at == self.now {
            contact.backlogged = false;
            if let Some(queue) = self.queues.get_mut(&contact.queue) {
                queue.leaves_backlog(at);
            }
        }
    }

    /// Out of its line, if it stands in one.
    fn leave(&mut self, conversation: ConversationId, at: Timestamp, assigned: bool) {
        let Some(contact) = self.contacts.get_mut(&conversation) else { return };
        if contact.stage != Stage::Waiting {
            return;
        }
        contact.stage = Stage::Apart;
        let (key, backlogged) = (contact.key(), std::mem::take(&mut contact.backlogged));
        let waits_from = contact.waits_from;
        let Some(queue) = self.queues.get_mut(&contact.queue) else { return };
        if backlogged {
            let (waiting, place) = (queue.line.len(), queue.line.place(key).unwrap_or(1));
            let alone = if assigned { 1.0 } else { 0.0 };
            let weight = if waiting > 1 { f64::from(waiting - place) / f64::from(waiting - 1) } else { alone };
            queue.pace.departed(at, weight);
            queue.leaves_backlog(at);
        }
        queue.line.remove(key);
        if let Entry::Occupied(mut waiting) = queue.ages.entry(waits_from) {
            *waiting.get_mut() -= 1;
            if *waiting.get() == 0 {
                waiting.remove();
            }
        }
    }

    /// Forgets all contacts, before rows come; how fast queues moved is kept.
    pub(crate) fn begin_rebuild(&mut self, classes: ClassTable, now: Timestamp) {
        self.classes = classes;
        self.now = self.now.max(now);
        self.contacts.clear();
        self.offers.clear();
        for queue in self.queues.values_mut() {
            (queue.line, queue.backlog) = (Line::default(), 0);
            queue.ages.clear();
            queue.pace.backlog(now, false);
        }
    }

    /// Takes a row of the machine.
    pub(crate) fn rebuild(&mut self, row: &OpenContact, now: Timestamp) {
        let stage = match row.stage {
            OpenStage::WithBot => Stage::Apart,
            OpenStage::Waiting => Stage::Waiting,
            OpenStage::Served(seat) => Stage::Served(seat),
        };
        let mut contact = Contact {
            contact: row.contact,
            account: row.account,
            class: row.class,
            skills: row.skills,
            queue: row.queue,
            seniority: row.requested_at,
            n: row.n,
            stage,
            offer: row.offer,
            offers: row.offers,
            segments: row.segments,
            queued_at: row.requested_at.unwrap_or(now),
            ..Contact::default()
        };
        contact.key_ms = contact.queued_at.before(self.classes.head_start(row.class)).0;
        contact.waits_from = contact.queued_at;
        if !row.offer.is_none() {
            self.offers.insert(row.offer, row.conversation);
        }
        self.contacts.insert(row.conversation, contact);
        if stage == Stage::Waiting {
            self.queues.entry(row.queue).or_default().stands(contact.key(), contact.waits_from);
            if row.offer.is_none() {
                self.stands_in_backlog(row.conversation);
            }
        }
    }
}

impl Queue {
    fn stands(&mut self, key: Key, from: Timestamp) {
        self.line.insert(key);
        *self.ages.entry(from).or_default() += 1;
    }

    fn leaves_backlog(&mut self, at: Timestamp) {
        self.backlog = self.backlog.saturating_sub(1);
        if self.backlog == 0 {
            self.pace.backlog(at, false);
        }
    }
}

impl Contact {
    fn key(&self) -> Key {
        Key { arrived_ms: self.key_ms, contact: self.contact }
    }
}

/// The span by which a class is ahead, as the view's rows and events need it.
pub(crate) trait HeadStart {
    fn head_start(&self, class: ClassName) -> Millis;
}

impl HeadStart for ClassTable {
    fn head_start(&self, class: ClassName) -> Millis {
        let find = |name| self.classes.iter().find(|(known, _)| *known == name).map(|(_, span)| *span);
        find(class).or_else(|| find(self.default)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGULAR: ClassName = ClassName::of("regular");
    const GOLD: ClassName = ClassName::of("gold");
    const RETAIL: QueueName = QueueName::of("retail");

    /// A view with two classes, told in words.
    struct Told {
        view: View,
        n: u32,
        offers: u64,
    }

    impl Told {
        fn new() -> Self {
            let classes = vec![(REGULAR, Millis(0)), (GOLD, Millis(60_000))];
            let mut view = View::default();
            view.begin_rebuild(ClassTable { classes, default: REGULAR }, Timestamp(0));
            Self { view, n: 0, offers: 0 }
        }

        fn item(&mut self, conversation: u128, at: u64, item: Item) {
            self.n += 1;
            let event = Event::Item { conversation: ConversationId(conversation), n: self.n, at: Timestamp(at), item };
            self.view.apply(&event, true);
        }

        fn comes(&mut self, conversation: u128, at: u64, class: ClassName) {
            let (id, account) = (ConversationId(conversation), AccountId(1));
            self.view.apply(&Event::Asked { conversation: id, account, request: Some((class, Skills::default())) }, true);
            self.item(conversation, at, Item::Began { contact: ContactId(conversation as u64) });
            self.item(conversation, at, Item::Queued { queue: RETAIL });
        }

        fn offered(&mut self, conversation: u128, at: u64) -> OfferId {
            self.offers += 1;
            let offer = OfferId(self.offers);
            self.view.apply(&Event::Offered { conversation: ConversationId(conversation), offer, at: Timestamp(at) }, true);
            offer
        }

        fn assigned(&mut self, conversation: u128, at: u64) {
            self.item(conversation, at, Item::Assigned { seat: SeatId(7) });
        }

        fn place(&mut self, conversation: u128) -> Option<(u32, u32)> {
            self.view.place(ConversationId(conversation), Timestamp(1 << 40)).map(|place| (place.position, place.waiting))
        }
    }

    #[test]
    fn places_follow_seniority_classes_transfers_and_exits() {
        let mut told = Told::new();
        told.comes(1, 100_000, ClassName::NONE);
        told.comes(2, 110_000, REGULAR);
        told.comes(3, 120_000, GOLD);
        assert_eq!((told.place(3), told.place(1), told.place(2)), (Some((1, 3)), Some((2, 3)), Some((3, 3))));
        told.offered(3, 130_000);
        assert_eq!(told.place(3), Some((1, 3)), "one that is being offered still waits");
        assert_eq!(told.view.oldest(), [(RETAIL, Timestamp(100_000))], "who came first, whoever stands before");
        told.assigned(3, 131_000);
        assert_eq!((told.place(3), told.place(1)), (None, Some((1, 2))));
        assert_eq!(told.view.served_by(ConversationId(3)), Some(SeatId(7)));
        // Handed on: its seniority is kept.
        told.item(3, 200_000, Item::Queued { queue: RETAIL });
        assert_eq!((told.place(3), told.view.served_by(ConversationId(3))), (Some((1, 3)), None));
        assert!(told.view.asked(ConversationId(3)).is_some_and(|asked| asked.returned && asked.class == GOLD));
        told.item(1, 210_000, Item::Ended { exit: tidegate_model::record::Exit::AbandonedWaiting });
        assert_eq!((told.place(1), told.place(2), told.view.len()), (None, Some((2, 2)), 2));
        assert_eq!(told.view.oldest(), [(RETAIL, Timestamp(110_000))]);
        told.item(2, 220_000, Item::Ended { exit: tidegate_model::record::Exit::AbandonedWaiting });
        assert_eq!(told.view.oldest(), [(RETAIL, Timestamp(120_000))], "handed on, it waits from when it first asked");
        told.assigned(3, 230_000);
        assert!(told.view.oldest().is_empty());
    }

    #[test]
    fn what_a_row_told_already_counts_once() {
        let mut told = Told::new();
        told.comes(1, 100_000, REGULAR);
        told.view.begin_rebuild(told.view.classes.clone(), Timestamp(150_000));
        let row = OpenContact {
            conversation: ConversationId(1),
            contact: ContactId(1),
            account: AccountId(1),
            n: 9,
            queue: RETAIL,
            class: REGULAR,
            skills: Skills::default(),
            began_at: Timestamp(0),
            requested_at: Some(Timestamp(100_000)),
            offer: OfferId::NONE,
            offers: 1,
            segments: 1,
            stage: OpenStage::Served(SeatId(4)),
        };
        told.view.rebuild(&row, Timestamp(150_000));
        told.n = 7;
        told.item(1, 140_000, Item::Queued { queue: RETAIL });
        assert_eq!((told.place(1), told.view.served_by(ConversationId(1))), (None, Some(SeatId(4))), "an item of before");
        told.n = 9;
        told.item(1, 160_000, Item::Ended { exit: tidegate_model::record::Exit::Served });
        assert_eq!(told.view.len(), 0);
    }

    #[test]
    fn an_idle_seats_pace_says_nothing_and_a_backlogs_does() {
        let mut told = Told::new();
        // Fifty contacts that are offered in the instant in which they come, and accepted three seconds later.
        for i in 0..50 {
            told.comes(i, 10_000 * i as u64, REGULAR);
            told.offered(i, 10_000 * i as u64);
            told.assigned(i, 10_000 * i as u64 + 3_000);
        }
        for i in 100..120 {
            told.comes(i, 600_000, REGULAR);
        }
        let interval = |told: &mut Told, at| {
            let place = told.view.place(ConversationId(119), Timestamp(at)).expect("waits");
            place.observed.interval(place.position)
        };
        assert_eq!(interval(&mut told, 600_000), None, "nobody had to wait for a seat so far");
        for i in 100..110 {
            let at = 600_000 + 30_000 * (i as u64 - 99);
            told.offered(i, at);
            told.assigned(i, at);
        }
        // Ten left in five minutes; ten more to go for the last one: the median is some five minutes.
        let found = interval(&mut told, 900_000).expect("ten departures");
        assert!((270_000..=345_000).contains(&found.p50.0) && found.p90 > found.p50, "{found:?}");
    }

    #[test]
    fn a_declined_offer_stands_in_backlog_and_its_end_leaves_nothing_behind() {
        let mut told = Told::new();
        told.comes(1, 1_000, REGULAR);
        let offer = told.offered(1, 1_000);
        assert_eq!(told.view.queues[&RETAIL].backlog, 0, "accepted soon, it never stood in backlog");
        told.view.apply(&Event::Rescinded { offer }, true);
        assert_eq!(told.view.queues[&RETAIL].backlog, 1);
        assert!(told.view.asked(ConversationId(1)).is_some_and(|asked| !asked.returned));
        told.offered(1, 9_000);
        assert!(told.view.asked(ConversationId(1)).is_some_and(|asked| asked.returned));
        told.item(1, 10_000, Item::Ended { exit: tidegate_model::record::Exit::AbandonedWaiting });
        let queue = &told.view.queues[&RETAIL];
        assert_eq!((queue.backlog, queue.line.len(), told.view.offers.len(), told.view.len()), (0, 0, 0, 0));
    }

    #[test]
    fn a_full_view_takes_nobody_new_and_goes_on_with_those_it_has() {
        let mut told = Told::new();
        told.comes(1, 1_000, REGULAR);
        let n = Event::Item { conversation: ConversationId(2), n: 1, at: Timestamp(2_000), item: Item::Queued { queue: RETAIL } };
        told.view.apply(&n, false);
        assert_eq!((told.place(2), told.view.len()), (None, 1));
        let own =
            Event::Item { conversation: ConversationId(1), n: 9, at: Timestamp(2_000), item: Item::Assigned { seat: SeatId(1) } };
        told.view.apply(&own, false);
        assert_eq!(told.view.served_by(ConversationId(1)), Some(SeatId(1)));
    }
}
