//! A customer's connection as a machine: text frames and time in; frames and port calls out. No socket, clock or runtime.
//!
//! Drive it: [`Machine::on_frame`] and the other `on_*` bring things in, then [`Machine::poll`] is drained to `None`; each
//! [`Act`] is carried out in order, sends included, before the next is asked for. That is the credit: at most one page of
//! items is held, and none is asked for while an earlier one has not been sent. [`Machine::wants_input`] says whether to read
//! the socket; when it does not, the client is held by its own transport. One act is with the router at a time, so that a
//! connection's acts are decided in the order in which they came.
//!
//! Where a waiting contact stands is asked for by the connection itself, at its own pace ([`STANDING_EVERY`]) and never
//! because somebody else moved: ten thousand who wait cost ten thousand look-ups in that span, spread over it, whatever happens.

use crate::bucket::Bucket;
use crate::config::WebLimits;
use crate::item;
use crate::names::NameTable;
use crate::problem::Problem;
use crate::web::frame::{BadFrame, ClientFrame, ServerFrame, StandingFrame, Submission, answer, busy, decode};
use std::collections::VecDeque;
use std::sync::Arc;
use tidegate_model::output::{Item, Outcome, Refusal};
use tidegate_model::port::{CustomerGrant, PortError, Standing, TranscriptItem};
use tidegate_model::{Millis, SeatId, Timestamp};

/// Pause before an empty page is asked for again although a wake promised more.
const AGAIN: Millis = Millis(50);
/// A standing is looked up and told at most once in this span.
pub const STANDING_EVERY: Millis = Millis(2_000);
/// Connections look up at moments of their own within this span, so that many that opened at once drift apart.
const STANDING_SPREAD_MS: u64 = 256;
/// A sign of typing goes on at most once in this span, either way.
pub const TYPING_EVERY: Millis = Millis(2_000);
/// Frames that may wait to be sent, items apart, before the machine stops reading.
const OUT_MAX: usize = 32;

/// Close codes of RFC 6455 and the IANA registry.
pub mod close {
    /// Done.
    pub const NORMAL: u16 = 1000;
    /// Text that is not UTF-8.
    pub const NOT_UTF8: u16 = 1007;
    /// Against the rules: no hello, bad token, too fast, silent.
    pub const POLICY: u16 = 1008;
    /// A message past the limit.
    pub const TOO_BIG: u16 = 1009;
    /// A fault of ours.
    pub const INTERNAL: u16 = 1011;
    /// This node is going down.
    pub const RESTART: u16 = 1012;
    /// Too slow, or no place: try again later.
    pub const TRY_LATER: u16 = 1013;
}

/// What the machine asks for.
#[derive(Clone, PartialEq, Debug)]
pub enum Act {
    /// Check this token; answer by [`Machine::on_admission`].
    Check {
        /// The token.
        token: String,
    },
    /// Register for wakes of the conversation; they come by [`Machine::on_wake`].
    Watch {
        /// Whose.
        grant: CustomerGrant,
    },
    /// Hand this to the router; answer by [`Machine::on_outcome`].
    Submit {
        /// Whose.
        grant: CustomerGrant,
        /// The act.
        submission: Submission,
    },
    /// Read items after a number; answer by [`Machine::on_page`].
    Fetch {
        /// Whose.
        grant: CustomerGrant,
        /// After which.
        after: u32,
        /// At most so many.
        max: usize,
    },
    /// Look up where the contact stands; answer by [`Machine::on_standing`], at once.
    Standing {
        /// Whose.
        grant: CustomerGrant,
    },
    /// The customer is writing: pass it on.
    Typing {
        /// Whose.
        grant: CustomerGrant,
    },
    /// Send a text frame.
    Send(String),
    /// Send an item, as a text frame.
    SendItem(String),
    /// Send a WebSocket ping.
    Ping,
    /// Close and forget.
    Close {
        /// The code.
        code: u16,
        /// A short reason for people.
        reason: &'static str,
    },
}

