//! The contract's reference implementation of the ports: numbered transcripts, de-duplication, and the plainest of routers.
//!
//! In memory, one lock, first come first served, one queue. It exists so that the rims can be judged against the contract of
//! `tidegate_model::port` alone; it claims nothing about the real router, which end-to-end tests use. Its dials (busy, frozen)
//! bring about the states in which a rim must show its manners.

use crate::blobs::Memory;
use axum::serve::ListenerExt;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidegate_channels::auth::{Key, KeyRing, TokenAuthority, system_clock};
use tidegate_channels::config::{Config, Inbox};
use tidegate_channels::{Handle, NameTable};
use tidegate_model::input::{FirstOwner, Inbound, InboundAct, SeatAct, SeatInput};
use tidegate_model::output::{Item, Outcome, Presence, Refusal, Rescind, SeatNotice};
use tidegate_model::port::{
    AgentGrant, BoxFuture, Catalogue, Egress, FileFacts, Ingress, OfferContext, OpenClaim, OpenOffer, PortError, SeatPort,
    SeatSink, SeatSnapshot, Standing, TranscriptItem, Watch,
};
use tidegate_model::record::Exit;
use tidegate_model::{
    AccountId, ClaimId, ContactId, ConversationId, EventId, Millis, OfferId, QueueName, ReasonName, SeatId, TenantId, Timestamp,
};
use tokio::sync::watch;

pub const TENANT: TenantId = TenantId(1);
pub const OTHER_TENANT: TenantId = TenantId(2);
pub const ACCOUNT: AccountId = AccountId(7);
pub const QUEUE: QueueName = QueueName::of("retail");

/// Contacts a seat takes at once.
const UNITS: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Owner {
    None,
    Bot,
    Waiting,
    Offered(SeatId, OfferId),
    Served(SeatId, ClaimId),
}

struct Conversation {
    items: Vec<TranscriptItem>,
    contact: ContactId,
    owner: Owner,
    watchers: BTreeMap<u64, Arc<dyn Egress>>,
}

#[derive(Default)]
struct Seat {
    presence: Presence,
    linked: bool,
    offers: BTreeMap<OfferId, ConversationId>,
    claims: BTreeMap<ClaimId, (ContactId, ConversationId, bool)>,
    answered: HashMap<u128, (u64, Outcome)>,
    sink: Option<(u64, Arc<dyn SeatSink>)>,
}

