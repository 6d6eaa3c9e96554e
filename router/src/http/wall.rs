//! The wall's stream: a floor at a glance, pushed once a second to large screens.
//!
//! One view serves every viewer: it is asked of the tenants' machines at most once a second, whoever watches, in one short
//! question each between two batches (linear in seats and queues). Shape: `docs/protocol.md`, "Wall". What a machine does not
//! count (served and oldest wait a queue, service level) is left out rather than guessed. It refuses to know conversations.
//!
//! Drive it: `GET /v1/wall/events?token=…`, scope viewer; `EventSource` cannot set headers, hence the parameter.

use super::Api;
use super::gate::Query;
use super::problem::Problem;
use crate::auth::{AdminGrant, Permission};
use crate::node::NodeHandle;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::ledger::exit_slugs;
use tidegate_model::ids::TenantId;
use tidegate_model::output::Presence;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Viewers at once.
pub const VIEWERS_MAX: usize = 64;
/// How often a view is pushed, and how old one may be.
pub const PUSH: Duration = Duration::from_secs(1);
/// How far back rates look, in views.
const RATE_VIEWS: usize = 60;

/// The view that all viewers share.
pub(super) struct Wall {
    seats: Arc<Semaphore>,
    views: Mutex<Views>,
}

#[derive(Default)]
struct Views {
    /// By tenant (none: all), so that a grant of one sees one.
    kept: Vec<(Option<TenantId>, Kept)>,
}

struct Kept {
    made: Instant,
    frame: Bytes,
    /// When, log time, offered and left: the newest last.
    past: VecDeque<(Instant, u64, u64, u64)>,
}

impl Wall {
    pub(super) fn new() -> Self {
        Self { seats: Arc::new(Semaphore::new(VIEWERS_MAX)), views: Mutex::new(Views::default()) }
    }

    /// Viewers at the moment.
    pub(super) fn viewers(&self) -> u64 {
        (VIEWERS_MAX - self.seats.available_permits()) as u64
    }

    /// The view as it stands, at most [`PUSH`] old.
    async fn frame(&self, node: &NodeHandle, only: Option<TenantId>) -> Bytes {
        let mut views = self.views.lock().await;
        let now = Instant::now();
        let at = views.kept.iter().position(|(tenant, _)| *tenant == only);
        if let Some(at) = at
            && now.duration_since(views.kept[at].1.made) < PUSH
        {
            return views.kept[at].1.frame.clone();
        }
        let mut past = at.map(|at| std::mem::take(&mut views.kept[at].1.past)).unwrap_or_default();
        let mut view = look(node, only).await;
        let count = |name: &str| view["totals"][name].as_u64().unwrap_or(0);
        past.push_back((now, view["log_time"].as_u64().unwrap_or(0), count("offered"), count("left")));
        if past.len() > RATE_VIEWS {
            past.pop_front();
        }
        rates(&mut view, &past);
        let frame = Bytes::from(format!("event: wall\ndata: {view}\n\n"));
        let kept = Kept { made: now, frame: frame.clone(), past };
        match at {
            Some(at) => views.kept[at].1 = kept,
            None => views.kept.push((only, kept)),
        }
        frame
    }
}

/// What came and went in a minute, and how fast log time runs, from the oldest view kept to the newest.
fn rates(view: &mut Value, past: &VecDeque<(Instant, u64, u64, u64)>) {
    let (Some(first), Some(last)) = (past.front(), past.back()) else { return };
    let seconds = last.0.duration_since(first.0).as_secs_f64();
    if seconds < 0.5 {
        return;
    }
    let a_minute = |from: u64, to: u64| (to.saturating_sub(from) as f64 * 60.0 / seconds).round();
    view["rates"] = json!({ "in_per_min": a_minute(first.2, last.2), "out_per_min": a_minute(first.3, last.3) });
    view["speed"] = json!((last.1.saturating_sub(first.1) as f64 / 1_000.0 / seconds).round().max(1.0));
}

async fn look(node: &NodeHandle, only: Option<TenantId>) -> Value {
    let cell = node.cell().status();
    let (mut queues, mut agents) = (Vec::new(), [0_u64; 5]);
    let (mut offered, mut waiting, mut in_service, mut exits) = (0, 0, 0, [0_u64; 16]);
    let slugs = exit_slugs();
    for tenant in cell.tenants.iter().filter(|id| only.is_none_or(|only| only == **id)) {
        let question = node.query(*tenant, |machine| {
            let mut seats = [0_u64; 5];
            for seat in machine.seats() {
                let at = match seat.presence {
                    Presence::Ready if seat.used == 0 => 0,
                    Presence::Ready => 1,
                    Presence::Paused { .. } => 2,
                    Presence::NotResponding => 3,
                    Presence::SignedOut => 4,
                };
                seats[at] += 1;
            }
            let names = super::roster::names(machine);
            let rows = machine.queues().into_iter();
            let rows: Vec<_> =
                rows.map(|view| (names.get(&view.queue).cloned().unwrap_or_default(), view.waiting, view.length_max)).collect();
            (seats, rows, machine.ledger())
        });
        let Ok((seats, rows, ledger)) = question.await else { continue };
        agents.iter_mut().zip(seats).for_each(|(sum, one)| *sum += one);
        let row = |(name, waiting, most): (String, u32, u32)| json!({ "name": name, "tenant": tenant.0, "waiting": waiting, "length_max": most });
        queues.extend(rows.into_iter().map(row));
        offered += ledger.offered;
        waiting += ledger.waiting;
        in_service += ledger.in_service;
        exits.iter_mut().zip(ledger.exits).for_each(|(sum, one)| *sum += one);
    }
    let of = |wanted: &str| slugs.iter().zip(exits).filter(|(slug, _)| slug.starts_with(wanted)).map(|(_, n)| n).sum::<u64>();
    json!({
        "at": cell.log_time.0,
        "log_time": cell.log_time.0,
        "queues": queues,
        "agents": { "ready": agents[0], "busy": agents[1], "paused": agents[2], "not_responding": agents[3], "signed_out": agents[4] },
        "totals": {
            "offered": offered, "waiting": waiting, "in_service": in_service,
            "served": of("served"), "abandoned": of("abandoned"), "left": exits.iter().sum::<u64>(),
        },
    })
}

/// GET /v1/wall/events.
pub(super) async fn events(State(api): State<Api>, RawQuery(query): RawQuery, mut headers: HeaderMap) -> Result<Response, Problem> {
    let query = Query::read(query.as_deref(), &["token"])?;
    if let Some(token) = query.value("token") {
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        headers.insert(header::AUTHORIZATION, value.map_err(|_| Problem::parameter("token", "no token looks like this"))?);
    }
    let AdminGrant { tenant, .. } = api.grant(&headers, Permission::ReadFigures)?;
    let full = || Problem::of("busy", format!("at most {VIEWERS_MAX} viewers at once")).after(tidegate_model::time::Millis(1_000));
    let place = api.wall().seats.clone().try_acquire_owned().map_err(|_| full())?;
    let mut tick = interval(PUSH);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let body = stream::unfold((api, tick, place), move |(api, mut tick, place): (Api, _, OwnedSemaphorePermit)| async move {
        tick.tick().await;
        // A node that goes down closes its streams; the page comes back by itself.
        if api.node().is_draining() {
            return None;
        }
        let frame = api.wall().frame(api.node(), tenant).await;
        Some((Ok::<_, Infallible>(frame), (api, tick, place)))
    });
    let kind = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((kind, Body::from_stream(body)).into_response())
}
