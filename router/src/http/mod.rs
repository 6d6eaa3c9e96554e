//! The operators' HTTP API: health, metrics, status, policies, roster, accounts, seats, queues, drain.
//!
//! ```text
//! GET  /healthz  /readyz                                 no token
//! GET  /metrics  /v1/status  /v1/wall/events             viewer
//! GET  /v1/tenants/{t}/policy  /seats  /queues  /events  viewer
//! PUT  /v1/tenants/{t}/agents/{id}                       operator
//! GET  /v1/tenants/{t}/conversations/{c}/transcript      operator
//! PUT  /v1/tenants/{t}/policy  /accounts/{id}            admin
//! GET  /v1/tenants/{t}/webhooks and below                 operator
//! POST, PATCH, DELETE of the same                        admin
//! POST /v1/drain                                         admin
//! ```
//!
//! Every error is problem+json with a stable type; every write takes an Idempotency-Key; every body, depth, count and time
//! has a limit. It refuses to know how a listener is opened and what channels serve beside it: `src/` mounts both.
//!
//! Drive it: [`router`] with an [`Api`].

mod gate;
mod idempotency;
mod json;
mod policy;
mod problem;
mod roster;
mod status;
mod stream;
mod wall;
mod webhooks;

pub use gate::QUERY_BYTES_MAX;
pub use idempotency::{KEPT_FOR, KEY_BYTES_MAX, KEYS_MAX};
pub use json::{DEPTH_MAX, Fields, VALUES_MAX};
pub use policy::POLICY_BYTES_MAX;
pub use problem::Problem;
pub use roster::{PROFILE_BYTES_MAX, SKILLS_MAX, UNITS_MAX};
pub use stream::HEARTBEAT;
pub use wall::{PUSH as WALL_PUSH, VIEWERS_MAX as WALL_VIEWERS_MAX};
pub use webhooks::WEBHOOK_BYTES_MAX;

use crate::auth::Admins;
use crate::node::NodeHandle;
use arc_swap::ArcSwap;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tower_http::timeout::TimeoutLayer;

/// Longest time that a request may take, body included.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// What the API stands on. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Inner>,
}

struct Inner {
    node: NodeHandle,
    admins: ArcSwap<Admins>,
    answers: idempotency::Answers,
    drain: Arc<Notify>,
    wall: Arc<wall::Wall>,
}

impl Api {
    /// An API over a node; `drain` is notified when an operator asks for a drain: the binary then closes its listeners and
    /// calls [`NodeHandle::drain`].
    pub fn new(node: NodeHandle, admins: Admins, drain: Arc<Notify>) -> Self {
        let answers = idempotency::Answers::default();
        let kept = answers.downgrade();
        node.gauges().register("idempotency_keys", KEYS_MAX as u64, move || kept.len());
        let wall = Arc::new(wall::Wall::new());
        let viewers = Arc::downgrade(&wall);
        node.gauges().register("wall_viewers", WALL_VIEWERS_MAX as u64, move || Some(viewers.upgrade()?.viewers()));
        Self { inner: Arc::new(Inner { node, admins: ArcSwap::from_pointee(admins), answers, drain, wall }) }
    }

    pub(crate) fn node(&self) -> &NodeHandle {
        &self.inner.node
    }

    /// Other administrators from now on: requests that were let in already are finished.
    pub fn replace_admins(&self, admins: Admins) {
        self.inner.admins.store(Arc::new(admins));
    }

    pub(crate) fn admins(&self) -> Arc<Admins> {
        self.inner.admins.load_full()
    }

    fn answers(&self) -> &idempotency::Answers {
        &self.inner.answers
    }

    fn wall(&self) -> &wall::Wall {
        &self.inner.wall
    }

    fn drain_wanted(&self) -> &Notify {
        &self.inner.drain
    }
}

/// The routes of an API, ready to be served or mounted beside others.
pub fn router(api: Api) -> Router {
    router_within(api, REQUEST_TIME_MAX)
}

/// As [`router`], with another longest time of a request.
pub fn router_within(api: Api, time_max: Duration) -> Router {
    Router::new()
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz))
        .route("/metrics", get(status::metrics))
        .route("/v1/status", get(status::status))
        .route("/v1/drain", post(status::drain))
        .route("/v1/wall/events", get(wall::events))
        .route("/v1/tenants/{tenant}/policy", get(policy::read).put(policy::write))
        .route("/v1/tenants/{tenant}/agents/{id}", put(roster::agent))
        .route("/v1/tenants/{tenant}/accounts/{id}", put(roster::account))
        .route("/v1/tenants/{tenant}/seats", get(roster::seats))
        .route("/v1/tenants/{tenant}/queues", get(roster::queues))
        .route("/v1/tenants/{tenant}/conversations/{conversation}/transcript", get(roster::transcript))
        .route("/v1/tenants/{tenant}/events", get(stream::read))
        .route("/v1/tenants/{tenant}/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/v1/tenants/{tenant}/webhooks/{id}", get(webhooks::read).patch(webhooks::change).delete(webhooks::remove))
        .route("/v1/tenants/{tenant}/webhooks/{id}/rotate", post(webhooks::rotate))
        .route("/v1/tenants/{tenant}/webhooks/{id}/rewind", post(webhooks::rewind))
        .route("/v1/tenants/{tenant}/webhooks/{id}/test", post(webhooks::test))
        .route("/v1/tenants/{tenant}/webhooks/{id}/dead-letters", get(webhooks::letters))
        .route("/v1/tenants/{tenant}/webhooks/{id}/dead-letters/{event}/resend", post(webhooks::resend))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(api)
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, time_max))
        .layer(axum::middleware::from_fn(gate::problems_only))
}

async fn no_route() -> Response {
    Problem::not_found("no-such-route", "no such path; see the API's documentation").into_response()
}

async fn no_method() -> Response {
    Problem::new("method", StatusCode::METHOD_NOT_ALLOWED, "The method is not served here", "see the Allow header").into_response()
}

/// Answers a write with what was kept for its key, or does it and keeps the answer.
async fn once<F>(claim: Result<idempotency::Claim, Problem>, act: F) -> Response
where
    F: Future<Output = Result<idempotency::Answer, Problem>>,
{
    let held = match claim {
        Err(problem) => return problem.into_response(),
        Ok(idempotency::Claim::Done(answer)) => return shown(answer, true),
        Ok(idempotency::Claim::Free) => None,
        Ok(idempotency::Claim::First(held)) => Some(held),
    };
    match act.await {
        Ok(answer) => {
            if let Some(held) = held {
                held.finish(&answer);
            }
            shown(answer, false)
        }
        Err(problem) => {
            if let Some(held) = held {
                held.finish(&idempotency::Answer { status: problem.status, etag: None, body: problem.body() });
            }
            problem.into_response()
        }
    }
}

fn shown(answer: idempotency::Answer, is_repeat: bool) -> Response {
    let is_error = answer.status.is_client_error() || answer.status.is_server_error();
    let kind = if is_error { "application/problem+json" } else { "application/json" };
    let mut response = (answer.status, [("content-type", kind)], answer.body.to_string()).into_response();
    let headers = response.headers_mut();
    if let Some(etag) = answer.etag.and_then(|etag| etag.parse().ok()) {
        headers.insert("etag", etag);
    }
    if is_repeat {
        headers.insert("idempotent-replay", axum::http::HeaderValue::from_static("true"));
    }
    response
}