#[derive(Default)]
struct State {
    clock: u64,
    contacts: u64,
    offers: u64,
    watches: u64,
    busy: u32,
    conversations: BTreeMap<ConversationId, Conversation>,
    events: HashMap<EventId, (u64, Outcome)>,
    seats: BTreeMap<SeatId, Seat>,
    waiting: VecDeque<ConversationId>,
    link_acts: Vec<(SeatId, &'static str)>,
    accepted: Vec<EventId>,
    standings: HashMap<ConversationId, Standing>,
    looked_up: u64,
    names: HashMap<ConversationId, Arc<str>>,
    catalogue: Option<Catalogue>,
    typed: u32,
}

/// The reference implementation.
#[derive(Clone)]
pub struct Reference {
    state: Arc<Mutex<State>>,
    frozen: Arc<watch::Sender<bool>>,
    acts: Arc<watch::Sender<usize>>,
}

struct Registration(Box<dyn Fn() + Send + Sync>);
impl Watch for Registration {}
impl Drop for Registration {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn content<T: std::fmt::Debug>(act: &T) -> u64 {
    tidegate_model::name::symbol(&format!("{act:?}"))
}

impl Reference {
    pub fn new() -> Self {
        Self { state: Arc::default(), frozen: Arc::new(watch::Sender::new(false)), acts: Arc::new(watch::Sender::new(0)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next `n` inputs are answered busy.
    pub fn busy(&self, n: u32) {
        self.lock().busy = n;
    }

    /// While frozen no answer is given: inputs are taken when it thaws.
    pub fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }

    /// Where a conversation stands from now on.
    pub fn stands(&self, conversation: &str, standing: Option<Standing>) {
        let id = ConversationId(u128::from_str_radix(conversation, 16).expect("an id"));
        let mut state = self.lock();
        match standing {
            Some(standing) => drop(state.standings.insert(id, standing)),
            None => drop(state.standings.remove(&id)),
        }
    }

    /// How often a standing was looked up.
    pub fn looked_up(&self) -> u64 {
        self.lock().looked_up
    }

    /// Signs of typing that reached the port, both ways.
    pub fn typed(&self) -> u32 {
        self.lock().typed
    }

    /// What desks show from now on; they are told that it changed.
    pub fn policy(&self, catalogue: Catalogue) {
        let mut state = self.lock();
        state.catalogue = Some(catalogue);
        for (_, sink) in state.seats.values().filter_map(|seat| seat.sink.as_ref()) {
            sink.policy_changed();
        }
    }

    /// Link acts of seats so far.
    pub fn link_acts(&self) -> Vec<(SeatId, &'static str)> {
        self.lock().link_acts.clone()
    }

    /// Waits for `n` link acts.
    pub async fn wait_link_acts(&self, n: usize) -> Vec<(SeatId, &'static str)> {
        let mut acts = self.acts.subscribe();
        let came = tokio::time::timeout(Duration::from_secs(30), acts.wait_for(|count| *count >= n)).await;
        assert!(came.is_ok(), "{n} link acts never came: {:?}", self.link_acts());
        self.link_acts()
    }

    /// Bodies of a conversation's messages, in order.
    pub fn bodies(&self, conversation: &str) -> Vec<String> {
        let id = ConversationId(u128::from_str_radix(conversation, 16).expect("an id"));
        let state = self.lock();
        let items = state.conversations.get(&id).map(|c| c.items.as_slice()).unwrap_or_default();
        items.iter().filter(|item| !item.body.is_empty()).map(|item| String::from_utf8_lossy(&item.body).into_owned()).collect()
    }

    /// Files of a conversation, oldest first.
    pub fn files(&self, id: ConversationId) -> Vec<FileFacts> {
        let state = self.lock();
        let items = state.conversations.get(&id).map(|c| c.items.as_slice()).unwrap_or_default();
        items.iter().filter_map(|item| item.file().map(|file| file.facts())).collect()
    }

    /// How many distinct events were taken.
    pub fn accepted(&self) -> usize {
        self.lock().accepted.len()
    }

    /// Writes `count` messages of `bytes` bytes into a conversation, as a seat would, and wakes.
    pub fn flood(&self, conversation: &str, count: u32, bytes: usize) {
        let id = ConversationId(u128::from_str_radix(conversation, 16).expect("an id"));
        let mut state = self.lock();
        for i in 0..count {
            let body = format!("{i:08}{}", "x".repeat(bytes.saturating_sub(8)));
            state.item(id, Item::FromSeat { seat: SeatId(9) }, body.as_bytes());
        }
    }
}

impl State {
    fn item(&mut self, id: ConversationId, item: Item, body: &[u8]) -> u32 {
        self.clock += 1;
        let at = Timestamp(self.clock);
        let empty = || Conversation { items: Vec::new(), contact: ContactId::NONE, owner: Owner::None, watchers: BTreeMap::new() };
        let conversation = self.conversations.entry(id).or_insert_with(empty);
        let n = conversation.items.len() as u32 + 1;
        conversation.items.push(TranscriptItem { n, at, item, body: Arc::from(body) });
        for watcher in conversation.watchers.values() {
            watcher.wake(id, n);
        }
        if let Owner::Served(seat, _) = conversation.owner
            && let Some((_, sink)) = self.seats.get(&seat).and_then(|seat| seat.sink.as_ref())
        {
            sink.wake(id, n);
        }
        n
    }

    fn notify(&self, seat: SeatId, notice: SeatNotice) {
        if let Some((_, sink)) = self.seats.get(&seat).and_then(|seat| seat.sink.as_ref()) {
            sink.notice(notice);
        }
    }

    fn owner(&self, id: ConversationId) -> Owner {
        self.conversations.get(&id).map_or(Owner::None, |c| c.owner)
    }

    fn own(&mut self, id: ConversationId, owner: Owner) {
        if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.owner = owner;
        }
    }

    fn enqueue(&mut self, id: ConversationId, front: bool) {
        self.own(id, Owner::Waiting);
        if front {
            self.waiting.push_front(id)
        } else {
            self.waiting.push_back(id)
        }
        self.item(id, Item::Queued { queue: QUEUE }, b"");
        self.distribute();
    }

    fn distribute(&mut self) {
        loop {
            let free = self
                .seats
                .iter()
                .find(|(_, seat)| seat.presence == Presence::Ready && seat.linked && seat.offers.len() + seat.claims.len() < UNITS);
            let Some(seat) = free.map(|(id, _)| *id) else { return };
            let Some(id) = self.waiting.pop_front() else { return };
            self.offers += 1;
            let offer = OfferId(self.offers << 24 | 1);
            self.own(id, Owner::Offered(seat, offer));
            let contact = self.conversations[&id].contact;
            if let Some(entry) = self.seats.get_mut(&seat) {
                entry.offers.insert(offer, id);
            }
            let (now, timeout) = (Timestamp(self.clock), Millis(20_000));
            let (deadline, waiting_since) = (now + timeout, now);
            self.notify(
                seat,
                SeatNotice::Offered { offer, contact, conversation: id, queue: QUEUE, waiting_since, deadline, timeout },
            );
        }
    }

    fn end(&mut self, id: ConversationId, exit: Exit) {
        self.waiting.retain(|other| *other != id);
        match self.owner(id) {
            Owner::Offered(seat, offer) => {
                if let Some(entry) = self.seats.get_mut(&seat) {
                    entry.offers.remove(&offer);
                }
                self.notify(seat, SeatNotice::Rescinded { offer, why: Rescind::CustomerLeft });
            }
            Owner::Served(seat, claim) => {
                self.item(id, Item::Ended { exit }, b"");
                self.own(id, Owner::None);
                if let Some(entry) = self.seats.get_mut(&seat).and_then(|seat| seat.claims.get_mut(&claim)) {
                    entry.2 = true;
                }
                self.notify(seat, SeatNotice::WrapUp { claim, until: Timestamp(self.clock + 60_000) });
                return;
            }
            _ => {}
        }
        self.own(id, Owner::None);
        self.item(id, Item::Ended { exit }, b"");
        self.distribute();
    }

    fn begin(&mut self, id: ConversationId, with: FirstOwner) -> Outcome {
        if self.owner(id) != Owner::None {
            return Outcome::Refused(Refusal::AlreadyOpen);
        }
        self.contacts += 1;
        let contact = ContactId(self.contacts);
        let n = self.item(id, Item::Began { contact }, b"");
        if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.contact = contact;
        }
        match with {
            FirstOwner::Bot => self.own(id, Owner::Bot),
            FirstOwner::Queue => self.enqueue(id, false),
        }
        Outcome::Done { contact, n }
    }

