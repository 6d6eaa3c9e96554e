//! A desk's connection as a machine: text frames, notices and time in; frames and port calls out. No socket, clock, runtime.
//!
//! Driven as the web's machine: everything comes in by `on_*`, [`Machine::poll`] is drained, acts are carried out in order.
//! The machine keeps what its desk believes (offers, claims, and for each conversation served the newest number sent), so
//! that a snapshot can replace it at any moment: what the snapshot already told is not told again by a notice that was on its
//! way, and transcripts go on from the number where they stood. Only conversations of the seat's own claims are read: the
//! right to read moves with the assignment.

use crate::bucket::Bucket;
use crate::config::DeskLimits;
use crate::desk::frame::{Cards, Command, DeskAct, DeskFrame, OfferCard, ServerFrame, answer, decode, notice, snapshot};
use crate::item;
use crate::names::NameTable;
use crate::problem::Problem;
use crate::web::frame::BadFrame;
use crate::web::machine::{TYPING_EVERY, close};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tidegate_model::output::{Outcome, Refusal, SeatNotice};
use tidegate_model::port::{AgentGrant, PortError, SeatSnapshot, TranscriptItem};
use tidegate_model::{ClaimId, ConversationId, Millis, OfferId, Timestamp};

const AGAIN: Millis = Millis(50);
const OUT_MAX: usize = 64;
/// Close code of a desk that another one replaced.
pub const REPLACED: u16 = 4001;

/// What the machine asks for.
#[derive(Clone, PartialEq, Debug)]
pub enum Act {
    /// Check the token and bind the seat; answer by [`Machine::on_bound`].
    Bind {
        /// The agent's token.
        token: String,
        /// The resume token, if the desk has one.
        resume: Option<String>,
    },
    /// Read the seat; answer by [`Machine::on_snapshot`].
    Snapshot {
        /// Whose.
        grant: AgentGrant,
    },
    /// Hand this to the router; answer by [`Machine::on_outcome`].
    Submit {
        /// Whose.
        grant: AgentGrant,
        /// The command.
        command: Command,
    },
    /// Read items; answer by [`Machine::on_page`].
    Fetch {
        /// Whose.
        grant: AgentGrant,
        /// Of which conversation.
        conversation: ConversationId,
        /// After which number.
        after: u32,
        /// At most so many.
        max: usize,
    },
    /// Read what the desk shows to choose from; answer by [`Machine::on_catalogue`].
    Catalogue {
        /// Whose.
        grant: AgentGrant,
    },
    /// The agent is writing: pass it on.
    Typing {
        /// Whose.
        grant: AgentGrant,
        /// In which conversation.
        conversation: ConversationId,
    },
    /// Send a text frame.
    Send(String),
    /// Send an item, as a text frame.
    SendItem(String),
    /// Send a WebSocket ping.
    Ping,
    /// The agent signed out: the seat needs no lease.
    SignedOut,
    /// Close and forget.
    Close {
        /// The code.
        code: u16,
        /// A short reason for people.
        reason: &'static str,
    },
}

/// A seat that was bound to this connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bound {
    /// Who.
    pub grant: AgentGrant,
    /// Token for the next time.
    pub resume: String,
    /// Whether it had waited.
    pub resumed: bool,
}

#[derive(Debug)]
enum Phase {
    SignIn,
    Binding,
    Open { grant: AgentGrant },
    Closed,
}

#[derive(Debug, Default)]
struct Cursor {
    sent: u32,
    known: u32,
    dirty: bool,
    /// The seat serves it no more: what is known is sent, then the cursor goes.
    leaving: bool,
    again_at: Option<Timestamp>,
    /// When a sign of typing went on, each way.
    typed_at: Option<Timestamp>,
    told_typing_at: Option<Timestamp>,
}

impl Cursor {
    fn wants(&self) -> bool {
        self.again_at.is_none() && (self.known > self.sent || (self.dirty && !self.leaving))
    }

    fn done(&self) -> bool {
        self.leaving && self.known <= self.sent
    }
}

