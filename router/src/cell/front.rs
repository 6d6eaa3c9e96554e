//! The way in: any thread encodes an input, takes a credit and a reply slot, and pushes into the ring of its class.
//!
//! Wait-free for the submitting thread: nothing here blocks, locks or waits for another. What cannot be taken comes back as
//! `Busy` and is counted by cause: the tenant's own share of the front first (so that a noisy tenant is refused before
//! anybody else is), then the ring, then new contacts while apply is behind. It refuses to know what comes of an input.

use super::config::CellConfig;
use super::{Intake, RefusedInputs};
use crate::primitive::Arc;
use crate::primitive::Instant;
use crate::primitive::atomic::{AtomicU8, AtomicU64, Ordering};
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tidegate_matcher::reply::{self, NoAnswer, ReplySlots};
use tidegate_matcher::ring::{Credit, Credits, mpsc};
use tidegate_model::codec::{self, Precedence};
use tidegate_model::file::FILE_REF_BYTES_MAX;
use tidegate_model::input::{Admin, Inbound, InboundAct, Input, SeatAct, SeatInput};
use tidegate_model::limits::BODY_BYTES_MAX;
use tidegate_model::output::Outcome;
use tidegate_model::port::PortError;
use tidegate_model::{Millis, TenantId};

/// Longest entry that is taken, in bytes: the journal's own limit of a payload.
pub const ENTRY_BYTES_MAX: usize = 1 << 20;
/// Pause that a refused caller is told.
const RETRY_AFTER: Millis = Millis(50);

/// The answerer's side of a submission.
pub(crate) struct Reply(reply::Responder<Result<Outcome, PortError>>);

impl Reply {
    /// Answers. A caller who has gone needs no answer.
    pub fn answer(self, answer: Result<Outcome, PortError>) {
        let _gone = self.0.answer(answer);
    }
}

/// What stands in a ring.
pub(crate) struct Submission {
    pub bytes: Vec<u8>,
    pub reply: Option<Reply>,
    pub submitted: Instant,
    /// Comes back when the proposer has put the entry into a batch.
    pub credit: Credit,
}

/// What the cell's threads share of one tenant.
pub(crate) struct Door {
    credits: [Credits; 3],
    /// Log time at which it wants a `Tick`; `u64::MAX` for never. Written by apply.
    pub deadline: AtomicU64,
    /// Its newest entry that was applied. Written by apply.
    pub applied: AtomicU64,
}

impl Door {
    fn new(share: usize) -> Self {
        Self {
            credits: std::array::from_fn(|_| Credits::new(share)),
            deadline: AtomicU64::new(u64::MAX),
            applied: AtomicU64::new(0),
        }
    }
}

/// The front of one cell.
pub(crate) struct Front {
    rings: [mpsc::Producer<Submission>; 3],
    doors: ArcSwap<BTreeMap<TenantId, Arc<Door>>>,
    replies: ReplySlots<Result<Outcome, PortError>>,
    intake: AtomicU8,
    share: usize,
    refused: [AtomicU64; 3],
}

const OPEN: u8 = 0;
const NO_NEW_CONTACTS: u8 = 1;
const CLOSED: u8 = 2;
const LOG_FAILED: u8 = 3;

impl Front {
    /// The front and the ends of its rings, highest class first.
    pub fn new(config: &CellConfig, tenants: impl Iterator<Item = TenantId>) -> (Self, [mpsc::Consumer<Submission>; 3]) {
        let rings = ["front_seats", "front_customers", "front_effects"].map(|name| config.gauges.mpsc(name, config.front));
        let [(seats, a), (customers, b), (effects, c)] = rings;
        let replies = ReplySlots::new(config.front);
        let table = replies.clone();
        config.gauges.register("front_replies", config.front as u64, move || Some(table.claimed() as u64));
        let doors = tenants.map(|id| (id, Arc::new(Door::new(config.front_per_tenant)))).collect();
        let front = Self {
            rings: [seats, customers, effects],
            doors: ArcSwap::from_pointee(doors),
            replies,
            intake: AtomicU8::new(OPEN),
            share: config.front_per_tenant,
            refused: Default::default(),
        };
        (front, [a, b, c])
    }