    fn inbound(&mut self, inbound: &Inbound<'_>) -> Outcome {
        let content = content(&inbound.act);
        if let Some((kept, outcome)) = self.events.get(&inbound.event) {
            return match outcome {
                _ if *kept != content => Outcome::Conflict,
                Outcome::Done { n, .. } => Outcome::Duplicate { n: *n },
                other => *other,
            };
        }
        let id = inbound.conversation;
        let outcome = match inbound.act {
            InboundAct::Begin { request, .. } if !request.queue.is_none() && request.queue != QUEUE => {
                Outcome::Refused(Refusal::UnknownQueue)
            }
            InboundAct::Begin { request, .. } if request.tags[0] == tidegate_model::TagName::of("phantom") => {
                Outcome::Refused(Refusal::Rule(ReasonName::of("phantom record")))
            }
            InboundAct::Begin { with, .. } => self.begin(id, with),
            InboundAct::RequestAgent { .. } if self.owner(id) == Owner::Bot => {
                self.enqueue(id, false);
                Outcome::Done { contact: self.conversations[&id].contact, n: 0 }
            }
            InboundAct::Message { body } => {
                if self.owner(id) == Owner::None {
                    self.begin(id, FirstOwner::Queue);
                }
                let n = self.item(id, Item::FromCustomer, body);
                Outcome::Done { contact: self.conversations[&id].contact, n }
            }
            InboundAct::File { file } => {
                if self.owner(id) == Owner::None {
                    self.begin(id, FirstOwner::Queue);
                }
                let mut body = Vec::new();
                file.encode(&mut body);
                let n = self.item(id, Item::FileFromCustomer, &body);
                Outcome::Done { contact: self.conversations[&id].contact, n }
            }
            InboundAct::Leave if self.owner(id) != Owner::None => {
                let exit = match self.owner(id) {
                    Owner::Bot => Exit::AbandonedWithBot,
                    Owner::Served(..) => Exit::CustomerLeft,
                    _ => Exit::AbandonedWaiting,
                };
                self.end(id, exit);
                Outcome::Done { contact: self.conversations[&id].contact, n: 0 }
            }
            _ => Outcome::Refused(Refusal::NotOpen),
        };
        self.events.insert(inbound.event, (content, outcome));
        self.accepted.push(inbound.event);
        outcome
    }

