//! Health, readiness, metrics, status and drain over HTTP.
//!
//! `/healthz` says that the process lives, `/readyz` that it should get traffic. Status is one JSON document with everything
//! that an operator asks first: intake, log, stages, queues, tenants with ledger and pressure, live halves. It refuses to
//! compute figures of its own: each is read where it is kept.

use super::gate::Query;
use super::policy::hex;
use super::problem::Problem;
use super::{Api, shape};
use crate::auth::Permission;
use crate::cell::Intake;
use crate::live::{Census, LiveStatus};
use crate::node::NodeHandle;
use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tidegate_core::ledger::exit_slugs;
use tidegate_model::ids::TenantId;
use utoipa::openapi::{RefOr, Schema};

/// GET /healthz.
pub(super) async fn healthz(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    match api.node().cell().status().broken {
        None => Ok(Json(json!({ "status": "alive" }))),
        Some(_) => Err(Problem::of("broken", "restart the node; what was acknowledged is in the log")),
    }
}

/// GET /readyz.
pub(super) async fn readyz(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    let node = api.node();
    if node.is_ready() {
        return Ok(Json(json!({ "status": "ready" })));
    }
    let (slug, detail) = match node.cell().intake() {
        Intake::LogFailed => ("log-failed", "the log cannot be written: nothing more is acknowledged"),
        _ => ("closed", "the node is draining"),
    };
    Err(Problem::of(slug, detail))
}