/// A token that was found good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admission {
    /// Who.
    pub grant: CustomerGrant,
    /// Whether this one may write: anonymous visitors of a verified-only inbox may not.
    pub may_write: bool,
}

#[derive(Debug)]
enum Phase {
    Hello,
    Checking {
        after: u32,
    },
    /// The number that the client named is looked up: somebody who is ahead of the transcript must be told.
    Resuming {
        admission: Admission,
        after: u32,
    },
    Open {
        admission: Admission,
    },
    Closed,
}

/// The machine.
#[derive(Debug)]
pub struct Machine {
    limits: WebLimits,
    names: Arc<NameTable>,
    phase: Phase,
    started: Timestamp,
    started_wall: Timestamp,
    heard: Timestamp,
    pinged: bool,
    bucket: Bucket,
    strikes: u32,
    pending: VecDeque<Submission>,
    in_flight: Option<String>,
    out: VecDeque<Act>,
    page: std::vec::IntoIter<TranscriptItem>,
    fetching: bool,
    dirty: bool,
    again_at: Option<Timestamp>,
    sent_n: u32,
    known_n: u32,
    shown_n: u32,
    standing: StandingWatch,
    typed_at: Option<Timestamp>,
    told_typing_at: Option<Timestamp>,
    draining: Option<Millis>,
}

/// What the page was told of its standing, and when to look again.
#[derive(Debug, Default)]
struct StandingWatch {
    /// The contact waits, as far as items and look-ups say.
    waits: bool,
    wanted: bool,
    look_at: Option<Timestamp>,
    told: Option<Standing>,
    told_at: Option<Timestamp>,
}

impl Machine {
    /// A machine for a connection opened at `now` (any origin), when the wall clock showed `wall`.
    pub fn new(limits: WebLimits, names: Arc<NameTable>, now: Timestamp, wall: Timestamp) -> Self {
        Self {
            bucket: Bucket::new(limits.frames_per_second, limits.frames_burst, now),
            limits,
            names,
            phase: Phase::Hello,
            started: now,
            started_wall: wall,
            heard: now,
            pinged: false,
            strikes: 0,
            pending: VecDeque::new(),
            in_flight: None,
            out: VecDeque::new(),
            page: Vec::new().into_iter(),
            fetching: false,
            dirty: false,
            again_at: None,
            sent_n: 0,
            known_n: 0,
            shown_n: 0,
            standing: StandingWatch::default(),
            typed_at: None,
            told_typing_at: None,
            draining: None,
        }
    }

    /// Whether the socket should be read.
    pub fn wants_input(&self) -> bool {
        let ready = match self.phase {
            Phase::Hello | Phase::Open { .. } => true,
            Phase::Checking { .. } | Phase::Resuming { .. } | Phase::Closed => false,
        };
        ready && self.draining.is_none() && self.pending.len() < self.limits.pending && self.out.len() < OUT_MAX
    }

    /// Acts waiting for the router, the one in flight included.
    pub fn pending(&self) -> usize {
        self.pending.len() + usize::from(self.in_flight.is_some())
    }

    /// Newest number sent, and newest number that the client says it showed.
    pub fn progress(&self) -> (u32, u32) {
        (self.sent_n, self.shown_n)
    }

    /// Whether it has closed.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// A text message came. Returns whether it was taken (for counters).
    pub fn on_frame(&mut self, now: Timestamp, bytes: &[u8]) -> bool {
        self.on_heard(now);
        if self.is_closed() {
            return false;
        }
        let limited = self.bucket.take(now);
        let decoded = decode(bytes);
        if let Err(span) = limited {
            self.strike(span, decoded.ok());
            return false;
        }
        self.strikes = 0;
        match decoded {
            Ok(frame) => self.take(now, frame),
            Err(BadFrame { id, problem }) => {
                self.refuse(id.as_deref(), &problem);
                if matches!(self.phase, Phase::Hello) {
                    self.close(close::POLICY, "hello expected");
                }
                false
            }
        }
    }