    fn seat_act(&mut self, input: &SeatInput<'_>) -> Outcome {
        let link = match input.act {
            SeatAct::SignIn => Some("sign_in"),
            SeatAct::SignOut => Some("sign_out"),
            SeatAct::LinkDown => Some("link_down"),
            SeatAct::LinkUp => Some("link_up"),
            SeatAct::LeaseEnd => Some("lease_end"),
            _ => None,
        };
        if input.seat.0 >= 0x1000 {
            return Outcome::Refused(Refusal::UnknownSeat);
        }
        let content = content(&input.act);
        let seat = self.seats.entry(input.seat).or_default();
        if let Some((kept, outcome)) = seat.answered.get(&input.command.0) {
            return match outcome {
                _ if *kept != content => Outcome::Conflict,
                Outcome::Done { n, .. } => Outcome::Duplicate { n: *n },
                other => *other,
            };
        }
        if let Some(link) = link {
            self.link_acts.push((input.seat, link));
        }
        let outcome = self.seat_decide(input);
        if let (Outcome::Done { .. }, Some(seat)) = (outcome, self.seats.get_mut(&input.seat)) {
            seat.answered.insert(input.command.0, (content, outcome));
        }
        outcome
    }

    fn present(&mut self, id: SeatId, presence: Presence) {
        if let Some(seat) = self.seats.get_mut(&id) {
            seat.presence = presence;
        }
        self.notify(id, SeatNotice::Presence { presence });
        self.distribute();
    }

