//! From facts to spans: what is open of each sampled contact, and the spans that each fact ends.
//!
//! ```text
//! contact ─┬─ receive ─ decide ─ bot? ─ wait ─ offer (declined) ─ wait ─ offer (accepted) ─ accept
//! ```
//!
//! The root ends with the first acceptance, or with the exit before one. Its children follow each other: each begins where the
//! one before it ended, whatever the clocks of two batches say, and none ends before it begins. After a transfer the contact
//! waits and is offered again; those spans have the same root, and `tidegate.segment` counts on. Times are the moments of the
//! entries, never log time, which has milliseconds only and may run late. It refuses to know queues, clocks and collectors.

use super::feed::{Fact, Moments, What};
use super::ids::{self, Part};
use crate::events::Names;
use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};
use tidegate_core::{OpenContact, OpenStage};
use tidegate_model::output::Rescind;
use tidegate_model::record::Exit;
use tidegate_model::{AccountId, ContactId, ConversationId, EventId, OfferId, QueueName, SeatId, Seq, TenantId, Timestamp};

/// Sampled contacts that are followed at once at most.
pub const CONTACTS_MAX: usize = 1 << 18;

/// A time of day that is wrong by more than this is put right.
const STEP_MIN: Duration = Duration::from_secs(1);

/// Turns moments of the monotonic clock into times of day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anchor {
    pub instant: Instant,
    pub system: SystemTime,
}

impl Anchor {
    pub fn now() -> Self {
        Self { instant: Instant::now(), system: SystemTime::now() }
    }

    fn at(&self, moment: Instant) -> SystemTime {
        let later = moment.checked_duration_since(self.instant);
        let time = match later {
            Some(span) => self.system.checked_add(span),
            None => self.system.checked_sub(self.instant.duration_since(moment)),
        };
        time.unwrap_or(self.system)
    }
}

/// Words for numbers.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub queues: HashMap<TenantId, Names>,
    pub channels: HashMap<(TenantId, AccountId), String>,
}

/// See the module head.
pub(super) struct Book {
    ratio: f64,
    anchor: Anchor,
    scope: InstrumentationScope,
    open: HashMap<(TenantId, ConversationId), Open>,
    /// Which conversation an open offer is for.
    offers: HashMap<(TenantId, OfferId), ConversationId>,
    most: usize,
    /// Contacts that were sampled and not followed.
    pub unfollowed: u64,
}

#[derive(Debug)]
struct Open {
    tenant: TenantId,
    conversation: ConversationId,
    contact: ContactId,
    account: AccountId,
    queue: QueueName,
    trace: TraceId,
    began: SystemTime,
    /// The entry that began it.
    by: Seq,
    /// Where the newest child ended.
    cursor: SystemTime,
    stage: Stage,
    /// Offers so far: with the part it makes a span's number.
    offers: u64,
    segment: u32,
    link: Option<SpanContext>,
    /// It was open when this node started, or when facts were lost: its beginning is told in log time.
    is_resumed: bool,
    /// The root has ended.
    is_told: bool,
    is_poisoned: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Bot,
    Waiting,
    Offered { offer: OfferId, seat: SeatId },
    Served,
}

/// What spans are written with, and where they go.
struct Pen<'a> {
    out: &'a mut Vec<SpanData>,
    scope: &'a InstrumentationScope,
    words: &'a Words,
}

/// A span to be.
struct Draft {
    part: Part,
    number: u64,
    name: &'static str,
    kind: SpanKind,
    end: SystemTime,
    attributes: Vec<KeyValue>,
}

impl Book {
    pub fn new(ratio: f64, anchor: Anchor, most: usize) -> Self {
        let scope = InstrumentationScope::builder("tidegate").with_version(env!("CARGO_PKG_VERSION")).build();
        Self { ratio, anchor, scope, open: HashMap::new(), offers: HashMap::new(), most, unfollowed: 0 }
    }

