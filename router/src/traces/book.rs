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