    fn seat_decide(&mut self, input: &SeatInput<'_>) -> Outcome {
        let id = input.seat;
        let Some(seat) = self.seats.get_mut(&id) else { return Outcome::Refused(Refusal::UnknownSeat) };
        let (mut contact, mut n) = (ContactId::NONE, 0);
        if let SeatAct::SignIn = input.act {
            seat.linked = true;
            if seat.presence == Presence::SignedOut {
                self.present(id, Presence::Paused { reason: ReasonName::NONE });
            }
            return Outcome::Done { contact, n };
        }
        if seat.presence == Presence::SignedOut {
            return Outcome::Refused(Refusal::NotSignedIn);
        }
        match input.act {
            SeatAct::Ready => self.present(id, Presence::Ready),
            SeatAct::Pause { reason } => self.present(id, Presence::Paused { reason }),
            SeatAct::LinkDown => seat.linked = false,
            SeatAct::LinkUp => {
                seat.linked = true;
                self.distribute();
            }
            SeatAct::SignOut | SeatAct::LeaseEnd => {
                seat.presence = Presence::SignedOut;
                let back: Vec<ConversationId> = std::mem::take(&mut seat.offers)
                    .into_values()
                    .chain(std::mem::take(&mut seat.claims).into_values().filter(|(.., wrap)| !wrap).map(|(_, id, _)| id))
                    .collect();
                for conversation in back {
                    self.enqueue(conversation, true);
                }
            }
            SeatAct::Accept { offer } => {
                let Some(conversation) = seat.offers.remove(&offer) else { return Outcome::Refused(Refusal::OfferGone) };
                contact = self.conversations[&conversation].contact;
                let claim = offer.claim();
                if let Some(seat) = self.seats.get_mut(&id) {
                    seat.claims.insert(claim, (contact, conversation, false));
                }
                self.own(conversation, Owner::Served(id, claim));
                self.notify(id, SeatNotice::Assigned { claim, contact, conversation });
                self.item(conversation, Item::Assigned { seat: id }, b"");
            }
            SeatAct::Decline { offer, .. } => {
                let Some(conversation) = seat.offers.remove(&offer) else { return Outcome::Refused(Refusal::OfferGone) };
                self.notify(id, SeatNotice::Rescinded { offer, why: Rescind::Declined });
                self.own(conversation, Owner::Waiting);
                self.waiting.push_back(conversation);
            }
            SeatAct::Send { claim, body } => {
                let Some((of, conversation, false)) = seat.claims.get(&claim).copied() else {
                    return Outcome::Refused(Refusal::ClaimGone);
                };
                contact = of;
                n = self.item(conversation, Item::FromSeat { seat: id }, body);
            }
            SeatAct::SendFile { claim, file } => {
                let Some((of, conversation, false)) = seat.claims.get(&claim).copied() else {
                    return Outcome::Refused(Refusal::ClaimGone);
                };
                contact = of;
                let mut body = Vec::new();
                file.encode(&mut body);
                n = self.item(conversation, Item::FileFromSeat { seat: id }, &body);
            }
            SeatAct::End { claim } => {
                let Some((of, conversation, false)) = seat.claims.get(&claim).copied() else {
                    return Outcome::Refused(Refusal::ClaimGone);
                };
                contact = of;
                self.end(conversation, Exit::Served);
            }
            SeatAct::WrapUp { claim, .. } => {
                let Some((.., true)) = seat.claims.get(&claim).copied() else { return Outcome::Refused(Refusal::ClaimGone) };
                seat.claims.remove(&claim);
                self.notify(id, SeatNotice::Released { claim });
                self.distribute();
            }
            SeatAct::Transfer { claim, .. } => {
                let Some((of, conversation, false)) = seat.claims.remove(&claim) else {
                    return Outcome::Refused(Refusal::ClaimGone);
                };
                contact = of;
                self.item(conversation, Item::Transferred, b"");
                self.notify(id, SeatNotice::Released { claim });
                self.enqueue(conversation, true);
            }
            _ => return Outcome::Refused(Refusal::Malformed),
        }
        Outcome::Done { contact, n }
    }

    fn take_busy(&mut self) -> Result<(), PortError> {
        if self.busy == 0 {
            return Ok(());
        }
        self.busy -= 1;
        Err(PortError::Busy { retry_after: Millis(20) })
    }
}

impl Ingress for Reference {
    fn accept(&self, tenant: TenantId, inbound: Inbound<'_>) -> BoxFuture<Result<Outcome, PortError>> {
        if tenant != TENANT {
            return Box::pin(async { Err(PortError::Unknown) });
        }
        // Taken at once, in the order of the calls; the answer waits for the thaw.
        let result = {
            let mut state = self.lock();
            state.take_busy().map(|()| state.inbound(&inbound))
        };
        let mut frozen = self.frozen.subscribe();
        Box::pin(async move {
            let _ = frozen.wait_for(|frozen| !frozen).await;
            result
        })
    }

    fn transcript(
        &self,
        _: TenantId,
        conversation: ConversationId,
        after: u32,
        max: usize,
    ) -> BoxFuture<Result<Vec<TranscriptItem>, PortError>> {
        let state = self.lock();
        let items = match state.conversations.get(&conversation) {
            Some(found) => Ok(found.items.iter().skip(after as usize).take(max).cloned().collect()),
            None => Err(PortError::Unknown),
        };
        Box::pin(async move { items })
    }

    fn standing(&self, _: TenantId, conversation: ConversationId) -> Option<Standing> {
        let mut state = self.lock();
        state.looked_up += 1;
        state.standings.get(&conversation).copied()
    }

    fn typing(&self, _: TenantId, conversation: ConversationId) {
        let mut state = self.lock();
        state.typed += 1;
        if let Owner::Served(seat, _) = state.owner(conversation)
            && let Some((_, sink)) = state.seats.get(&seat).and_then(|seat| seat.sink.as_ref())
        {
            sink.typing(conversation);
        }
    }

    fn introduce(&self, _: TenantId, conversation: ConversationId, name: &str) {
        self.lock().names.insert(conversation, Arc::from(name));
    }

