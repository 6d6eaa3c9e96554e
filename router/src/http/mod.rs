//! The platform's HTTP API: conversations, contacts, agents, seats, queues, policies, accounts, figures, health, drain.
//!
//! What is served and how it is described is one list (`operations`): the router and the OpenAPI document are made from it.
//! Every error is problem+json with a type of the table in `tidegate_model::problem`; every write takes an Idempotency-Key;
//! every body, depth, count, rate and time has a limit. It refuses to know how a listener is opened and what channels serve
//! beside it: `src/` mounts both, and hands their description to [`Api::beside`].
//!
//! Drive it: [`router`] with an [`Api`]; [`openapi_text`] for the document. Guide: `docs/api/README.md`.

mod asked;
mod conversations;
mod document;
mod edge;
mod gate;
mod guard;
mod idempotency;
mod json;
mod names;
mod op;
mod operations;
mod pages;
mod policy;
mod problem;
mod rates;
mod roster;
mod seats;
mod shape;
mod signin;
mod status;
mod stream;
mod tokens;
mod wall;
mod webhooks;

pub use conversations::{ACT_BYTES_MAX, CUSTOMER_BYTES_MAX};
pub use document::{openapi, openapi_text};
pub use gate::QUERY_BYTES_MAX;
pub use guard::{ACTS, Act, REFUSED_MAX, REFUSED_WINDOW, Security, UNRECORDED};
pub use idempotency::{KEPT_FOR, KEY_BYTES_MAX, KEYS_MAX};
pub use json::{DEPTH_MAX, Fields, VALUES_MAX};
pub use pages::problem_markdown;
pub use policy::POLICY_BYTES_MAX;
pub use problem::Problem;
pub use rates::{RATED_MAX, Rate, RateLimits};
pub use roster::{PROFILE_BYTES_MAX, SKILLS_MAX, UNITS_MAX};
pub use signin::{COOKIE, SIGN_IN_LIFE_S, SignIn};
pub use stream::HEARTBEAT;
pub use tokens::DESK_LIFE_S_MAX;
pub use wall::{PUSH as WALL_PUSH, VIEWERS_MAX as WALL_VIEWERS_MAX};
pub use webhooks::WEBHOOK_BYTES_MAX;

use crate::auth::Admins;
use crate::node::NodeHandle;
use arc_swap::ArcSwap;
use axum::Router;
use axum::response::{IntoResponse, Response};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Notify;
use tower_http::timeout::TimeoutLayer;
use utoipa::openapi::OpenApi;

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
    rates: rates::Rates,
    others: Option<OpenApi>,
    texts: OnceLock<(String, String)>,
    security: OnceLock<Arc<guard::Security>>,
}

impl Api {
    /// An API over a node; `drain` is notified when an operator asks for a drain: the binary then closes its listeners and
    /// calls [`NodeHandle::drain`].
    pub fn new(node: NodeHandle, admins: Admins, drain: Arc<Notify>) -> Self {
        Self::beside(node, admins, drain, RateLimits::default(), None)
    }

    /// As [`Self::new`], with other rates, and beside routes that somebody else serves on the same listener: their description
    /// becomes part of the document.
    pub fn beside(node: NodeHandle, admins: Admins, drain: Arc<Notify>, rates: RateLimits, others: Option<OpenApi>) -> Self {
        let answers = idempotency::Answers::default();
        let kept = answers.downgrade();
        node.gauges().register("idempotency_keys", KEYS_MAX as u64, move || kept.len());
        let wall = Arc::new(wall::Wall::new());
        let viewers = Arc::downgrade(&wall);
        node.gauges().register("wall_viewers", WALL_VIEWERS_MAX as u64, move || Some(viewers.upgrade()?.viewers()));
        let rates = rates::Rates::new(rates);
        let inner = Arc::new(Inner {
            node,
            admins: ArcSwap::from_pointee(admins),
            answers,
            drain,
            wall,
            rates,
            others,
            texts: OnceLock::new(),
            security: OnceLock::new(),
        });
        let rated = Arc::downgrade(&inner);
        inner.node.gauges().register("api_rates", RATED_MAX as u64, move || rated.upgrade().map(|inner| inner.rates.len()));
        Self { inner }
    }

    fn rates(&self) -> &rates::Rates {
        &self.inner.rates
    }

    /// The OpenAPI document and the reference page, made when first asked for.
    fn texts(&self) -> &(String, String) {
        self.inner.texts.get_or_init(|| {
            let text = openapi_text(self.inner.others.clone());
            let page = serde_json::from_str(&text).map(|value| pages::reference_page(&value)).unwrap_or_default();
            (text, page)
        })
    }

    fn document(&self) -> &str {
        &self.texts().0
    }

    fn reference(&self) -> &str {
        &self.texts().1
    }

    /// With API tokens, an audit and sign-in of people. Without them (a router embedded by a program that guards its own
    /// door) administrative acts are done unrecorded. Once: what was given first stays.
    #[must_use]
    pub fn guarded(self, security: Security) -> Self {
        let _ = self.inner.security.set(Arc::new(security));
        self
    }

    /// What [`Self::guarded`] gave.
    pub fn security(&self) -> Option<&Arc<Security>> {
        self.inner.security.get()
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
    let mut router = Router::new();
    for op in operations::all() {
        router = op.route(router);
    }
    router
        .route_layer(axum::middleware::from_fn_with_state(api.clone(), guard::acts))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(api.clone())
        .layer(TimeoutLayer::with_status_code(axum::http::StatusCode::SERVICE_UNAVAILABLE, time_max))
        .layer(axum::middleware::from_fn(gate::problems_only))
        .layer(axum::middleware::from_fn_with_state(api, edge::edge))
}

async fn no_route() -> Response {
    Problem::of("no-such-route", "no such path; /docs/api lists those that there are").into_response()
}

async fn no_method() -> Response {
    Problem::of("method", "see the Allow header").into_response()
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
