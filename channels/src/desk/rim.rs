//! The tokio rim of a desk: the socket's loop, the binding of a seat, and the lease after a cut.
//!
//! When a socket is cut the router hears `LinkDown` at once (no new offers; claims stay) and a wall-clock lease begins; a desk
//! that comes back in time is `LinkUp`, one that does not is `LeaseEnd`. The three are told under the seat's lock, and told
//! again while the router is busy, so that none is lost and none overtakes another.

use crate::desk::frame::{self, OfferCard};
use crate::desk::machine::{Act, Bound, Machine};
use crate::desk::sink::Sink;
use crate::gauges::{Part, Slot, bump};
use crate::ids;
use crate::problem::Problem;
use crate::service::Shared;
use crate::socket::{self, Heard, Out, Pipe, problem_response};
use crate::web::machine::close;
use crate::web::rim::{cut_off, maybe};
use axum::extract::{Request, State};
use axum::response::Response;
use std::sync::Arc;
use std::time::Duration;
use tidegate_model::input::{SeatAct, SeatInput};
use tidegate_model::output::{Outcome, Refusal, SeatNotice};
use tidegate_model::port::{AgentGrant, BoxFuture, Catalogue, PortError, SeatSink, Watch};
use tidegate_model::{ConversationId, Millis, SeatId, TenantId};
use tokio::sync::OwnedMutexGuard;
use tokio::time::{sleep, sleep_until, timeout};

use super::seats::Link;

/// How long a desk waits for its seat's earlier news to reach the router.
const BIND_WAIT: Duration = Duration::from_secs(10);
/// Longest pause between two attempts to tell the router about a link.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// `GET /v1/desk/ws`.
pub(crate) async fn websocket(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if let Err(problem) = shared.desk_allows(request.headers()) {
        return problem_response(&problem);
    }
    if let Some(retry_after) = *shared.drain.borrow() {
        let mut problem = Problem::port(&PortError::Closed);
        problem.retry_after = Some(retry_after);
        return problem_response(&problem);
    }
    let Some(slot) = shared.desk_connections.slot() else {
        bump(&shared.counters.connections_refused);
        return problem_response(&Problem::busy(Millis(5_000)));
    };
    socket::upgrade(request, move |ws| serve(shared, ws, slot))
}

/// The connection's hold on a seat.
struct Hold {
    grant: AgentGrant,
    connection: u128,
    signed_out: bool,
}

struct Binding {
    bound: Bound,
    hold: Hold,
    watch: Box<dyn Watch>,
}

async fn serve<P: Pipe>(shared: Arc<Shared>, mut pipe: P, slot: Slot) {
    let mut hold = None;
    let (code, reason) = run(&shared, &mut pipe, &mut hold).await;
    match code {
        close::NOT_UTF8 => bump(&shared.counters.closed_utf8),
        close::TOO_BIG => bump(&shared.counters.closed_giant),
        _ => {}
    }
    // The seat first: the socket's end may take its time.
    if let Some(hold) = hold {
        tokio::spawn(let_go(Arc::clone(&shared), hold));
    }
    if code != 0 {
        pipe.finish(code, reason).await;
    }
    drop(slot);
}