    fn watch(&self, _: TenantId, id: ConversationId, egress: Arc<dyn Egress>) -> Box<dyn Watch> {
        let mut state = self.lock();
        state.watches += 1;
        let key = state.watches;
        let empty = || Conversation { items: Vec::new(), contact: ContactId::NONE, owner: Owner::None, watchers: BTreeMap::new() };
        state.conversations.entry(id).or_insert_with(empty).watchers.insert(key, egress);
        drop(state);
        let this = self.clone();
        Box::new(Registration(Box::new(move || {
            if let Some(conversation) = this.lock().conversations.get_mut(&id) {
                conversation.watchers.remove(&key);
            }
        })))
    }
}

impl SeatPort for Reference {
    fn context(&self, _: TenantId, conversation: ConversationId) -> BoxFuture<Option<OfferContext>> {
        let customer = self.lock().names.get(&conversation).cloned();
        let skills = vec![(tidegate_model::SkillName::of("retail"), tidegate_model::Level(7))];
        let class = tidegate_model::ClassName::of("retail");
        let context = customer.map(|name| OfferContext { account: ACCOUNT, class, skills, returned: true, customer: Some(name) });
        Box::pin(async move { context })
    }

    fn catalogue(&self, _: TenantId, _: SeatId) -> BoxFuture<Option<Catalogue>> {
        let catalogue = self.lock().catalogue.clone();
        Box::pin(async move { catalogue })
    }

    fn typing(&self, _: TenantId, seat: SeatId, conversation: ConversationId) {
        let mut state = self.lock();
        state.typed += 1;
        for watcher in state.conversations.get(&conversation).into_iter().flat_map(|found| found.watchers.values()) {
            watcher.typing(conversation, seat);
        }
    }

    fn command(&self, _: TenantId, input: SeatInput<'_>) -> BoxFuture<Result<Outcome, PortError>> {
        let mut state = self.lock();
        let result = state.take_busy().map(|()| state.seat_act(&input));
        let count = state.link_acts.len();
        drop(state);
        self.acts.send_replace(count);
        let mut frozen = self.frozen.subscribe();
        Box::pin(async move {
            let _ = frozen.wait_for(|frozen| !frozen).await;
            result
        })
    }

    fn snapshot(&self, _: TenantId, id: SeatId) -> BoxFuture<Result<SeatSnapshot, PortError>> {
        let state = self.lock();
        let at = Timestamp(state.clock);
        let snapshot = state.seats.get(&id).map(|seat| SeatSnapshot {
            presence: seat.presence,
            at,
            offers: seat
                .offers
                .iter()
                .map(|(offer, conversation)| OpenOffer {
                    offer: *offer,
                    contact: state.conversations[conversation].contact,
                    conversation: *conversation,
                    queue: QUEUE,
                    waiting_since: at,
                    deadline: at + Millis(20_000),
                })
                .collect(),
            claims: seat
                .claims
                .iter()
                .map(|(claim, (contact, conversation, wrap))| OpenClaim {
                    claim: *claim,
                    contact: *contact,
                    conversation: *conversation,
                    wrap_up_until: wrap.then_some(at),
                    n: state.conversations[conversation].items.len() as u32,
                })
                .collect(),
        });
        Box::pin(async move { snapshot.ok_or(PortError::Unknown) })
    }