    fn strike(&mut self, span: Millis, frame: Option<ClientFrame>) {
        self.strikes += 1;
        if self.strikes > self.limits.strikes {
            self.close(close::POLICY, "too many frames");
        } else if let Some(ClientFrame::Submit(submission)) = frame {
            self.out.push_back(Act::Send(busy(Some(&submission.client_msg_id), span)));
        } else if self.strikes == 1 {
            self.out.push_back(Act::Send(busy(None, span)));
        }
    }

    fn take(&mut self, now: Timestamp, frame: ClientFrame) -> bool {
        match (frame, &self.phase) {
            (ClientFrame::Ping, _) => {
                self.out.push_back(Act::Send(ServerFrame::Pong.text()));
                true
            }
            (ClientFrame::Hello { token, after }, Phase::Hello) => {
                self.phase = Phase::Checking { after };
                self.out.push_back(Act::Check { token });
                true
            }
            (ClientFrame::Hello { .. }, _) => self.refuse(None, &Problem::order("hello was said already")),
            (_, Phase::Hello) => {
                self.refuse(None, &Problem::order("say hello first"));
                self.close(close::POLICY, "hello expected");
                false
            }
            (ClientFrame::Submit(submission), Phase::Open { admission }) => {
                if !admission.may_write {
                    let problem = Problem::of("verified-only", "this inbox takes verified visitors only");
                    return self.refuse(Some(&submission.client_msg_id), &problem);
                }
                if self.pending.len() >= self.limits.pending || self.draining.is_some() {
                    self.out.push_back(Act::Send(busy(Some(&submission.client_msg_id), Millis(1_000))));
                    return false;
                }
                self.pending.push_back(submission);
                self.submit_next();
                true
            }
            (ClientFrame::Submit(submission), _) => {
                self.refuse(Some(&submission.client_msg_id), &Problem::order("wait for the welcome"))
            }
            (ClientFrame::Ack { n }, _) => {
                if n > self.sent_n {
                    return self
                        .refuse(None, &Problem::field("n", format!("n is {n}, but {} is the newest item sent", self.sent_n)));
                }
                self.shown_n = self.shown_n.max(n);
                true
            }
            // Ephemeral, never logged and first to be dropped.
            (ClientFrame::Typing, Phase::Open { admission }) => {
                let due = self.typed_at.is_none_or(|last| now >= last + TYPING_EVERY);
                if due && admission.may_write && self.draining.is_none() {
                    self.typed_at = Some(now);
                    self.out.push_back(Act::Typing { grant: admission.grant.clone() });
                }
                true
            }
            (ClientFrame::Typing, _) => true,
        }
    }

    fn refuse(&mut self, id: Option<&str>, problem: &Problem) -> bool {
        self.out.push_back(Act::Send(ServerFrame::Error { client_msg_id: id, problem }.text()));
        false
    }

    fn submit_next(&mut self) {
        let Phase::Open { admission } = &self.phase else { return };
        if self.in_flight.is_some() {
            return;
        }
        let Some(submission) = self.pending.pop_front() else { return };
        self.in_flight = Some(submission.client_msg_id.clone());
        self.out.push_back(Act::Submit { grant: admission.grant.clone(), submission });
    }

    /// Anything came from the client, control frames included: it lives.
    pub fn on_heard(&mut self, now: Timestamp) {
        self.heard = Timestamp(self.heard.0.max(now.0));
        self.pinged = false;
    }

    /// The transport itself brought the token, and it was found good: as a hello and its admission in one.
    pub fn on_admitted(&mut self, admission: Admission, after: u32) {
        if matches!(self.phase, Phase::Hello) {
            self.phase = Phase::Checking { after };
            self.on_admission(Ok(admission));
        }
    }

    /// The token was checked.
    pub fn on_admission(&mut self, result: Result<Admission, Problem>) {
        let Phase::Checking { after } = self.phase else { return };
        match result {
            Ok(admission) => {
                self.out.push_back(Act::Watch { grant: admission.grant.clone() });
                if after == 0 {
                    self.open(admission, 0);
                } else {
                    self.out.push_back(Act::Fetch { grant: admission.grant.clone(), after: after - 1, max: self.limits.page });
                    self.fetching = true;
                    self.phase = Phase::Resuming { admission, after };
                }
            }
            Err(problem) => {
                self.refuse(None, &problem);
                self.close(close::POLICY, "not admitted");
            }
        }
    }

