//! The tokio rim of a customer's connection: one loop over any pipe, with the machine deciding.
//!
//! Sends are awaited inside the loop, so the machine is asked for the next item only when the last one has gone: a slow reader
//! holds one page at most and is cut off after a bounded stall. Dropping the loop at any await loses nothing: what was handed
//! to the router is decided there, and the client repeats what was not acknowledged.

use crate::gauges::{Part, Slot, bump};
use crate::service::Shared;
use crate::socket::{Cut, Heard, Out, Pipe};
use crate::web::machine::{Act, Machine, close};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use tidegate_model::port::{BoxFuture, Egress, Watch};
use tidegate_model::{ConversationId, SeatId};
use tokio::sync::Notify;
use tokio::time::sleep_until;

/// The newest number, who types, and a bell.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    n: AtomicU32,
    /// A seat that types and was not told yet; 0 for none.
    typing: AtomicU64,
    bell: Notify,
}

impl Bell {
    /// Waits for a ring; the number is the newest one.
    pub(crate) async fn rung(&self) -> u32 {
        self.bell.notified().await;
        self.n.load(Ordering::Acquire)
    }

    /// The seat that types, told once.
    pub(crate) fn typing(&self) -> Option<SeatId> {
        let seat = SeatId(self.typing.swap(0, Ordering::AcqRel));
        (!seat.is_none()).then_some(seat)
    }
}

impl Egress for Bell {
    fn wake(&self, _: ConversationId, n: u32) {
        self.n.fetch_max(n, Ordering::AcqRel);
        self.bell.notify_one();
    }

    fn typing(&self, _: ConversationId, seat: SeatId) {
        self.typing.store(seat.0, Ordering::Release);
        self.bell.notify_one();
    }
}

/// Awaits a future that may not be there.
pub(crate) async fn maybe<T>(future: &mut Option<BoxFuture<T>>) -> T {
    match future {
        Some(running) => {
            let value = running.await;
            *future = None;
            value
        }
        None => pending().await,
    }
}

/// Serves a connection to its end.
pub(crate) async fn serve<P: Pipe>(shared: Arc<Shared>, mut pipe: P, mut machine: Machine, origin: Option<String>, slot: Slot) {
    let (code, reason) = run(&shared, &mut pipe, &mut machine, origin.as_deref()).await;
    match code {
        close::NOT_UTF8 => bump(&shared.counters.closed_utf8),
        close::TOO_BIG => bump(&shared.counters.closed_giant),
        _ => {}
    }
    if code != 0 {
        pipe.finish(code, reason).await;
    }
    drop(slot);
}

/// Runs until the connection ends; the code to close with, or 0 when the peer is gone.
async fn run<P: Pipe>(shared: &Arc<Shared>, pipe: &mut P, machine: &mut Machine, origin: Option<&str>) -> (u16, &'static str) {
    let stall = shared.config.web.stall;
    let bell = Arc::new(Bell::default());
    let mut watch: Option<Box<dyn Watch>> = None;
    let mut submit = None;
    let mut fetch = None;
    let mut drain = shared.drain.subscribe();
    let mut part = Part::new(&shared.web_pending);
    if let Some(retry_after) = *drain.borrow_and_update() {
        machine.on_drain(retry_after);
    }
    loop {
        let mut fed = false;
        while let Some(act) = machine.poll() {
            let out = match act {
                Act::Check { token } => {
                    machine.on_admission(shared.admit(&token, origin));
                    continue;
                }
                Act::Watch { grant } => {
                    watch = Some(shared.ingress.watch(grant.tenant, grant.conversation, Arc::clone(&bell) as Arc<dyn Egress>));
                    continue;
                }
                Act::Submit { grant, submission } => {
                    submit = Some(crate::files::accept(shared, &grant, submission));
                    continue;
                }
                Act::Fetch { grant, after, max } => {
                    fetch = Some(shared.ingress.transcript(grant.tenant, grant.conversation, after, max));
                    continue;
                }
                Act::Standing { grant } => {
                    machine.on_standing(shared.now(), shared.ingress.standing(grant.tenant, grant.conversation));
                    continue;
                }
                Act::Typing { grant } => {
                    bump(&shared.counters.typing_in);
                    shared.ingress.typing(grant.tenant, grant.conversation);
                    continue;
                }
                Act::Close { code, reason } => {
                    drop(watch);
                    return (code, reason);
                }
                Act::Send(text) => Out::Text(text),
                Act::SendItem(text) => {
                    bump(&shared.counters.items_out);
                    Out::Item { n: machine.progress().0, text }
                }
                Act::Ping => {
                    if P::ONE_WAY {
                        machine.on_heard(shared.now());
                    }
                    Out::Ping
                }
            };
            fed = true;
            if let Err(cut) = pipe.feed(out, stall).await {
                return cut_off(shared, cut);
            }
        }
        if fed && let Err(cut) = pipe.flush(stall).await {
            return cut_off(shared, cut);
        }
        part.set(machine.pending());
        let deadline = machine.next_deadline().unwrap_or_default();
        let wants_input = machine.wants_input();
        tokio::select! {
            biased;
            result = maybe(&mut submit) => {
                if matches!(result, Err(tidegate_model::port::PortError::Busy { .. })) {
                    bump(&shared.counters.ports_busy);
                }
                machine.on_outcome(result);
            }
            page = maybe(&mut fetch) => machine.on_page(shared.now(), page),
            n = bell.rung() => {
                machine.on_wake(n);
                if let Some(seat) = bell.typing() {
                    machine.on_typing(shared.now(), seat);
                }
            }
            _ = drain.changed() => {
                let retry_after = drain.borrow_and_update().unwrap_or_default();
                machine.on_drain(retry_after);
            }
            heard = pipe.recv(), if wants_input => match heard {
                Heard::Text(text) => {
                    bump(&shared.counters.frames_in);
                    if !machine.on_frame(shared.now(), text.as_bytes()) {
                        bump(&shared.counters.frames_refused);
                    }
                }
                Heard::Control => machine.on_heard(shared.now()),
                Heard::Fault { code, reason } => machine.on_fault(code, reason),
                Heard::Closed => return (0, ""),
            },
            () = sleep_until(shared.instant(deadline)) => machine.on_time(shared.now()),
        }
    }
}

pub(crate) fn cut_off(shared: &Shared, cut: Cut) -> (u16, &'static str) {
    match cut {
        Cut::Slow => {
            bump(&shared.counters.closed_slow);
            (close::TRY_LATER, "too slow")
        }
        Cut::Gone => (0, ""),
    }
}