/// The machine.
#[derive(Debug)]
pub struct Machine {
    limits: DeskLimits,
    names: Arc<NameTable>,
    phase: Phase,
    started: Timestamp,
    heard: Timestamp,
    pinged: bool,
    bucket: Bucket,
    strikes: u32,
    pending: VecDeque<Command>,
    in_flight: Option<(String, bool)>,
    out: VecDeque<Act>,
    named: BTreeMap<ConversationId, u32>,
    reading_snapshot: bool,
    snapshot_wanted: bool,
    told: bool,
    catalogue_wanted: bool,
    offers: BTreeSet<OfferId>,
    cards: Cards,
    claims: BTreeMap<ClaimId, ConversationId>,
    cursors: BTreeMap<ConversationId, Cursor>,
    turn: ConversationId,
    fetching: Option<ConversationId>,
    page: Option<(ConversationId, std::vec::IntoIter<TranscriptItem>)>,
    draining: Option<Millis>,
}

impl Machine {
    /// A machine for a connection opened at `now`.
    pub fn new(limits: DeskLimits, names: Arc<NameTable>, now: Timestamp) -> Self {
        Self {
            bucket: Bucket::new(limits.frames_per_second, limits.frames_burst, now),
            limits,
            names,
            phase: Phase::SignIn,
            started: now,
            heard: now,
            pinged: false,
            strikes: 0,
            pending: VecDeque::new(),
            in_flight: None,
            out: VecDeque::new(),
            named: BTreeMap::new(),
            reading_snapshot: false,
            snapshot_wanted: false,
            told: false,
            catalogue_wanted: false,
            offers: BTreeSet::new(),
            cards: Cards::new(),
            claims: BTreeMap::new(),
            cursors: BTreeMap::new(),
            turn: ConversationId(0),
            fetching: None,
            page: None,
            draining: None,
        }
    }

    /// Whether the socket should be read.
    pub fn wants_input(&self) -> bool {
        let ready = matches!(self.phase, Phase::SignIn | Phase::Open { .. });
        ready && self.draining.is_none() && self.pending.len() < self.limits.pending && self.out.len() < OUT_MAX
    }

    /// Whether notices may be handed over: not before the first snapshot, nor while one is being read.
    pub fn wants_notices(&self) -> bool {
        matches!(self.phase, Phase::Open { .. }) && self.told && !self.reading_snapshot && !self.snapshot_wanted
    }

    /// Commands waiting for the router, the one in flight included.
    pub fn pending(&self) -> usize {
        self.pending.len() + usize::from(self.in_flight.is_some())
    }

    /// Whether it has closed.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// A text message came. Returns whether it was taken.
    pub fn on_frame(&mut self, now: Timestamp, bytes: &[u8]) -> bool {
        self.on_heard(now);
        if self.is_closed() {
            return false;
        }
        let limited = self.bucket.take(now);
        let decoded = decode(bytes, &self.names);
        if let Err(span) = limited {
            self.strike(span, decoded.ok());
            return false;
        }
        self.strikes = 0;
        match decoded {
            Ok(frame) => self.take(now, frame),
            Err(BadFrame { id, problem }) => {
                self.refuse(id.as_deref(), &problem);
                if matches!(self.phase, Phase::SignIn) {
                    self.close(close::POLICY, "sign_in expected");
                }
                false
            }
        }
    }

    fn strike(&mut self, span: Millis, frame: Option<DeskFrame>) {
        self.strikes += 1;
        if self.strikes > self.limits.strikes {
            self.close(close::POLICY, "too many frames");
        } else if let Some(DeskFrame::Command(command)) = frame {
            self.busy(Some(&command.command_id), span);
        } else if self.strikes == 1 {
            self.busy(None, span);
        }
    }