    /// Follows a step of the time of day (a clock that was set after the start). Small differences stay, so that one trace is
    /// told by one clock.
    pub fn keep_time(&mut self, now: Anchor) {
        let told = self.anchor.at(now.instant);
        let ahead = told.duration_since(now.system).unwrap_or_default();
        let behind = now.system.duration_since(told).unwrap_or_default();
        if ahead.max(behind) > STEP_MIN {
            self.anchor = now;
        }
    }

    /// Contacts that are followed.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Gives up everything that is open, because what was told of it has a hole.
    pub fn forget(&mut self) {
        self.unfollowed += self.open.values().filter(|open| !open.is_told).count() as u64;
        self.open.clear();
        self.offers.clear();
    }

    /// Follows a contact that the machine says is open, unless it is followed. Its beginning is log time's.
    pub fn resume(&mut self, tenant: TenantId, row: &OpenContact) {
        if self.open.contains_key(&(tenant, row.conversation)) {
            return;
        }
        let now = SystemTime::now();
        let of = |at: Timestamp| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(at.0)).filter(|at| *at <= now);
        let began = of(row.began_at).unwrap_or(now);
        let Some(open) = self.follow(tenant, row.conversation, row.contact, began) else { return };
        open.account = row.account;
        open.queue = row.queue;
        open.is_resumed = true;
        open.offers = u64::from(row.offers);
        open.is_told = row.segments > 0;
        open.segment = u32::from(row.segments) + u32::from(!matches!(row.stage, OpenStage::Served(_)));
        open.cursor = row.requested_at.and_then(of).unwrap_or(began).max(began);
        match row.stage {
            OpenStage::WithBot => {}
            OpenStage::Served(_) => open.stage = Stage::Served,
            OpenStage::Waiting if row.offer.is_none() => open.stage = Stage::Waiting,
            OpenStage::Waiting => {
                // Its seat is told by what comes next; when it went out is not known here, so its span stands for the wait, too.
                open.stage = Stage::Offered { offer: row.offer, seat: SeatId::NONE };
                self.offers.insert((tenant, row.offer), row.conversation);
            }
        }
    }

    fn follow(
        &mut self,
        tenant: TenantId,
        conversation: ConversationId,
        contact: ContactId,
        began: SystemTime,
    ) -> Option<&mut Open> {
        let trace = ids::trace_id(tenant, contact);
        let key = (tenant, conversation);
        if !ids::is_sampled(self.ratio, trace) {
            return None;
        }
        if self.open.len() >= self.most && !self.open.contains_key(&key) {
            self.unfollowed += 1;
            return None;
        }
        let open = Open {
            tenant,
            conversation,
            contact,
            account: AccountId::NONE,
            queue: QueueName::NONE,
            trace,
            began,
            by: Seq(0),
            cursor: began,
            stage: Stage::Bot,
            offers: 0,
            segment: 1,
            link: None,
            is_resumed: false,
            is_told: false,
            is_poisoned: false,
        };
        self.open.insert(key, open);
        self.open.get_mut(&key)
    }

    /// Takes one fact; spans that it ends go to `out`. `link` finds the trace that asked for an event. O(1).
    pub fn take(
        &mut self,
        fact: &Fact,
        words: &Words,
        link: impl FnOnce(TenantId, EventId) -> Option<SpanContext>,
        out: &mut Vec<SpanData>,
    ) {
        let Fact { tenant, moments, what } = *fact;
        let times = Times::of(&self.anchor, &moments);
        let conversation = match what {
            What::Began { conversation, contact, account, event } => {
                let scope = self.scope.clone();
                let mut pen = Pen { out, scope: &scope, words };
                if let Some(open) = self.follow(tenant, conversation, contact, times.received) {
                    open.account = account;
                    open.by = moments.seq;
                    open.link = link(tenant, event);
                    open.child(&mut pen, Draft::of(Part::Receive, 0, times.durable));
                    open.child(&mut pen, Draft::of(Part::Decide, 0, times.decided));
                }
                return;
            }
            What::Withdrawn { offer, .. } => match self.offers.remove(&(tenant, offer)) {
                Some(conversation) => conversation,
                None => return,
            },
            What::Poisoned { contact } => {
                for open in self.open.values_mut().filter(|open| open.tenant == tenant && open.contact == contact) {
                    open.is_poisoned = true;
                }
                return;
            }
            What::Queued { conversation, .. }
            | What::Offered { conversation, .. }
            | What::Assigned { conversation, .. }
            | What::Transferred { conversation }
            | What::Ended { conversation, .. } => conversation,
            What::PolicyChanged => return,
        };
        let key = (tenant, conversation);
        let Some(open) = self.open.get_mut(&key) else { return };
        match what {
            What::Offered { offer, .. } => {
                self.offers.insert((tenant, offer), conversation);
            }
            What::Assigned { claim, .. } => {
                self.offers.remove(&(tenant, OfferId(claim.0)));
            }
            What::Ended { .. } => {
                if let Stage::Offered { offer, .. } = open.stage {
                    self.offers.remove(&(tenant, offer));
                }
            }
            _ => {}
        }
        open.goes_on(what, moments.seq, &times, &mut Pen { out, scope: &self.scope, words });
        if matches!(what, What::Ended { .. }) {
            self.open.remove(&key);
        }
    }
}

