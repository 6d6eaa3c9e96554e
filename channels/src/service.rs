//! Where the rims come together: one axum router for customers and desks, and a handle to drain and to look inside.
//!
//! It refuses to know who the router is: ports only. Mount the router on any listener; call [`Handle::drain`] before the
//! listener is stopped, and read [`Handle::gauges`] and [`Handle::counters`] for metrics.

use crate::bucket::Bucket;
use crate::config::{Config, ConfigError, Inbox, origin_allowed};
use crate::desk::seats::Seats;
use crate::gauges::{Counters, Gauge, Level, bump};
use crate::problem::Problem;
use crate::web::machine::Admission;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header, request};
use axum::routing::{get, post};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidegate_model::port::{Authenticator, Ingress, SeatPort};
use tidegate_model::{AccountId, Millis, SeatId, TenantId, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;
use tower_http::cors::{AllowOrigin, CorsLayer};

/// What every connection shares.
pub(crate) struct Shared {
    pub config: Config,
    pub ingress: Arc<dyn Ingress>,
    pub desk_port: Arc<dyn SeatPort>,
    pub auth: Arc<dyn Authenticator>,
    pub counters: Counters,
    pub web_connections: Arc<Level>,
    pub web_pending: Arc<Level>,
    pub desk_connections: Arc<Level>,
    pub desk_pending: Arc<Level>,
    pub desk_notices: Arc<Level>,
    pub seats: Seats,
    pub rates: crate::web::http::Rates,
    pub uploads: Arc<Level>,
    pub downloads: Arc<Level>,
    pub drain: watch::Sender<Option<Millis>>,
    by_name: HashMap<String, usize>,
    by_account: HashMap<(TenantId, AccountId), usize>,
    sessions: Mutex<Bucket>,
    started: Instant,
}

impl Shared {
    /// Monotonic time since the start.
    pub fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The wall clock, for display.
    pub fn wall(&self) -> Timestamp {
        Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |span| span.as_millis() as u64))
    }

    /// Largest file that may be sent; 0 where there is no place for files.
    pub fn file_bytes_max(&self) -> u64 {
        self.config.blobs.as_ref().map_or(0, |blobs| blobs.largest())
    }

    /// An instant of the runtime's clock for a time of ours.
    pub fn instant(&self, at: Timestamp) -> Instant {
        // A deadline that never comes is a day away: the loop looks again then.
        self.started + Duration::from_millis(at.0.min(self.now().0.saturating_add(86_400_000)))
    }

    /// An inbox by its public name.
    pub fn inbox(&self, name: &str) -> Option<&Inbox> {
        self.by_name.get(name).map(|at| &self.config.inboxes[*at])
    }

    /// The inbox of an account.
    pub fn inbox_of(&self, tenant: TenantId, account: AccountId) -> Option<&Inbox> {
        self.by_account.get(&(tenant, account)).map(|at| &self.config.inboxes[*at])
    }

    /// Whether any inbox lets this origin in; no origin is let in.
    pub fn any_inbox_allows(&self, headers: &HeaderMap) -> Result<Option<String>, Problem> {
        let Some(origin) = origin_of(headers)? else { return Ok(None) };
        if self.config.inboxes.iter().any(|inbox| origin_allowed(&inbox.origins, &origin)) {
            return Ok(Some(origin));
        }
        bump(&self.counters.origins_refused);
        Err(foreign_origin())
    }

    /// Whether a desk may come from this origin.
    pub fn desk_allows(&self, headers: &HeaderMap) -> Result<(), Problem> {
        match origin_of(headers)? {
            Some(origin) if !origin_allowed(&self.config.desk_origins, &origin) => {
                bump(&self.counters.origins_refused);
                Err(foreign_origin())
            }
            _ => Ok(()),
        }
    }

    /// Checks a customer's token and whether its inbox takes this origin.
    pub fn admit(&self, token: &str, origin: Option<&str>) -> Result<Admission, Problem> {
        let refused = |problem| {
            bump(&self.counters.tokens_refused);
            Err(problem)
        };
        let grant = match self.auth.customer(token) {
            Ok(grant) => grant,
            Err(error) => return refused(Problem::auth(error)),
        };
        let Some(at) = self.by_account.get(&(grant.tenant, grant.account)) else {
            return refused(Problem::auth(tidegate_model::port::AuthError::Audience));
        };
        let inbox = &self.config.inboxes[*at];
        if origin.is_some_and(|origin| !origin_allowed(&inbox.origins, origin)) {
            bump(&self.counters.origins_refused);
            return Err(foreign_origin());
        }
        let may_write = !inbox.verified_only || !grant.customer.is_none();
        Ok(Admission { grant, may_write })
    }

    /// Takes one opening of a session.
    pub fn take_session(&self) -> Result<(), Problem> {
        lock(&self.sessions).take(self.now()).map_err(Problem::rate)
    }
}