    fn take(&mut self, now: Timestamp, frame: DeskFrame) -> bool {
        match (frame, &self.phase) {
            (DeskFrame::Ping, _) => {
                self.out.push_back(Act::Send(ServerFrame::Pong.text()));
                true
            }
            (DeskFrame::SignIn { token, resume, after }, Phase::SignIn) => {
                self.named = after.into_iter().collect();
                self.phase = Phase::Binding;
                self.out.push_back(Act::Bind { token, resume });
                true
            }
            (DeskFrame::SignIn { .. }, _) => self.refuse(None, &Problem::order("signed in already")),
            (_, Phase::SignIn) => {
                self.refuse(None, &Problem::order("sign in first"));
                self.close(close::POLICY, "sign_in expected");
                false
            }
            (DeskFrame::Command(command), Phase::Open { .. }) => {
                if self.pending.len() >= self.limits.pending || self.draining.is_some() {
                    self.busy(Some(&command.command_id), Millis(1_000));
                    return false;
                }
                self.pending.push_back(command);
                self.submit_next();
                true
            }
            (DeskFrame::Command(command), _) => self.refuse(Some(&command.command_id), &Problem::order("wait for the welcome")),
            (DeskFrame::Follow { conversation, after }, _) => match self.cursors.get_mut(&conversation) {
                Some(cursor) if !cursor.leaving && after <= cursor.sent => {
                    if self.page.as_ref().is_some_and(|(of, _)| *of == conversation) {
                        self.page = None;
                    }
                    if self.fetching == Some(conversation) {
                        // The page on its way begins elsewhere: it is thrown away when it comes.
                        self.fetching = Some(ConversationId(0));
                    }
                    cursor.known = cursor.known.max(cursor.sent);
                    cursor.sent = after;
                    cursor.dirty = true;
                    true
                }
                Some(cursor) if !cursor.leaving => {
                    let newest = cursor.sent;
                    self.refuse(None, &Problem::field("after", format!("after is {after}, but {newest} is the newest item sent")))
                }
                _ => {
                    let problem = Problem::of("foreign-conversation", "only conversations of own claims are read");
                    self.refuse(None, &problem.at("conversation"))
                }
            },
            // Ephemeral: never logged and first to be dropped. A claim that has just ended is no mistake of the agent's.
            (DeskFrame::Typing { claim }, Phase::Open { grant }) => {
                if let Some(conversation) = self.claims.get(&claim)
                    && let Some(cursor) = self.cursors.get_mut(conversation)
                    && !cursor.leaving
                    && cursor.typed_at.is_none_or(|last| now >= last + TYPING_EVERY)
                {
                    cursor.typed_at = Some(now);
                    self.out.push_back(Act::Typing { grant: grant.clone(), conversation: *conversation });
                }
                true
            }
            (DeskFrame::Typing { .. }, _) => true,
        }
    }

    fn busy(&mut self, id: Option<&str>, retry_after: Millis) {
        self.out.push_back(Act::Send(ServerFrame::Busy { command_id: id, retry_after_ms: retry_after.0 }.text()));
    }

    fn refuse(&mut self, id: Option<&str>, problem: &Problem) -> bool {
        self.out.push_back(Act::Send(ServerFrame::Error { command_id: id, problem }.text()));
        false
    }

    fn submit_next(&mut self) {
        let Phase::Open { grant } = &self.phase else { return };
        if self.in_flight.is_some() {
            return;
        }
        let Some(command) = self.pending.pop_front() else { return };
        self.in_flight = Some((command.command_id.clone(), command.act == DeskAct::SignOut));
        self.out.push_back(Act::Submit { grant: grant.clone(), command });
    }

    /// Anything came from the desk.
    pub fn on_heard(&mut self, now: Timestamp) {
        self.heard = Timestamp(self.heard.0.max(now.0));
        self.pinged = false;
    }

    /// The seat was bound, or not. Register the sink before calling this: the snapshot follows.
    pub fn on_bound(&mut self, result: Result<Bound, Problem>) {
        if !matches!(self.phase, Phase::Binding) {
            return;
        }
        match result {
            Ok(Bound { grant, resume, resumed }) => {
                let seat = grant.seat.to_string();
                let welcome = ServerFrame::Welcome { seat, resume: &resume, resumed, lease_s: self.limits.lease.as_secs() };
                self.out.push_back(Act::Send(welcome.text()));
                self.phase = Phase::Open { grant };
                self.snapshot_wanted = true;
                self.catalogue_wanted = true;
            }
            Err(problem) => {
                let code = if problem.retry_after.is_some() { close::TRY_LATER } else { close::POLICY };
                self.refuse(None, &problem);
                self.close(code, "not signed in");
            }
        }
    }