/// The moments of an entry as times of day, in order.
struct Times {
    received: SystemTime,
    durable: SystemTime,
    decided: SystemTime,
}

impl Times {
    fn of(anchor: &Anchor, moments: &Moments) -> Self {
        let durable = anchor.at(moments.durable);
        let received = moments.received.map_or(durable, |at| anchor.at(at).min(durable));
        Self { received, durable, decided: anchor.at(moments.decided).max(durable) }
    }
}

impl Open {
    fn goes_on(&mut self, what: What, seq: Seq, times: &Times, pen: &mut Pen<'_>) {
        match what {
            What::Queued { queue, .. } => {
                // One that began in its queue was with no bot.
                if self.stage == Stage::Bot && self.by != seq {
                    self.child(pen, Draft::of(Part::Bot, 0, times.decided));
                }
                self.queue = queue;
                self.stage = Stage::Waiting;
                self.cursor = self.cursor.max(times.decided);
            }
            What::Offered { seat, offer, queue, .. } => {
                self.queue = queue;
                self.wait(pen, times.decided);
                self.offers += 1;
                self.stage = Stage::Offered { offer, seat };
            }
            What::Withdrawn { seat, why, .. } => {
                self.offer(pen, times.decided, outcome(why), seat);
                self.stage = Stage::Waiting;
            }
            What::Assigned { seat, .. } => {
                self.offer(pen, times.received, ("accepted", None), seat);
                let mut accept = Draft::of(Part::Accept, self.offers, times.durable);
                accept.attributes.push(number("tidegate.seat", seat.0));
                self.child(pen, accept);
                self.stage = Stage::Served;
                self.root(pen, times.decided, number("tidegate.seat", seat.0));
            }
            What::Transferred { .. } => {
                self.segment += 1;
                self.stage = Stage::Waiting;
                self.cursor = self.cursor.max(times.decided);
            }
            What::Ended { exit, .. } => {
                match self.stage {
                    Stage::Bot if self.by != seq => self.child(pen, Draft::of(Part::Bot, 0, times.decided)),
                    // Withdrawn in the same entry: no wait of its own.
                    Stage::Waiting if self.offers > 0 && self.cursor >= times.decided => {}
                    Stage::Waiting => self.wait(pen, times.decided),
                    Stage::Offered { .. } => {
                        self.offer(pen, times.decided, ("rescinded", Some("ended")), SeatId::NONE);
                    }
                    Stage::Bot | Stage::Served => {}
                }
                self.is_poisoned |= exit == Exit::Failed;
                self.root(pen, times.decided, KeyValue::new("tidegate.exit", exit.slug()));
            }
            What::Began { .. } | What::Poisoned { .. } | What::PolicyChanged => {}
        }
    }

