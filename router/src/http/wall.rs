//! The wall's stream: a floor at a glance, pushed twice a second to large screens.
//!
//! One view serves every viewer: it is asked of the tenants' machines at most four times a second, whoever watches, in one short
//! question each between two batches (linear in seats and queues). What machines do not count (served, service level, codes of
//! wrap-ups, oldest waits) comes from the views beside the deciding thread. Shape: `docs/protocol.md`, "Wall". It refuses to
//! know conversations.
//!
//! Drive it: `GET /v1/wall/events?token=…`, scope viewer; `EventSource` cannot set headers, hence the parameter.

use super::Api;
use super::gate::Query;
use super::problem::Problem;
use crate::auth::{AdminGrant, Permission};
use crate::node::NodeHandle;
use crate::tally::{Tally, WINDOW};
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::ledger::exit_slugs;
use tidegate_core::tenant::{QueueView, SeatView};
use tidegate_model::ids::TenantId;
use tidegate_model::name::{QueueName, ReasonName};
use tidegate_model::output::Presence;
use tidegate_model::policy::Code;
use tidegate_model::time::Timestamp;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Viewers at once.
pub const VIEWERS_MAX: usize = 64;
/// How often a view is pushed: twice a second, so that a change is on the screen within one.
pub const PUSH: Duration = Duration::from_millis(500);
/// How old a pushed view may be. Half a push: a viewer's own tick, a hair early, must not get its last view again.
const FRESH: Duration = Duration::from_millis(250);
/// How far back rates look, in views.
const RATE_VIEWS: usize = 240;
/// Codes of wrap-ups in a view, of one tenant.
const CODES_SHOWN: usize = 12;

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

    /// The view as it stands, at most [`FRESH`] old.
    async fn frame(&self, node: &NodeHandle, only: Option<TenantId>) -> Bytes {
        let mut views = self.views.lock().await;
        let now = Instant::now();
        let at = views.kept.iter().position(|(tenant, _)| *tenant == only);
        if let Some(at) = at
            && now.duration_since(views.kept[at].1.made) < FRESH
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
    let (mut queues, mut agents, mut codes, mut since) = (Vec::new(), [0_u64; 6], Vec::new(), None);
    let (mut offered, mut waiting, mut in_service, mut exits) = (0, 0, 0, [0_u64; 16]);
    let slugs = exit_slugs();
    for tenant in cell.tenants.iter().filter(|id| only.is_none_or(|only| only == **id)) {
        let question = node.query(*tenant, |machine| {
            let mut seats = [0_u64; 6];
            machine.seats().iter().for_each(|seat| seats[state_of(seat)] += 1);
            let names = super::roster::names(machine);
            let rows = machine.queues().into_iter();
            let rows: Vec<_> = rows.map(|view| (names.get(&view.queue).cloned().unwrap_or_default(), view)).collect();
            (seats, rows, machine.ledger(), machine.now())
        });
        let Ok((seats, rows, ledger, now)) = question.await else { continue };
        agents.iter_mut().zip(seats).for_each(|(sum, one)| *sum += one);
        let oldest = node.live().oldest(*tenant);
        let mut rows: Vec<Value> = rows.into_iter().map(|(name, view)| row(*tenant, &name, &view, &oldest, now)).collect();
        let counted = node.live().tallies().read(*tenant, |tally| {
            rows.iter_mut().for_each(|row| count(row, tally, now));
            codes.extend(coded(*tenant, tally));
            tally.since()
        });
        since = [since, counted.flatten()].into_iter().flatten().min();
        queues.append(&mut rows);
        offered += ledger.offered;
        waiting += ledger.waiting;
        in_service += ledger.in_service;
        exits.iter_mut().zip(ledger.exits).for_each(|(sum, one)| *sum += one);
    }
    // As a queue's: who had an agent, and who left waiting for one.
    let of = |wanted: &str| slugs.iter().zip(exits).filter(|(slug, _)| **slug == wanted).map(|(_, n)| n).sum::<u64>();
    let (served, abandoned) = (of("served") + of("customer_left"), of("abandoned_waiting"));
    json!({
        "at": cell.log_time.0,
        "log_time": cell.log_time.0,
        "queues": queues,
        "agents": {
            "ready": agents[0], "busy": agents[1], "wrap_up": agents[2], "paused": agents[3], "not_responding": agents[4],
            "signed_out": agents[5],
        },
        "wrap_ups": codes,
        "counted_since": since.map(|since| since.0),
        "missed": node.live().tallies().missed(),
        "totals": {
            "offered": offered, "waiting": waiting, "in_service": in_service,
            "served": served, "abandoned": abandoned, "left": exits.iter().sum::<u64>(),
        },
    })
}