    /// Notices were lost: read the seat anew.
    pub fn on_overflow(&mut self) {
        self.snapshot_wanted = true;
    }

    /// Another policy is active.
    pub fn on_policy_changed(&mut self) {
        self.catalogue_wanted = true;
    }

    /// The catalogue was read: its frame, or nothing when it could not be.
    pub fn on_catalogue(&mut self, frame: Option<String>) {
        if let (Phase::Open { .. }, Some(text)) = (&self.phase, frame) {
            self.out.push_back(Act::Send(text));
        }
    }

    /// What to tell beside an offer; hand it over just before its notice, or before the snapshot.
    pub fn on_card(&mut self, conversation: ConversationId, card: OfferCard) {
        self.cards.insert(conversation, card);
    }

    /// The customer of a conversation is writing; passed over when the seat does not serve it.
    pub fn on_typing(&mut self, now: Timestamp, conversation: ConversationId) {
        if self.out.len() < OUT_MAX
            && let Some(cursor) = self.cursors.get_mut(&conversation)
            && !cursor.leaving
            && cursor.told_typing_at.is_none_or(|last| now >= last + TYPING_EVERY)
        {
            cursor.told_typing_at = Some(now);
            let conversation = item::conversation_text(conversation);
            self.out.push_back(Act::Send(ServerFrame::Typing { conversation }.text()));
        }
    }

    /// The seat was read.
    pub fn on_snapshot(&mut self, result: Result<SeatSnapshot, PortError>) {
        if !std::mem::take(&mut self.reading_snapshot) || !matches!(self.phase, Phase::Open { .. }) {
            return;
        }
        let seat = match result {
            Ok(seat) => seat,
            Err(error) => {
                self.refuse(None, &Problem::port(&error));
                return self.close(close::TRY_LATER, "the seat cannot be read");
            }
        };
        self.told = true;
        self.offers = seat.offers.iter().map(|open| open.offer).collect();
        self.claims = seat.claims.iter().map(|open| (open.claim, open.conversation)).collect();
        self.out.push_back(Act::Send(snapshot(&seat, &self.cards, &self.names)));
        self.cards.clear();
        for open in &seat.claims {
            self.follow(open.conversation, open.n);
        }
        self.named.clear();
        let served: BTreeSet<ConversationId> = self.claims.values().copied().collect();
        for (conversation, cursor) in &mut self.cursors {
            cursor.leaving |= !served.contains(conversation);
        }
        self.cursors.retain(|_, cursor| !cursor.done());
    }

    fn follow(&mut self, conversation: ConversationId, newest: u32) {
        if let Some(cursor) = self.cursors.get_mut(&conversation) {
            cursor.known = cursor.known.max(newest);
            cursor.leaving = false;
            cursor.dirty = true;
            return;
        }
        if self.cursors.len() >= self.limits.conversations {
            let detail = format!("more than {} conversations at once: this one is not followed", self.limits.conversations);
            self.refuse(None, &Problem::of("too-many", detail));
            return;
        }
        let mut sent = self.named.get(&conversation).copied().unwrap_or(0);
        if sent > newest {
            let detail = format!(
                "item {sent} is not in conversation {}: everything is sent again from 1",
                item::conversation_text(conversation)
            );
            self.refuse(None, &Problem::of("resume-ahead", detail).at("after"));
            sent = 0;
        }
        self.cursors.insert(conversation, Cursor { sent, known: newest, dirty: true, ..Cursor::default() });
    }