    fn wait(&mut self, pen: &mut Pen<'_>, end: SystemTime) {
        let mut wait = Draft::of(Part::Wait, self.offers, end);
        wait.attributes.push(KeyValue::new("tidegate.segment", i64::from(self.segment)));
        wait.attributes.extend(self.queue(pen.words));
        self.child(pen, wait);
    }

    /// `heard` is the seat that the fact names; the offer's own is used where it names none.
    fn offer(
        &mut self,
        pen: &mut Pen<'_>,
        end: SystemTime,
        (outcome, reason): (&'static str, Option<&'static str>),
        heard: SeatId,
    ) {
        let Stage::Offered { offer, seat } = self.stage else { return };
        let seat = if seat.is_none() { heard } else { seat };
        let mut draft = Draft::of(Part::Offer, self.offers, end);
        draft.attributes.push(number("tidegate.offer", offer.0));
        draft.attributes.push(KeyValue::new("tidegate.offer.outcome", outcome));
        draft.attributes.extend(reason.map(|reason| KeyValue::new("tidegate.offer.reason", reason)));
        draft.attributes.extend((!seat.is_none()).then(|| number("tidegate.seat", seat.0)));
        draft.attributes.extend(self.queue(pen.words));
        self.child(pen, draft);
    }

    /// A child from where the last one ended.
    fn child(&mut self, pen: &mut Pen<'_>, mut draft: Draft) {
        let start = self.cursor;
        draft.end = draft.end.max(start);
        self.cursor = draft.end;
        let parent = ids::span_id(self.trace, Part::Contact, 0);
        let span = self.span(pen, draft, start, parent);
        pen.out.push(span);
    }