/// GET /metrics.
pub(super) async fn metrics(State(api): State<Api>, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response, Problem> {
    api.allow(&headers, Permission::ReadFigures)?;
    Query::read(query.as_deref(), &[])?;
    let text = crate::metrics::render(api.node()).await;
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// GET the figures of one tenant.
pub(super) async fn tenant_metrics(
    State(api): State<Api>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let (_, id) = api.allow_at(&headers, Permission::ReadFigures, &id)?;
    Query::read(query.as_deref(), &[])?;
    Ok(Json(tenant(api.node(), id).await))
}

/// POST /v1/drain.
pub(super) async fn drain(State(api): State<Api>, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response, Problem> {
    let grant = api.allow(&headers, Permission::Drain)?;
    Query::read(query.as_deref(), &[])?;
    let is_first = api.node().begin_drain();
    tracing::info!(by = grant.name, is_first, "drain asked for");
    api.drain_wanted().notify_one();
    Ok((StatusCode::ACCEPTED, Json(json!({ "draining": true, "first": is_first }))).into_response())
}

/// GET /v1/status.
pub(super) async fn status(State(api): State<Api>, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    api.allow(&headers, Permission::ReadFigures)?;
    Query::read(query.as_deref(), &[])?;
    let mut shown = document(api.node()).await;
    // To be noted elsewhere: a chain alone does not see its own end cut off.
    shown["audit"] = json!(api.security().map(|security| security.audit.head().to_string()));
    Ok(Json(shown))
}

/// The members of the status that every release has.
pub(super) fn document_shape() -> RefOr<Schema> {
    let names = ["cell", "start", "stages", "queues", "live", "tenants", "audit"].map(|name| (name, shape::anything()));
    let mut fields = vec![
        ("node", shape::any_text()),
        ("version", shape::any_text()),
        ("uptime_s", shape::integer(0, u64::MAX)),
        ("ready", shape::switch()),
        ("draining", shape::switch()),
    ];
    fields.extend(names);
    shape::open_object(&fields)
}

/// The members of a tenant's figures.
pub(super) fn tenant_shape() -> RefOr<Schema> {
    shape::open_object(&[("tenant", shape::integer(1, u64::from(u32::MAX)))])
}

/// What a drain is answered with.
pub(super) fn drain_shape() -> RefOr<Schema> {
    shape::open_object(&[("draining", shape::switch()), ("first", shape::switch())])
}

async fn document(node: &NodeHandle) -> Value {
    let cell = node.cell().status();
    let stages: Vec<_> = node
        .cell()
        .stages()
        .summaries()
        .iter()
        .map(|s| json!({ "stage": s.stage.slug(), "n": s.count, "p50_us": s.p50_us, "p99_us": s.p99_us, "p999_us": s.p999_us, "max_us": s.max_us }))
        .collect();
    let queues: Vec<_> =
        node.gauges().read().iter().map(|q| json!({ "queue": q.name, "length": q.length, "limit": q.limit })).collect();
    let mut tenants = Vec::with_capacity(cell.tenants.len());
    for id in &cell.tenants {
        tenants.push(tenant(node, *id).await);
    }
    let recovery = node.recovery();
    json!({
        "node": node.name(),
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": node.uptime().as_secs(),
        "ready": node.is_ready(),
        "draining": node.is_draining(),
        "cell": {
            "intake": intake(cell.intake),
            "acknowledged_on_disks": cell.acknowledged_on_disks,
            "term": cell.term.0,
            "committed": cell.committed.0,
            "applied": cell.applied.0,
            "emitted": cell.emitted.0,
            "snapshot": cell.snapshot.0,
            "snapshot_failures": cell.snapshot_failures,
            "snapshot_differences": cell.snapshot_differences,
            "log_time_ms": cell.log_time.0,
            "log_time_behind_ms": cell.log_time_behind.0,
            "log_failure": cell.log_failure,
            "broken": cell.broken,
            "sink_panics": cell.sink_panics,
            "refused": {
                "tenant_share": cell.refused.tenant_share,
                "front_full": cell.refused.front_full,
                "apply_behind": cell.refused.apply_behind,
            },
        },
        "start": {
            "snapshot": recovery.snapshot.map(|seq| seq.0),
            "replayed": recovery.replayed,
            "open_effects": recovery.open_effects,
            "took_ms": recovery.took.as_millis() as u64,
            "journal": recovery.journal,
        },
        "stages": stages,
        "queues": queues,
        "live": live(&node.live().status()),
        "tenants": tenants,
    })
}

pub(super) async fn tenant(node: &NodeHandle, id: TenantId) -> Value {
    let view = node.query(id, |machine| {
        (machine.ledger(), machine.pressure(), machine.policy_hash(), machine.version(), machine.conversations())
    });
    let Ok((ledger, pressure, policy, version, conversations)) = view.await else {
        return json!({ "tenant": id.0, "unavailable": true });
    };
    let exits: BTreeMap<_, _> = exit_slugs().into_iter().zip(ledger.exits).collect();
    let pressure: BTreeMap<_, _> =
        pressure.into_iter().map(|(name, used, limit)| (name, json!({ "used": used, "limit": limit }))).collect();
    json!({
        "tenant": id.0,
        "policy": policy.as_ref().map(hex),
        "version": version,
        "conversations": conversations,
        "ledger": {
            "offered": ledger.offered,
            "exits": exits,
            "open": ledger.open(),
            "with_bot": ledger.with_bot,
            "waiting": ledger.waiting,
            "in_offer": ledger.in_offer,
            "in_service": ledger.in_service,
            "manual": ledger.manual,
            "refused_inputs": ledger.refused_inputs,
            "duplicates": ledger.duplicates,
            "poisoned": ledger.poisoned,
            "balanced": ledger.balanced(),
        },
        "limits": pressure,
    })
}

fn live(live: &LiveStatus) -> Value {
    let census =
        |census: &Census| json!({ "slots": census.slots, "actors": census.live, "watchers": census.watchers, "rung": census.rung });
    json!({
        "conversations": census(&live.conversations),
        "seats": census(&live.seats),
        "outboxes": census(&live.outboxes),
        "restarts": live.restarts,
        "nursery_restarts": live.nursery_restarts,
        "root_restarts": live.root_restarts,
        "rested": live.rested,
        "resyncs": live.resyncs,
        "watches_refused": live.watches_refused,
        "watchers_dropped": live.watchers_dropped,
        "attempts": live.attempts,
        "results_logged": live.results_logged,
        "rows_without_channel": live.rows_without_channel,
    })
}

fn intake(intake: Intake) -> &'static str {
    match intake {
        Intake::Open => "open",
        Intake::NoNewContacts => "no_new_contacts",
        Intake::Closed => "closed",
        Intake::LogFailed => "log_failed",
    }
}