/// A lock whose holder cannot have left the value half-made.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The origin of a request that comes from a foreign page. A page that this node served itself (its origin is the very host
/// that was asked) is none: the lists are for everybody else's pages. Tokens are never sent by a browser on its own, so that a
/// name which somebody points at this node gains nothing by it.
fn origin_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(header::ORIGIN) else { return Ok(None) };
    let origin = value.to_str().map_err(|_| foreign_origin())?;
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().filter(|_| hosts.next().is_none()).and_then(|host| host.to_str().ok());
    let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    if headers.get_all(header::ORIGIN).iter().count() == 1 && authority.is_some_and(|one| !one.is_empty()) && authority == host {
        return Ok(None);
    }
    Ok(Some(origin.to_owned()))
}

fn foreign_origin() -> Problem {
    Problem::of("foreign-origin", "add the page's origin to the list of the inbox")
}

/// A look inside, and the way to go down gracefully.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    /// Lets nobody in any more, tells every client `bye` with a pause, and resolves when all connections have ended.
    pub async fn drain(&self, retry_after: Millis) {
        self.shared.drain.send_replace(Some(retry_after));
        // Every connection holds a receiver.
        self.shared.drain.closed().await;
    }

    /// Starts the lease of seats that the router knows as signed in although no desk of this node serves them: after a
    /// restart. A desk that signs in or resumes in time ends it.
    pub fn adopt_seats(&self, tenant: TenantId, seats: &[SeatId]) {
        for seat in seats {
            crate::desk::rim::adopt(&self.shared, tenant, *seat);
        }
    }

    /// Every queue and table with its length and its limit.
    pub fn gauges(&self) -> Vec<Gauge> {
        let shared = &self.shared;
        vec![
            shared.web_connections.gauge("web_connections"),
            shared.web_pending.gauge("web_pending"),
            shared.rates.gauge("web_rates"),
            shared.desk_connections.gauge("desk_connections"),
            shared.desk_pending.gauge("desk_pending"),
            shared.desk_notices.gauge("desk_notices"),
            shared.seats.gauge("desk_seats"),
            shared.uploads.gauge("file_uploads"),
            shared.downloads.gauge("file_downloads"),
            Gauge { name: "names", used: shared.config.names.len(), limit: crate::names::NAMES_MAX },
        ]
    }

    /// Counts since the start.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        self.shared.counters.all()
    }

    /// One count by name; 0 for an unknown name.
    pub fn count(&self, name: &str) -> u64 {
        self.counters().into_iter().find_map(|(known, value)| (known == name).then_some(value)).unwrap_or(0)
    }
}