    fn watch(&self, _: TenantId, id: SeatId, sink: Arc<dyn SeatSink>) -> Box<dyn Watch> {
        let mut state = self.lock();
        state.watches += 1;
        let key = state.watches;
        let before = state.seats.entry(id).or_default().sink.replace((key, sink));
        drop(state);
        if let Some((_, before)) = before {
            before.replaced();
        }
        let this = self.clone();
        Box::new(Registration(Box::new(move || {
            if let Some(seat) = this.lock().seats.get_mut(&id)
                && seat.sink.as_ref().is_some_and(|(other, _)| *other == key)
            {
                seat.sink = None;
            }
        })))
    }
}

/// A served rim with its reference router.
pub struct Stand {
    pub base: String,
    pub address: SocketAddr,
    pub port: Reference,
    pub blobs: Memory,
    pub handle: Handle,
    pub authority: Arc<TokenAuthority>,
    pub site_keys: KeyRing,
}

pub fn ring(secret: u8) -> KeyRing {
    KeyRing::new(vec![Key::new(format!("k{secret}"), vec![secret; 32])]).expect("a good ring")
}

pub async fn stand() -> Stand {
    stand_with(|_| {}).await
}

pub async fn stand_with(change: impl FnOnce(&mut Config)) -> Stand {
    let port = Reference::new();
    let blobs = Memory::new(port.clone(), 0);
    stand_on(port, blobs, change).await
}

/// A stand that takes files of up to `largest` bytes.
pub async fn stand_files(largest: u64, change: impl FnOnce(&mut Config)) -> Stand {
    let port = Reference::new();
    let blobs = Memory::new(port.clone(), largest);
    let kept = blobs.clone();
    stand_on(port, blobs, |config| {
        config.blobs = Some(Arc::new(kept));
        change(config);
    })
    .await
}

async fn stand_on(port: Reference, blobs: Memory, change: impl FnOnce(&mut Config)) -> Stand {
    let authority = Arc::new(TokenAuthority::new(ring(1), system_clock()));
    let site_keys = ring(2);
    let inbox = |name: &str, account, verified_only| Inbox {
        name: name.to_owned(),
        tenant: TENANT,
        account,
        origins: vec!["https://shop.example".to_owned()],
        verified_only,
        site_keys: Some(site_keys.clone()),
        face: tidegate_channels::config::Face::named(name),
    };
    let inboxes = vec![inbox("shop", ACCOUNT, false), inbox("bank", AccountId(8), true)];
    let mut config = Config::new(inboxes, Arc::clone(&authority), NameTable::new(["retail", "phantom record"]));
    config.desk_origins = vec!["https://desk.example".to_owned()];
    config.desk.lease = Duration::from_millis(200);
    // Tests speak faster than people.
    (config.web.frames_per_second, config.web.frames_burst) = (100_000, 100_000);
    (config.desk.frames_per_second, config.desk.frames_burst) = (100_000, 100_000);
    change(&mut config);
    let auth = Arc::clone(&authority);
    let (router, handle) =
        tidegate_channels::router(config, Arc::new(port.clone()), Arc::new(port.clone()), auth).expect("a good configuration");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    // Without this each small frame would wait for the acknowledgement of the one before: 40 ms a turn.
    let listener = listener.tap_io(|socket| socket.set_nodelay(true).expect("a live socket"));
    tokio::spawn(async move { axum::serve(listener, router).await.expect("served") });
    Stand { base: format!("http://{address}"), address, port, blobs, handle, authority, site_keys }
}

impl Stand {
    pub async fn session(&self, visitor: &str) -> tidegate_channels::client::Visitor {
        let new = tidegate_channels::client::NewVisitor {
            inbox: "shop".to_owned(),
            visitor: Some(visitor.to_owned()),
            ..Default::default()
        };
        tidegate_channels::client::open_session(&self.base, &new).await.expect("a session")
    }

    pub fn agent_token(&self, seat: u64) -> String {
        self.authority.mint_agent(&AgentGrant { tenant: TENANT, seat: SeatId(seat) }, 600).expect("a token")
    }

    /// Waits until a counter has reached a value.
    pub async fn wait_count(&self, name: &str, value: u64) {
        self.wait(|stand| stand.handle.count(name) >= value, name).await;
    }

    /// Waits until a gauge has fallen to a value.
    pub async fn wait_gauge(&self, name: &str, value: usize) {
        let used = |stand: &Self| stand.handle.gauges().into_iter().find(|gauge| gauge.name == name).map(|gauge| gauge.used);
        self.wait(|stand| used(stand) == Some(value), name).await;
    }

    async fn wait(&self, done: impl Fn(&Self) -> bool, what: &str) {
        let mut pauses = 0;
        while !done(self) {
            pauses += 1;
            assert!(pauses < 6_000, "{what} never came; counters {:?}", self.handle.counters());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Default count of a repeated test, or ten times it and more at night.
pub fn scaled(by_day: usize, by_night: usize) -> usize {
    if std::env::var_os("TIDEGATE_NIGHTLY").is_some() { by_night } else { by_day }
}