/// Which of the six states a seat counts as.
fn state_of(seat: &SeatView) -> usize {
    match seat.presence {
        Presence::Ready if seat.serving > 0 => 1,
        Presence::Ready if seat.wrapping > 0 => 2,
        Presence::Ready => 0,
        Presence::Paused { .. } => 3,
        Presence::NotResponding => 4,
        Presence::SignedOut => 5,
    }
}

/// A queue as it stands.
fn row(tenant: TenantId, name: &str, view: &QueueView, oldest: &[(QueueName, Timestamp)], now: Timestamp) -> Value {
    let mut row = json!({ "name": name, "tenant": tenant.0, "waiting": view.waiting, "length_max": view.length_max });
    if let Some((_, from)) = oldest.iter().find(|(queue, _)| *queue == view.queue) {
        row["oldest_wait_ms"] = json!(now.since(*from).0);
    }
    row
}

/// What was counted of a queue.
fn count(row: &mut Value, tally: &Tally, now: Timestamp) {
    let queue = QueueName::of(row["name"].as_str().unwrap_or_default());
    let (counted, target) = (tally.queue(queue), tally.target(queue));
    let level = counted.map(|counted| counted.level(now)).unwrap_or_default();
    row["served"] = json!(counted.map_or(0, |counted| counted.served));
    row["abandoned"] = json!(counted.map_or(0, |counted| counted.abandoned));
    row["service_level"] = json!({
        "within_ms": target.within.0, "target_percent": target.percent, "window_ms": WINDOW.0,
        "offered": level.offered, "served": level.served, "served_within": level.served_within, "left_within": level.left_within,
    });
    if let Some(said) = tally.desk().queues.iter().find(|said| QueueName::of(&said.name) == queue) {
        (row["en"], row["zh"]) = (json!(said.en), json!(said.zh));
    }
}

/// The codes of wrap-ups that were chosen most, with their words; those without words are summed up under none.
fn coded(tenant: TenantId, tally: &Tally) -> Vec<Value> {
    let desk = tally.desk();
    let known = desk.queues.iter().filter_map(|queue| queue.wrap_up.as_ref()).flatten().chain(&desk.wrap_up);
    let words: HashMap<ReasonName, &Code> = known.map(|code| (ReasonName::of(&code.code), code)).collect();
    let mut counts: Vec<(&Code, u64)> = Vec::new();
    let mut rest = 0;
    for (code, count) in tally.codes() {
        match words.get(&code) {
            Some(code) => counts.push((code, count)),
            None => rest += count,
        }
    }
    counts.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.code.cmp(&b.code)));
    rest += counts.iter().skip(CODES_SHOWN).map(|(_, count)| count).sum::<u64>();
    let mut shown: Vec<Value> = counts
        .iter()
        .take(CODES_SHOWN)
        .map(|(code, count)| json!({ "tenant": tenant.0, "code": code.code, "en": code.en, "zh": code.zh, "count": count }))
        .collect();
    if rest > 0 {
        shown.push(json!({ "tenant": tenant.0, "code": null, "count": rest }));
    }
    shown
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