    fn root(&mut self, pen: &mut Pen<'_>, end: SystemTime, more: KeyValue) {
        if std::mem::replace(&mut self.is_told, true) {
            return;
        }
        let mut draft = Draft::of(Part::Contact, 0, end.max(self.cursor));
        draft.attributes.extend([
            KeyValue::new("messaging.system", "tidegate"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.operation.name", "contact"),
            KeyValue::new("tidegate.offers", i64::try_from(self.offers).unwrap_or(i64::MAX)),
            more,
        ]);
        draft.attributes.extend(self.queue(pen.words));
        draft.attributes.extend(self.is_resumed.then(|| KeyValue::new("tidegate.resumed", true)));
        let mut span = self.span(pen, draft, self.began, SpanId::INVALID);
        span.links.links.extend(self.link.take().map(Link::with_context));
        if self.is_poisoned {
            span.status = Status::error("a decision about this contact failed");
        }
        pen.out.push(span);
    }

    fn span(&self, pen: &Pen<'_>, draft: Draft, start: SystemTime, parent: SpanId) -> SpanData {
        let id = ids::span_id(self.trace, draft.part, draft.number);
        let mut attributes = vec![
            KeyValue::new("tidegate.tenant", i64::from(self.tenant.0)),
            number("tidegate.contact", self.contact.0),
            KeyValue::new("messaging.message.conversation_id", format!("{:x}", self.conversation.0)),
        ];
        if !self.account.is_none() {
            attributes.push(KeyValue::new("tidegate.account", i64::from(self.account.0)));
        }
        if let Some(channel) = pen.words.channels.get(&(self.tenant, self.account)) {
            attributes.push(KeyValue::new("tidegate.channel", channel.clone()));
        }
        attributes.extend(draft.attributes);
        SpanData {
            span_context: SpanContext::new(self.trace, id, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: parent,
            parent_span_is_remote: false,
            span_kind: draft.kind,
            name: Cow::Borrowed(draft.name),
            start_time: start,
            end_time: draft.end,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: pen.scope.clone(),
        }
    }

    fn queue(&self, words: &Words) -> Option<KeyValue> {
        let text = words.queues.get(&self.tenant).and_then(|names| names.text(self.queue.0));
        let text = text.map_or_else(|| format!("#{:016x}", self.queue.0), str::to_owned);
        (!self.queue.is_none()).then(|| KeyValue::new("messaging.destination.name", text))
    }
}

impl Draft {
    fn of(part: Part, number: u64, end: SystemTime) -> Self {
        let (name, kind) = match part {
            Part::Contact => ("contact", SpanKind::Consumer),
            Part::Receive => ("receive", SpanKind::Internal),
            Part::Decide => ("decide", SpanKind::Internal),
            Part::Bot => ("bot", SpanKind::Internal),
            Part::Wait => ("wait", SpanKind::Internal),
            Part::Offer => ("offer", SpanKind::Internal),
            Part::Accept => ("accept", SpanKind::Internal),
        };
        Self { part, number, name, kind, end, attributes: Vec::new() }
    }
}

/// 64 bits do not fit the kit's integers: decimal text, as everywhere in the API.
fn number(name: &'static str, value: u64) -> KeyValue {
    KeyValue::new(name, value.to_string())
}

/// How an offer ended that was not accepted, and why where the outcome does not say it.
const fn outcome(why: Rescind) -> (&'static str, Option<&'static str>) {
    match why {
        Rescind::Declined => ("declined", None),
        Rescind::Expired => ("expired", None),
        Rescind::CustomerLeft => ("rescinded", Some("customer_left")),
        Rescind::TimedOut => ("rescinded", Some("timed_out")),
        Rescind::SeatGone => ("rescinded", Some("seat_gone")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::{ClaimId, ClassName};

    const TENANT: TenantId = TenantId(1);
    const TALK: ConversationId = ConversationId(7);

    struct Told {
        book: Book,
        anchor: Anchor,
        seq: u64,
        spans: Vec<SpanData>,
    }

    impl Told {
        fn new(most: usize) -> Self {
            let anchor = Anchor { instant: Instant::now(), system: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000) };
            Self { book: Book::new(1.0, anchor, most), anchor, seq: 0, spans: Vec::new() }
        }

        /// One fact, of an entry received at `ms`, durable a millisecond later and decided one more.
        fn hears(&mut self, ms: u64, what: What) -> Vec<&'static str> {
            self.seq += 1;
            let at = |ms| self.anchor.instant + Duration::from_millis(ms);
            let moments = Moments { seq: Seq(self.seq), received: Some(at(ms)), durable: at(ms + 1), decided: at(ms + 2) };
            let before = self.spans.len();
            self.book.take(&Fact { tenant: TENANT, moments, what }, &Words::default(), |_, _| None, &mut self.spans);
            self.spans[before..].iter().map(|span| name_of(span)).collect()
        }

        fn begins(&mut self, ms: u64, contact: u64) -> Vec<&'static str> {
            let conversation = ConversationId(u128::from(contact));
            let (contact, account) = (ContactId(contact), AccountId(1));
            self.hears(ms, What::Began { conversation, contact, account, event: EventId(1) })
        }
    }

    fn name_of(span: &SpanData) -> &'static str {
        match &span.name {
            Cow::Borrowed(name) => name,
            Cow::Owned(name) => panic!("{name} is no constant"),
        }
    }

    fn row(offer: u64, stage: OpenStage) -> OpenContact {
        OpenContact {
            conversation: TALK,
            contact: ContactId(7),
            account: AccountId(1),
            n: 4,
            queue: QueueName::of("sales"),
            class: ClassName::NONE,
            skills: Default::default(),
            began_at: Timestamp(900_000),
            requested_at: Some(Timestamp(950_000)),
            offer: OfferId(offer),
            offers: 2,
            segments: 0,
            stage,
        }
    }