    /// A notice of the seat; hand it over only while [`Self::wants_notices`].
    pub fn on_notice(&mut self, notice_in: &SeatNotice) {
        if self.is_closed() {
            return;
        }
        let news = match *notice_in {
            SeatNotice::Offered { offer, .. } => self.offers.insert(offer),
            SeatNotice::Rescinded { offer, .. } => self.offers.remove(&offer),
            SeatNotice::Assigned { claim, conversation, .. } => {
                self.offers.remove(&claim.offer());
                let new = self.claims.insert(claim, conversation).is_none();
                if new {
                    self.follow(conversation, 0);
                }
                new
            }
            SeatNotice::WrapUp { claim, .. } => self.claims.contains_key(&claim),
            SeatNotice::Released { claim } => match self.claims.remove(&claim) {
                Some(conversation) => {
                    if !self.claims.values().any(|other| *other == conversation)
                        && let Some(cursor) = self.cursors.get_mut(&conversation)
                    {
                        cursor.leaving = true;
                    }
                    true
                }
                None => false,
            },
            _ => true,
        };
        let card = match *notice_in {
            SeatNotice::Offered { conversation, .. } => self.cards.remove(&conversation),
            _ => None,
        };
        if news && let Some(text) = notice(notice_in, card, &self.names) {
            self.out.push_back(Act::Send(text));
        }
    }

    /// A conversation has items up to `n`; passed over when the seat does not serve it.
    pub fn on_wake(&mut self, conversation: ConversationId, n: u32) {
        if let Some(cursor) = self.cursors.get_mut(&conversation)
            && !cursor.leaving
        {
            cursor.known = cursor.known.max(n);
            cursor.again_at = None;
        }
    }

    /// Another desk signed in on the seat.
    pub fn on_replaced(&mut self) {
        if !self.is_closed() {
            self.out.push_back(Act::Send(ServerFrame::Replaced.text()));
            self.close(REPLACED, "another desk signed in on this seat");
        }
    }

    /// The router answered the command in flight.
    pub fn on_outcome(&mut self, result: Result<Outcome, PortError>) {
        let Some((id, signs_out)) = self.in_flight.take() else { return };
        match result {
            Ok(outcome) => {
                let reason = match outcome {
                    Outcome::Refused(Refusal::Rule(reason)) => self.names.text(reason.0),
                    _ => None,
                };
                match answer(&id, outcome, reason.as_deref()) {
                    Ok(frame) => {
                        self.out.push_back(Act::Send(frame.text()));
                        if signs_out {
                            self.out.push_back(Act::SignedOut);
                            self.close(close::NORMAL, "signed out");
                        }
                    }
                    Err(problem) => drop(self.refuse(Some(&id), &problem)),
                }
            }
            Err(PortError::Busy { retry_after }) => {
                self.busy(Some(&id), retry_after);
                self.give_back(retry_after);
            }
            Err(error @ (PortError::Closed | PortError::LogFailed)) => {
                self.refuse(Some(&id), &Problem::port(&error));
                self.give_back(Millis(1_000));
                self.close(close::RESTART, "this node takes nothing more");
            }
            Err(error) => drop(self.refuse(Some(&id), &Problem::port(&error))),
        }
        self.submit_next();
        self.end_drain();
    }

    fn give_back(&mut self, retry_after: Millis) {
        while let Some(command) = self.pending.pop_front() {
            self.busy(Some(&command.command_id), retry_after);
        }
    }

    /// Items were read.
    pub fn on_page(&mut self, now: Timestamp, result: Result<Vec<TranscriptItem>, PortError>) {
        let Some(conversation) = self.fetching.take() else { return };
        let Some(cursor) = self.cursors.get_mut(&conversation) else { return };
        match result {
            Ok(items) if items.is_empty() => {
                cursor.dirty = false;
                if cursor.known > cursor.sent {
                    cursor.again_at = Some(now + AGAIN);
                }
            }
            Ok(items) => {
                cursor.dirty = items.len() >= self.limits.page;
                self.page = Some((conversation, items.into_iter()));
            }
            Err(PortError::Unknown) => cursor.again_at = Some(now + AGAIN),
            Err(PortError::Busy { retry_after }) => cursor.again_at = Some(now + retry_after),
            Err(error) => {
                self.refuse(None, &Problem::port(&error));
                self.close(close::TRY_LATER, "a transcript cannot be read");
            }
        }
    }

    /// Time has passed.
    pub fn on_time(&mut self, now: Timestamp) {
        for cursor in self.cursors.values_mut() {
            if cursor.again_at.is_some_and(|at| now >= at) {
                cursor.again_at = None;
                cursor.dirty = true;
            }
        }
        match self.phase {
            Phase::Closed => {}
            Phase::SignIn if now >= self.started + self.limits.hello => self.close(close::POLICY, "no sign_in in time"),
            _ if now >= self.heard + Millis(self.limits.ping.0.saturating_mul(2)) => {
                self.close(close::POLICY, "silent for too long")
            }
            _ if !self.pinged && now >= self.heard + self.limits.ping => {
                self.pinged = true;
                self.out.push_back(Act::Ping);
            }
            _ => {}
        }
    }