async fn run<P: Pipe>(shared: &Arc<Shared>, pipe: &mut P, hold: &mut Option<Hold>) -> (u16, &'static str) {
    let limits = shared.config.desk;
    let machine = &mut Machine::new(limits, Arc::clone(&shared.config.names), shared.now());
    let sink = Sink::new(limits, &shared.desk_notices);
    let mut watch: Option<Box<dyn Watch>> = None;
    let mut binding: Option<BoxFuture<Result<Binding, Problem>>> = None;
    let mut submit = None;
    let mut fetch = None;
    let mut read = None;
    let mut catalogue = None;
    let mut drain = shared.drain.subscribe();
    let mut part = Part::new(&shared.desk_pending);
    if let Some(retry_after) = *drain.borrow_and_update() {
        machine.on_drain(retry_after);
    }
    loop {
        let mut fed = false;
        while let Some(act) = machine.poll() {
            let out = match act {
                Act::Bind { token, resume } => {
                    binding = Some(Box::pin(bind(Arc::clone(shared), token, resume, Arc::clone(&sink))));
                    continue;
                }
                Act::Snapshot { grant } => {
                    read = Some(shared.desk_port.snapshot(grant.tenant, grant.seat));
                    continue;
                }
                Act::Catalogue { grant } => {
                    let asked = shared.desk_port.catalogue(grant.tenant, grant.seat);
                    let shared = Arc::clone(shared);
                    let frame: BoxFuture<Option<String>> =
                        Box::pin(async move { Some(catalogue_frame(&shared, grant.tenant, &asked.await?)) });
                    catalogue = Some(frame);
                    continue;
                }
                Act::Typing { grant, conversation } => {
                    bump(&shared.counters.typing_in);
                    shared.desk_port.typing(grant.tenant, grant.seat, conversation);
                    continue;
                }
                Act::Submit { grant, command } => {
                    submit = Some(crate::files::command(shared, &grant, command));
                    continue;
                }
                Act::Fetch { grant, conversation, after, max } => {
                    fetch = Some(shared.ingress.transcript(grant.tenant, conversation, after, max));
                    continue;
                }
                Act::SignedOut => {
                    if let Some(hold) = hold {
                        hold.signed_out = true;
                    }
                    continue;
                }
                Act::Close { code, reason } => {
                    drop(watch);
                    return (code, reason);
                }
                Act::Send(text) => Out::Text(text),
                Act::SendItem(text) => {
                    bump(&shared.counters.items_out);
                    Out::Text(text)
                }
                Act::Ping => Out::Ping,
            };
            fed = true;
            if let Err(cut) = pipe.feed(out, limits.stall).await {
                return cut_off(shared, cut);
            }
        }
        if fed && let Err(cut) = pipe.flush(limits.stall).await {
            return cut_off(shared, cut);
        }
        part.set(machine.pending());
        let deadline = machine.next_deadline().unwrap_or_default();
        let wants_input = machine.wants_input();
        tokio::select! {
            biased;
            result = maybe(&mut binding) => match result {
                Ok(made) => {
                    watch = Some(made.watch);
                    *hold = Some(made.hold);
                    machine.on_bound(Ok(made.bound));
                }
                Err(problem) => machine.on_bound(Err(problem)),
            },
            result = maybe(&mut submit) => {
                if matches!(result, Err(PortError::Busy { .. })) {
                    bump(&shared.counters.ports_busy);
                }
                machine.on_outcome(result);
            }
            frame = maybe(&mut catalogue) => machine.on_catalogue(frame),
            seat = maybe(&mut read) => {
                if let (Ok(seat), Some(hold)) = (&seat, &hold) {
                    for open in &seat.offers {
                        add_card(shared, hold.grant.tenant, open.conversation, machine).await;
                    }
                }
                machine.on_snapshot(seat);
                // Notices that were held back may go now.
                sink.ring();
            }
            page = maybe(&mut fetch) => machine.on_page(shared.now(), page),
            () = sink.rung() => {
                let mail = sink.take(!machine.wants_notices());
                if mail.replaced {
                    bump(&shared.counters.desks_replaced);
                    machine.on_replaced();
                }
                if mail.overflow {
                    bump(&shared.counters.desks_resynced);
                    machine.on_overflow();
                }
                // Wakes first: the last items of a claim count before its release ends the right to read.
                for (conversation, n) in mail.wakes {
                    machine.on_wake(conversation, n);
                }
                for notice in &mail.notices {
                    if let (SeatNotice::Offered { conversation, .. }, Some(hold)) = (notice, &hold) {
                        add_card(shared, hold.grant.tenant, *conversation, machine).await;
                    }
                    machine.on_notice(notice);
                }
                if mail.policy_changed {
                    machine.on_policy_changed();
                }
                for conversation in mail.typing {
                    machine.on_typing(shared.now(), conversation);
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

/// Hands over what to tell beside an offer. The router answers within milliseconds, or not at all.
async fn add_card(shared: &Shared, tenant: TenantId, conversation: ConversationId, machine: &mut Machine) {
    if let Some(context) = shared.desk_port.context(tenant, conversation).await {
        let channel = shared.inbox_of(tenant, context.account).map(|inbox| inbox.name.as_str());
        machine.on_card(conversation, OfferCard::new(context, channel, &shared.config.names));
    }
}

fn catalogue_frame(shared: &Shared, tenant: TenantId, found: &Catalogue) -> String {
    let channels = shared.config.inboxes.iter().filter(|inbox| inbox.tenant == tenant).map(|inbox| inbox.name.as_str());
    frame::catalogue(found, channels, shared.file_bytes_max(), &shared.config.names)
}

/// The seat's lock, on an entry that is in the table.
async fn seat_lock(shared: &Shared, tenant: TenantId, seat: SeatId) -> Option<OwnedMutexGuard<Link>> {
    loop {
        let entry = shared.seats.entry(tenant, seat)?;
        let link = entry.lock().await;
        if !link.gone {
            return Some(link);
        }
    }
}

async fn tell(
    shared: &Shared,
    tenant: TenantId,
    seat: SeatId,
    link: &mut Link,
    act: SeatAct<'static>,
) -> Result<Outcome, PortError> {
    link.step += 1;
    let command = ids::link_command(seat, link.connection, link.step);
    shared.desk_port.command(tenant, SeatInput { seat, command, act }).await
}

/// Tells it again until the router has taken it, or takes nothing more. The same command id each time: it counts once.
async fn tell_surely(shared: &Shared, tenant: TenantId, seat: SeatId, link: &mut Link, act: SeatAct<'static>) {
    let mut pause = Duration::from_millis(10);
    loop {
        let before = link.step;
        match tell(shared, tenant, seat, link, act).await {
            Err(PortError::Busy { retry_after }) => {
                link.step = before;
                sleep(pause.max(Duration::from_millis(retry_after.0)).min(PAUSE_MAX)).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            Err(error) => {
                tracing::warn!(tenant = tenant.0, %seat, ?error, "the router did not take news of a seat's link");
                return;
            }
            Ok(_) => return,
        }
    }
}

async fn bind(shared: Arc<Shared>, token: String, resume: Option<String>, sink: Arc<Sink>) -> Result<Binding, Problem> {
    let grant = shared.auth.agent(&token).map_err(|error| {
        bump(&shared.counters.tokens_refused);
        Problem::auth(error)
    })?;
    let AgentGrant { tenant, seat } = grant;
    let lock = timeout(BIND_WAIT, seat_lock(&shared, tenant, seat)).await;
    let full = || Problem::busy(Millis(5_000));
    let mut link = lock.map_err(|_| full())?.ok_or_else(full)?;
    let resumed = resume.as_deref().is_some_and(|token| link.resumes(token));
    let mut id = [0_u8; 16];
    getrandom::fill(&mut id).map_err(|_| full())?;
    let (last, last_step) = (link.connection, link.step);
    link.connection = u128::from_be_bytes(id);
    link.step = 0;
    let mut outcome = None;
    let mut resumed = resumed;
    if resumed {
        outcome = Some(tell(&shared, tenant, seat, &mut link, SeatAct::LinkUp).await);
        // The router ended the lease by itself, or has been restored from before: begin anew.
        resumed = !matches!(outcome, Some(Ok(Outcome::Refused(Refusal::NotSignedIn))));
    }
    let outcome = match outcome {
        Some(outcome) if resumed => outcome,
        _ => tell(&shared, tenant, seat, &mut link, SeatAct::SignIn).await,
    };
    let problem = match outcome {
        Ok(Outcome::Done { .. } | Outcome::Duplicate { .. }) => None,
        Ok(Outcome::Refused(refusal)) => Some(Problem::refused(refusal, None)),
        Ok(_) => Some(Problem::conflict("command_id")),
        Err(error) => Some(Problem::port(&error)),
    };
    if let Some(problem) = problem {
        // Whoever held the seat before still does.
        (link.connection, link.step) = (last, last_step);
        if !link.signed_in {
            shared.seats.remove(tenant, seat, &mut link);
        }
        return Err(problem);
    }
    let Ok(next) = link.renew() else { return Err(full()) };
    (link.live, link.signed_in) = (true, true);
    if resumed {
        bump(&shared.counters.seats_resumed);
    }
    // The earlier desk, if any, is told here that it was replaced.
    let watch = shared.desk_port.watch(tenant, seat, sink as Arc<dyn SeatSink>);
    let hold = Hold { grant: grant.clone(), connection: link.connection, signed_out: false };
    Ok(Binding { bound: Bound { grant, resume: next, resumed }, hold, watch })
}

/// After the connection's end: the link goes down, unless another desk has the seat or the agent went home.
async fn let_go(shared: Arc<Shared>, hold: Hold) {
    let Hold { grant: AgentGrant { tenant, seat }, connection, signed_out } = hold;
    let Some(mut link) = seat_lock(&shared, tenant, seat).await else { return };
    if link.connection != connection {
        return;
    }
    link.live = false;
    if signed_out {
        link.signed_in = false;
        return shared.seats.remove(tenant, seat, &mut link);
    }
    tell_surely(&shared, tenant, seat, &mut link, SeatAct::LinkDown).await;
    drop(link);
    lease(shared, tenant, seat, connection).await;
}

/// Waits out the lease; ends it if nobody came.
async fn lease(shared: Arc<Shared>, tenant: TenantId, seat: SeatId, connection: u128) {
    sleep(shared.config.desk.lease).await;
    let Some(mut link) = seat_lock(&shared, tenant, seat).await else { return };
    if link.connection != connection || link.live {
        return;
    }
    tell_surely(&shared, tenant, seat, &mut link, SeatAct::LeaseEnd).await;
    bump(&shared.counters.leases_ended);
    link.signed_in = false;
    shared.seats.remove(tenant, seat, &mut link);
}

/// Takes over a seat that the router knows as signed in and no desk serves.
pub(crate) fn adopt(shared: &Arc<Shared>, tenant: TenantId, seat: SeatId) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let Some(mut link) = seat_lock(&shared, tenant, seat).await else { return };
        if link.live {
            return;
        }
        let mut id = [0_u8; 16];
        if getrandom::fill(&mut id).is_err() {
            return;
        }
        (link.connection, link.step, link.signed_in) = (u128::from_be_bytes(id), 0, true);
        tell_surely(&shared, tenant, seat, &mut link, SeatAct::LinkDown).await;
        let connection = link.connection;
        drop(link);
        lease(shared, tenant, seat, connection).await;
    });
}