    fn open(&mut self, admission: Admission, after: u32) {
        let conversation = item::conversation_text(admission.grant.conversation);
        self.out.push_back(Act::Send(ServerFrame::Welcome { conversation, n: after, at: self.started_wall.0 }.text()));
        self.phase = Phase::Open { admission };
        self.sent_n = after;
        self.shown_n = after;
        self.standing.wanted = true;
        self.dirty = true;
    }

    /// The router answered the act in flight.
    pub fn on_outcome(&mut self, result: Result<Outcome, PortError>) {
        let Some(id) = self.in_flight.take() else { return };
        match result {
            Ok(outcome) => {
                if let Outcome::Done { n, .. } | Outcome::Duplicate { n } = outcome {
                    self.known_n = self.known_n.max(n);
                }
                let reason = match outcome {
                    Outcome::Refused(Refusal::Rule(reason)) => self.names.text(reason.0),
                    _ => None,
                };
                match answer(&id, outcome, reason.as_deref()) {
                    Ok(frame) => self.out.push_back(Act::Send(frame.text())),
                    Err(problem) => drop(self.refuse(Some(&id), &problem)),
                }
            }
            Err(PortError::Busy { retry_after }) => {
                // Those behind it go back as well: taking them now would put them before it.
                self.out.push_back(Act::Send(busy(Some(&id), retry_after)));
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
        while let Some(submission) = self.pending.pop_front() {
            self.out.push_back(Act::Send(busy(Some(&submission.client_msg_id), retry_after)));
        }
    }

    /// Items were read.
    pub fn on_page(&mut self, now: Timestamp, result: Result<Vec<TranscriptItem>, PortError>) {
        if !self.fetching {
            return;
        }
        self.fetching = false;
        let mut items = match result {
            Ok(items) => items,
            Err(PortError::Unknown) => Vec::new(),
            Err(PortError::Busy { retry_after }) if matches!(self.phase, Phase::Open { .. }) => {
                self.again_at = Some(now + retry_after);
                return;
            }
            Err(error) => {
                self.refuse(None, &Problem::port(&error));
                self.close(close::TRY_LATER, "the transcript cannot be read");
                return;
            }
        };
        if let Phase::Resuming { .. } = self.phase {
            let Phase::Resuming { admission, after } = std::mem::replace(&mut self.phase, Phase::Closed) else { return };
            if items.first().is_some_and(|item| item.n == after) {
                items.remove(0);
                self.open(admission, after);
                // A full page may have more behind it; the open phase asks again by itself.
            } else {
                let detail = format!("item {after} is not in this conversation: everything is sent again from 1");
                self.refuse(None, &Problem::of("resume-ahead", detail).at("after"));
                self.open(admission, 0);
                return;
            }
        } else if items.is_empty() {
            self.dirty = false;
            if self.known_n > self.sent_n {
                self.again_at = Some(now + AGAIN);
            }
            return;
        } else {
            self.dirty = items.len() >= self.limits.page;
        }
        self.page = items.into_iter();
    }

    /// Where the contact stands was looked up; nothing when it does not wait.
    pub fn on_standing(&mut self, now: Timestamp, found: Option<Standing>) {
        let Phase::Open { admission } = &self.phase else { return };
        let spread = Millis(admission.grant.conversation.0 as u64 % STANDING_SPREAD_MS);
        let watch = &mut self.standing;
        let Some(found) = found else {
            watch.told = None;
            // Items say that it waits and the view does not yet, or not any more: it is looked at again, at the same pace.
            watch.look_at = watch.waits.then(|| now + STANDING_EVERY + spread);
            return;
        };
        watch.waits = true;
        watch.look_at = Some(now + STANDING_EVERY + spread);
        let same = |told: &Standing| Standing { at: found.at, ..*told } == found;
        if !watch.told.as_ref().is_some_and(same) {
            watch.told = Some(found);
            watch.told_at = Some(now);
            let standing = StandingFrame::new(&found, &self.names);
            self.out.push_back(Act::Send(ServerFrame::Standing { standing }.text()));
        }
    }

    /// The agent is writing.
    pub fn on_typing(&mut self, now: Timestamp, seat: SeatId) {
        let due = self.told_typing_at.is_none_or(|last| now >= last + TYPING_EVERY);
        if due && matches!(self.phase, Phase::Open { .. }) && self.draining.is_none() && self.out.len() < OUT_MAX {
            self.told_typing_at = Some(now);
            self.out.push_back(Act::Send(ServerFrame::Typing { seat: seat.to_string() }.text()));
        }
    }

    /// What an item that is being sent says of waiting.
    fn note_standing(&mut self, item: Item) {
        let watch = &mut self.standing;
        match item {
            Item::Queued { .. } => {
                watch.waits = true;
                match watch.told_at {
                    // Told a moment ago: the pace is kept.
                    Some(told_at) => watch.look_at = Some(told_at + STANDING_EVERY),
                    None => watch.wanted = true,
                }
            }
            Item::Assigned { .. } | Item::Ended { .. } => {
                *watch = StandingWatch { told_at: watch.told_at, ..StandingWatch::default() };
            }
            _ => {}
        }
    }

    /// Items up to `n` exist.
    pub fn on_wake(&mut self, n: u32) {
        self.known_n = self.known_n.max(n);
        self.again_at = None;
    }

    /// Time has passed.
    pub fn on_time(&mut self, now: Timestamp) {
        if self.again_at.is_some_and(|at| now >= at) {
            self.again_at = None;
            self.dirty = true;
        }
        if self.standing.look_at.is_some_and(|at| now >= at) {
            self.standing.look_at = None;
            self.standing.wanted = true;
        }
        match self.phase {
            Phase::Closed => {}
            Phase::Hello if now >= self.started + self.limits.hello => self.close(close::POLICY, "no hello in time"),
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
            Phase::Hello => self.started + self.limits.hello,
            _ => Timestamp::NEVER,
        };
        let ping = self.heard + Millis(self.limits.ping.0.saturating_mul(if self.pinged { 2 } else { 1 }));
        let or_never = |at: Option<Timestamp>| at.unwrap_or(Timestamp::NEVER);
        Some(life.min(ping).min(or_never(self.again_at)).min(or_never(self.standing.look_at)))
    }

    /// The node goes down: what is in flight is answered, the rest is given back, then bye.
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

    /// The transport found a fault of the client's, or of its own.
    pub fn on_fault(&mut self, code: u16, reason: &'static str) {
        self.close(code, reason);
    }

    fn close(&mut self, code: u16, reason: &'static str) {
        if !self.is_closed() {
            self.phase = Phase::Closed;
            self.page = Vec::new().into_iter();
            self.pending.clear();
            self.out.push_back(Act::Close { code, reason });
        }
    }

    /// The next thing to do; `None` when there is nothing until something comes in.
    pub fn poll(&mut self) -> Option<Act> {
        if let Some(act) = self.out.pop_front() {
            return Some(act);
        }
        if !matches!(self.phase, Phase::Open { .. }) {
            return None;
        }
        while let Some(item) = self.page.next() {
            if item.n <= self.sent_n {
                continue;
            }
            if item.n != self.sent_n + 1 {
                self.close(close::INTERNAL, "a gap in the transcript");
                return self.out.pop_front();
            }
            self.sent_n = item.n;
            let act = Act::SendItem(item::frame(&item, None, &self.names));
            self.note_standing(item.item);
            return Some(act);
        }
        let Phase::Open { admission } = &self.phase else { return None };
        if self.standing.wanted {
            self.standing.wanted = false;
            return Some(Act::Standing { grant: admission.grant.clone() });
        }
        if !self.fetching && self.again_at.is_none() && (self.dirty || self.known_n > self.sent_n) {
            self.fetching = true;
            return Some(Act::Fetch { grant: admission.grant.clone(), after: self.sent_n, max: self.limits.page });
        }
        None
    }
}