    /// When [`Self::on_time`] is wanted next.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let life = match self.phase {
            Phase::Closed => return None,
            Phase::SignIn => self.started + self.limits.hello,
            _ => Timestamp::NEVER,
        };
        let ping = self.heard + Millis(self.limits.ping.0.saturating_mul(if self.pinged { 2 } else { 1 }));
        let again = self.cursors.values().filter_map(|cursor| cursor.again_at).min();
        Some(life.min(ping).min(again.unwrap_or(Timestamp::NEVER)))
    }

    /// The node goes down.
    pub fn on_drain(&mut self, retry_after: Millis) {
        if self.draining.is_none() && !self.is_closed() {
            self.draining = Some(retry_after);
            self.give_back(retry_after);
            self.end_drain();
        }
    }

    fn end_drain(&mut self) {
        if let (Some(retry_after), None) = (self.draining, &self.in_flight)
            && !self.is_closed()
        {
            self.out.push_back(Act::Send(ServerFrame::Bye { retry_after_ms: retry_after.0 }.text()));
            self.close(close::RESTART, "this node is going down");
        }
    }

    /// The transport found a fault.
    pub fn on_fault(&mut self, code: u16, reason: &'static str) {
        self.close(code, reason);
    }

    fn close(&mut self, code: u16, reason: &'static str) {
        if !self.is_closed() {
            self.phase = Phase::Closed;
            self.page = None;
            self.pending.clear();
            self.out.push_back(Act::Close { code, reason });
        }
    }

    /// The next thing to do; `None` when there is nothing until something comes in.
    pub fn poll(&mut self) -> Option<Act> {
        if let Some(act) = self.out.pop_front() {
            return Some(act);
        }
        let Phase::Open { grant } = &self.phase else { return None };
        let grant = grant.clone();
        if self.snapshot_wanted && !self.reading_snapshot {
            self.snapshot_wanted = false;
            self.reading_snapshot = true;
            return Some(Act::Snapshot { grant });
        }
        if self.catalogue_wanted {
            self.catalogue_wanted = false;
            return Some(Act::Catalogue { grant });
        }
        if let Some(text) = self.next_item() {
            return Some(text);
        }
        if self.fetching.is_none() && self.page.is_none() {
            // Round robin: one long transcript does not hold up the others.
            let next = self.cursors.range(ConversationId(self.turn.0.wrapping_add(1))..).find(|(_, cursor)| cursor.wants());
            let next = next.or_else(|| self.cursors.iter().find(|(_, cursor)| cursor.wants()));
            if let Some((conversation, cursor)) = next {
                let (conversation, after) = (*conversation, cursor.sent);
                self.turn = conversation;
                self.fetching = Some(conversation);
                return Some(Act::Fetch { grant, conversation, after, max: self.limits.page });
            }
        }
        self.out.pop_front()
    }

    fn next_item(&mut self) -> Option<Act> {
        let (conversation, items) = self.page.as_mut()?;
        let conversation = *conversation;
        let found = match self.cursors.get_mut(&conversation) {
            Some(cursor) => items.find(|item| item.n > cursor.sent).map(|item| (item, cursor)),
            None => None,
        };
        let Some((item, cursor)) = found else {
            self.page = None;
            self.cursors.retain(|_, cursor| !cursor.done());
            return None;
        };
        if item.n != cursor.sent + 1 {
            self.close(close::INTERNAL, "a gap in a transcript");
            return self.out.pop_front();
        }
        if cursor.leaving && item.n > cursor.known {
            // Written after the contact had left this seat: not for this desk.
            self.page = None;
            self.cursors.remove(&conversation);
            return None;
        }
        cursor.sent = item.n;
        Some(Act::SendItem(item::frame(&item, Some(conversation), &self.names)))
    }
}