/// The router for customers and desks.
///
/// Serve it on a listener with `TCP_NODELAY` (axum's `ListenerExt::tap_io`): frames are small and written one by one, and
/// without it each may wait 40 ms for the acknowledgement of the one before (measured: the contract suite took 51.6 s without it, 5.6 s with it).
///
/// # Errors
/// [`ConfigError`] when the configuration cannot work.
pub fn router(
    config: Config,
    ingress: Arc<dyn Ingress>,
    seats: Arc<dyn SeatPort>,
    auth: Arc<dyn Authenticator>,
) -> Result<(axum::Router, Handle), ConfigError> {
    config.check()?;
    let (web, desk) = (config.web, config.desk);
    let by_name = config.inboxes.iter().enumerate().map(|(at, inbox)| (inbox.name.clone(), at)).collect();
    let by_account = config.inboxes.iter().enumerate().map(|(at, inbox)| ((inbox.tenant, inbox.account), at)).collect();
    let shared = Arc::new(Shared {
        ingress,
        desk_port: seats,
        auth,
        counters: Counters::default(),
        web_connections: Level::new(web.connections),
        web_pending: Level::new(web.connections.saturating_mul(web.pending + 1)),
        desk_connections: Level::new(desk.connections),
        desk_pending: Level::new(desk.connections.saturating_mul(desk.pending + 1)),
        desk_notices: Level::new(desk.connections.saturating_mul(desk.notices)),
        seats: Seats::new(desk.seats),
        rates: crate::web::http::Rates::new(web),
        uploads: Level::new(config.files.uploads),
        downloads: Level::new(config.files.downloads),
        drain: watch::Sender::new(None),
        by_name,
        by_account,
        sessions: Mutex::new(Bucket::new(web.sessions_per_second, web.sessions_per_second, Timestamp(0))),
        started: Instant::now(),
        config,
    });
    let cors = {
        let shared = Arc::clone(&shared);
        CorsLayer::new()
            .allow_origin(AllowOrigin::predicate(move |origin: &HeaderValue, _: &request::Parts| {
                let allowed = |text| shared.config.inboxes.iter().any(|inbox| origin_allowed(&inbox.origins, text));
                origin.to_str().is_ok_and(allowed)
            }))
            .allow_methods([Method::GET, Method::POST])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                HeaderName::from_static("last-event-id"),
                header::IF_NONE_MATCH,
            ])
            .expose_headers([header::ETAG, header::CONTENT_DISPOSITION])
            .max_age(Duration::from_secs(600))
    };
    let customers = axum::Router::new()
        .route("/v1/web/sessions", post(crate::web::http::open_session))
        .route("/v1/web/begin", post(crate::web::http::begin))
        .route("/v1/web/request_agent", post(crate::web::http::request_agent))
        .route("/v1/web/messages", post(crate::web::http::message))
        .route("/v1/web/leave", post(crate::web::http::leave))
        .route("/v1/web/typing", post(crate::web::http::typing))
        .route("/v1/web/inbox", get(crate::web::http::inbox))
        .route("/v1/web/transcript", get(crate::web::http::transcript))
        .route("/v1/web/events", get(crate::web::http::events))
        .route("/v1/web/ws", get(crate::web::http::websocket))
        .route("/v1/web/files", post(crate::files::http::web_upload))
        .route("/v1/web/files/{file}", get(crate::files::http::web_download))
        .layer(cors);
    let desks = axum::Router::new()
        .route("/v1/desk/ws", get(crate::desk::rim::websocket))
        .route("/v1/desk/files", post(crate::files::http::desk_upload))
        .route("/v1/desk/files/{file}", get(crate::files::http::desk_download));
    let router = customers.merge(desks).with_state(Arc::clone(&shared));
    Ok((router, Handle { shared }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_pages_are_not_foreign() {
        let of = |pairs: &[(&str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                let name: axum::http::HeaderName = name.parse().expect("a name");
                headers.append(name, value.parse().expect("a value"));
            }
            origin_of(&headers).expect("readable")
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("host", "a:1"), ("origin", "http://a:1")]), None);
        assert_eq!(of(&[("host", "a"), ("origin", "https://a")]), None);
        for (host, origin) in [
            ("a:1", "http://a:2"),
            ("a:1", "http://a"),
            ("a", "http://b"),
            ("a", "null"),
            ("a", "a"),
            ("", "http://"),
            ("a", "file://a"),
        ] {
            assert!(of(&[("host", host), ("origin", origin)]).is_some(), "{host} {origin}");
        }
        // Two of either are nobody's word.
        assert!(of(&[("host", "a"), ("host", "b"), ("origin", "http://a")]).is_some());
        assert!(of(&[("host", "a"), ("origin", "http://a"), ("origin", "http://b")]).is_some());
        assert!(of(&[("origin", "http://a")]).is_some());
    }
}