    #[test]
    fn what_had_a_hole_is_given_up_and_taken_up_again_from_the_machine() {
        let mut told = Told::new(8);
        assert_eq!(told.begins(0, 7), ["receive", "decide"]);
        told.book.forget();
        assert_eq!((told.book.len(), told.book.unfollowed), (0, 1));
        assert!(told.hears(10, What::Queued { conversation: TALK, queue: QueueName::of("sales") }).is_empty(), "nobody follows it");
        let row = row(9, OpenStage::Waiting);
        told.book.resume(TENANT, &row);
        told.book.resume(TENANT, &row);
        assert_eq!(told.book.len(), 1);
        let accepted = What::Assigned { conversation: TALK, seat: SeatId(4), claim: ClaimId(9) };
        assert_eq!(told.hears(20, accepted), ["offer", "accept", "contact"]);
        let root = told.spans.last().expect("just told");
        let resumed = |span: &SpanData| span.attributes.iter().any(|kv| kv.key.as_str() == "tidegate.resumed");
        assert!(resumed(root) && root.start_time == SystemTime::UNIX_EPOCH + Duration::from_secs(900));
        let first = &told.spans[0];
        assert_eq!(
            (root.span_context.trace_id(), root.span_context.span_id()),
            (first.span_context.trace_id(), first.parent_span_id)
        );
        assert!(told.hears(30, What::Ended { conversation: TALK, exit: Exit::Served }).is_empty(), "told once");
        assert_eq!((told.book.len(), told.book.offers.len()), (0, 0), "nothing is left of it");
    }

    #[test]
    fn one_contact_above_the_limit_is_not_followed_and_counted() {
        for (contacts, unfollowed) in [(8, 0), (9, 1), (80, 72)] {
            let mut told = Told::new(8);
            for contact in 1..=contacts {
                told.begins(contact, contact);
            }
            assert_eq!((told.book.len(), told.book.unfollowed), (8.min(contacts as usize), unfollowed), "{contacts}");
        }
    }

    #[test]
    fn every_withdrawal_has_its_outcome_and_leaves_no_trace_of_the_offer() {
        let ways = [
            (Rescind::Declined, "declined"),
            (Rescind::Expired, "expired"),
            (Rescind::CustomerLeft, "rescinded"),
            (Rescind::TimedOut, "rescinded"),
            (Rescind::SeatGone, "rescinded"),
        ];
        for (why, outcome) in ways {
            let mut told = Told::new(8);
            told.begins(0, 7);
            told.hears(10, What::Queued { conversation: TALK, queue: QueueName::of("sales") });
            let (seat, offer) = (SeatId(4), OfferId(9));
            assert_eq!(told.hears(20, What::Offered { conversation: TALK, seat, offer, queue: QueueName::of("sales") }), ["wait"]);
            assert_eq!(told.hears(30, What::Withdrawn { seat, offer, why }), ["offer"]);
            let found =
                told.spans.last().and_then(|span| span.attributes.iter().find(|kv| kv.key.as_str() == "tidegate.offer.outcome"));
            assert_eq!(found.map(|kv| kv.value.as_str().into_owned()).as_deref(), Some(outcome));
            assert!(told.hears(40, What::Withdrawn { seat, offer, why }).is_empty(), "withdrawn once");
            assert!(told.book.offers.is_empty());
        }
    }

    #[test]
    fn a_clock_that_is_set_is_followed_and_one_that_drifts_is_not() {
        let mut told = Told::new(8);
        let later = |told: &Told, instant_s, system_s| Anchor {
            instant: told.anchor.instant + Duration::from_secs(instant_s),
            system: told.anchor.system + Duration::from_secs(system_s),
        };
        let small = Anchor { system: later(&told, 60, 60).system + Duration::from_millis(900), ..later(&told, 60, 60) };
        told.book.keep_time(small);
        assert_eq!(told.book.anchor.instant, told.anchor.instant);
        told.begins(0, 7);
        told.book.keep_time(later(&told, 60, 7_200));
        assert_eq!(told.book.anchor.instant, later(&told, 60, 0).instant, "set forward");
        told.book.keep_time(later(&told, 120, 10));
        assert_eq!(told.book.anchor.instant, later(&told, 120, 0).instant, "set back");
        // A trace over both steps is still in order.
        told.hears(130_000, What::Queued { conversation: TALK, queue: QueueName::of("sales") });
        told.hears(131_000, What::Ended { conversation: TALK, exit: Exit::AbandonedWaiting });
        assert!(told.spans.iter().all(|span| span.start_time <= span.end_time));
    }
}