    pub fn door(&self, tenant: TenantId) -> Option<Arc<Door>> {
        self.doors.load().get(&tenant).cloned()
    }

    pub fn tenants(&self) -> Vec<TenantId> {
        self.doors.load().keys().copied().collect()
    }

    /// Lets a tenant in that is about to be created.
    pub fn open_door(&self, tenant: TenantId) -> Arc<Door> {
        self.doors.rcu(|doors| {
            let mut doors = BTreeMap::clone(doors);
            doors.entry(tenant).or_insert_with(|| Arc::new(Door::new(self.share)));
            doors
        });
        self.doors.load().get(&tenant).cloned().unwrap_or_else(|| unreachable!("a door was just put in and none is ever taken out"))
    }

    pub fn intake(&self) -> Intake {
        match self.intake.load(Ordering::Acquire) {
            OPEN => Intake::Open,
            NO_NEW_CONTACTS => Intake::NoNewContacts,
            LOG_FAILED => Intake::LogFailed,
            _ => Intake::Closed,
        }
    }

    /// Opens or narrows the intake; does nothing once it is closed or has failed.
    pub fn admit_new_contacts(&self, admit: bool) {
        let (from, to) = if admit { (NO_NEW_CONTACTS, OPEN) } else { (OPEN, NO_NEW_CONTACTS) };
        // Whoever loses this race loses to a close or a failure, which stay.
        let _lost = self.intake.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Nothing more is taken; what stands in the rings is still served.
    pub fn close(&self) {
        self.intake.fetch_max(CLOSED, Ordering::AcqRel);
        for ring in &self.rings {
            ring.close();
        }
    }

    /// Nothing more is taken because the log failed; the rings stay for the proposer to answer what stands in them.
    pub fn fail(&self) {
        self.intake.store(LOG_FAILED, Ordering::Release);
        for ring in &self.rings {
            ring.close();
        }
    }

    pub fn refused(&self) -> RefusedInputs {
        let [tenant_share, front_full, apply_behind] = [0, 1, 2].map(|i: usize| self.refused[i].load(Ordering::Relaxed));
        RefusedInputs { tenant_share, front_full, apply_behind }
    }

    fn busy(&self, cause: usize) -> PortError {
        self.refused[cause].fetch_add(1, Ordering::Relaxed);
        PortError::Busy { retry_after: RETRY_AFTER }
    }

    /// Submits; `answered` says whether anybody waits for the answer.
    pub fn submit(&self, tenant: TenantId, input: &Input<'_>, answered: bool) -> Result<Option<Waiting>, PortError> {
        match self.intake.load(Ordering::Acquire) {
            OPEN => {}
            NO_NEW_CONTACTS => {
                if matches!(input, Input::Inbound(Inbound { act: InboundAct::Begin { .. }, .. })) {
                    return Err(self.busy(2));
                }
            }
            LOG_FAILED => return Err(PortError::LogFailed),
            _ => return Err(PortError::Closed),
        }
        let door = self.door(tenant).ok_or(PortError::Unknown)?;
        let bytes = encode(tenant, input)?;
        let class = match codec::precedence(&bytes) {
            Precedence::First => 0,
            Precedence::Second => 1,
            Precedence::Third => 2,
        };
        let Some(credit) = door.credits[class].try_take() else { return Err(self.busy(0)) };
        let (waiting, reply) = match answered {
            false => (None, None),
            true => match self.replies.claim_pair() {
                Some((waiting, reply)) => (Some(Waiting(waiting)), Some(Reply(reply))),
                None => return Err(self.busy(1)),
            },
        };
        let submission = Submission { bytes, reply, submitted: Instant::now(), credit };
        match self.rings[class].push(submission) {
            Ok(()) => Ok(waiting),
            Err(tidegate_matcher::ring::PushError::Full(_)) => Err(self.busy(1)),
            Err(tidegate_matcher::ring::PushError::Closed(_)) => Err(self.closed()),
        }
    }

    /// What a caller is told whose answer cannot come any more.
    pub fn closed(&self) -> PortError {
        if self.intake.load(Ordering::Acquire) == LOG_FAILED { PortError::LogFailed } else { PortError::Closed }
    }
}

/// The caller's side of a submission.
pub(crate) struct Waiting(reply::Reply<Result<Outcome, PortError>>);

/// Encodes and checks an input: what is logged can be read back, whoever sent it.
fn encode(tenant: TenantId, input: &Input<'_>) -> Result<Vec<u8>, PortError> {
    let invalid = |what: String| Err(PortError::Invalid { what });
    let body = match input {
        Input::Inbound(Inbound { act: InboundAct::Message { body }, .. })
        | Input::Seat(SeatInput { act: SeatAct::Send { body, .. }, .. }) => body.len(),
        Input::Inbound(Inbound { act: InboundAct::File { file }, .. })
        | Input::Seat(SeatInput { act: SeatAct::SendFile { file, .. }, .. }) => match file.check() {
            Ok(()) => FILE_REF_BYTES_MAX,
            Err(what) => return invalid(format!("file: {what}")),
        },
        Input::Admin(Admin::Policy { plan, .. }) => plan.len(),
        Input::Admin(Admin::Agent { profile, .. } | Admin::Account { profile, .. }) => profile.len(),
        Input::Effects(results) => results.packed.len(),
        Input::Tick | Input::Hash | Input::LeaderStarted { .. } => {
            return invalid("input: ticks, hashes and terms are the cell's own entries; expected a customer's, a seat's, effects' or an administrator's".into());
        }
        _ => 0,
    };
    if matches!(input, Input::Inbound(_) | Input::Seat(_)) && body > BODY_BYTES_MAX {
        return invalid(format!("body: {body} bytes; expected at most {BODY_BYTES_MAX}"));
    }
    if body > ENTRY_BYTES_MAX - 1_024 {
        return invalid(format!("payload: {body} bytes; expected at most {}", ENTRY_BYTES_MAX - 1_024));
    }
    let mut bytes = Vec::with_capacity(codec::HEAD_BYTES + 8 + body + if body == 0 { 96 } else { 0 });
    codec::encode(&mut bytes, tenant, input);
    match codec::decode(&bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => invalid(format!("input: {error}")),
    }
}

/// An answer to come: ready once the input is durable and decided. Dropping it does not take the input back.
///
/// Resolves to `Closed` when the cell stops first and to `LogFailed` when the log does: the input may or may not have been
/// logged then, and its idempotency key tells after a restart.
#[must_use = "an answer that nobody waits for is better submitted with submit_nowait"]
pub struct Submitted {
    state: State,
    front: Arc<Front>,
}

enum State {
    Refused(Option<PortError>),
    Waiting(Waiting),
}

impl Submitted {
    pub(crate) fn new(front: Arc<Front>, submitted: Result<Option<Waiting>, PortError>) -> Self {
        let state = match submitted {
            Ok(Some(waiting)) => State::Waiting(waiting),
            Ok(None) => State::Refused(Some(PortError::Closed)),
            Err(error) => State::Refused(Some(error)),
        };
        Self { state, front }
    }

    /// Blocks until the answer is there.
    ///
    /// # Errors
    /// As the future.
    pub fn wait(self) -> Result<Outcome, PortError> {
        match self.state {
            State::Refused(error) => Err(error.unwrap_or(PortError::Closed)),
            State::Waiting(waiting) => match waiting.0.wait() {
                Ok(answer) => answer,
                Err(NoAnswer) => Err(self.front.closed()),
            },
        }
    }
}

impl Future for Submitted {
    type Output = Result<Outcome, PortError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        match &mut this.state {
            State::Refused(error) => Poll::Ready(Err(error.take().unwrap_or(PortError::Closed))),
            State::Waiting(waiting) => match Pin::new(&mut waiting.0).poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(answer)) => Poll::Ready(answer),
                Poll::Ready(Err(NoAnswer)) => Poll::Ready(Err(this.front.closed())),
            },
        }
    }
}

impl std::fmt::Debug for Submitted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Submitted(..)")
    }
}
