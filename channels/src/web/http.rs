//! HTTP of the web channel: sessions, posted acts, the long poll, the event stream, and the door of the WebSocket.
//!
//! Bodies are read by the same strict decoder as frames; errors are problem+json; the token comes as `Authorization: Bearer`
//! (an event stream may name it as `token=` in the query, because `EventSource` cannot set headers; nothing here logs a URL).
//! Numbers are the transcript's own: `after` on all three faces, `Last-Event-ID` on the event stream.

use crate::auth::check_identity;
use crate::bucket::Bucket;
use crate::config::{FRAME_BYTES_MAX, Face, SHORT_BYTES_MAX, VISITOR_BYTES_MIN, WebLimits};
use crate::gauges::{Gauge, Slot, bump};
use crate::ids;
use crate::item::{self, to_json};
use crate::json::Object;
use crate::problem::Problem;
use crate::service::Shared;
use crate::socket::{self, Sse, problem_response};
use crate::web::frame::{Kind, StandingFrame, Submission, answer, submission};
use crate::web::machine::{Admission, Machine, STANDING_EVERY};
use crate::web::rim::{self, Bell};
use axum::body::{Body, to_bytes};
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse;
use axum::response::{IntoResponse, Response};
use dashmap::DashMap;
use futures_util::stream;
use serde::Serialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tidegate_model::output::{Outcome, Refusal};
use tidegate_model::port::{CustomerGrant, Egress, PortError, Standing, TranscriptItem};
use tidegate_model::{CustomerId, Millis, Timestamp};
use tokio::time::{sleep_until, timeout_at};

/// Rates of conversations that speak by HTTP: one bucket each, as a connection has.
#[derive(Debug)]
pub(crate) struct Rates {
    buckets: DashMap<u128, Bucket>,
    limits: WebLimits,
    swept: AtomicU64,
}

impl Rates {
    pub(crate) fn new(limits: WebLimits) -> Self {
        Self { buckets: DashMap::new(), limits, swept: AtomicU64::new(0) }
    }

    pub(crate) fn gauge(&self, name: &'static str) -> Gauge {
        Gauge { name, used: self.buckets.len(), limit: self.limits.connections }
    }

    /// Takes one token of the conversation.
    pub(crate) fn take(&self, grant: &CustomerGrant, now: Timestamp) -> Result<(), Problem> {
        if self.buckets.len() >= self.limits.connections {
            // A full bucket is as good as none. Sweeping is linear, so it happens once a second at most.
            let last = self.swept.load(Ordering::Relaxed);
            if now.0 >= last.saturating_add(1_000)
                && self.swept.compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            {
                self.buckets.retain(|_, bucket| !bucket.is_full(now));
            }
            if self.buckets.len() >= self.limits.connections {
                return Err(Problem::busy(Millis(1_000)));
            }
        }
        let fresh = || Bucket::new(self.limits.frames_per_second, self.limits.frames_burst, now);
        self.buckets.entry(grant.conversation.0).or_insert_with(fresh).take(now).map_err(Problem::rate)
    }
}

/// A place, or the answer that there is none.
fn place(shared: &Arc<Shared>) -> Result<Slot, Problem> {
    if let Some(retry_after) = *shared.drain.borrow() {
        let mut problem = Problem::port(&PortError::Closed);
        problem.retry_after = Some(retry_after);
        return Err(problem);
    }
    shared.web_connections.slot().ok_or_else(|| {
        bump(&shared.counters.connections_refused);
        Problem::busy(Millis(5_000))
    })
}

/// The token of `Authorization: Bearer`. Two headers are none: two readers of one request must not find two holders.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all("authorization").iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    value.to_str().ok().and_then(|text| text.strip_prefix("Bearer "))
}

pub(crate) fn admit(shared: &Shared, headers: &HeaderMap, query: Option<&str>) -> Result<Admission, Problem> {
    let origin = shared.any_inbox_allows(headers)?;
    let token = bearer(headers).or(query);
    let missing = || Problem::of("unauthorised", "send Authorization: Bearer with a session token");
    shared.admit(token.ok_or_else(missing)?, origin.as_deref())
}

async fn body(request: Request) -> Result<axum::body::Bytes, Problem> {
    to_bytes(request.into_body(), FRAME_BYTES_MAX).await.map_err(|_| {
        Problem::of("too-large", format!("the body is too large or broke off: at most {FRAME_BYTES_MAX} bytes of JSON"))
    })
}

#[derive(Serialize)]
struct SessionMade<'a> {
    token: &'a str,
    conversation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    visitor: Option<&'a str>,
    verified: bool,
    expires_in_s: u64,
}

/// `POST /v1/web/sessions`.
pub(crate) async fn open_session(State(shared): State<Arc<Shared>>, headers: HeaderMap, request: Request) -> Response {
    match session(&shared, &headers, request).await {
        Ok(response) => response,
        Err(problem) => problem_response(&problem),
    }
}

async fn session(shared: &Arc<Shared>, headers: &HeaderMap, request: Request) -> Result<Response, Problem> {
    let origin = shared.any_inbox_allows(headers)?;
    let _slot = place(shared)?;
    shared.take_session()?;
    let bytes = body(request).await?;
    let mut object = Object::parse(&bytes)?;
    let name = object.text("inbox", SHORT_BYTES_MAX)?;
    let visitor = object.opt_text("visitor", SHORT_BYTES_MAX)?;
    let identity = object.opt_text("identity", crate::auth::TOKEN_BYTES_MAX)?;
    let called = object.opt_text("name", SHORT_BYTES_MAX)?;
    object.finish()?;
    if called.as_ref().is_some_and(|called| called.chars().any(char::is_control)) {
        return Err(Problem::field("name", "name must have no control characters"));
    }
    let unknown = || Problem::of("unknown-inbox", "check the name of the inbox").at("inbox");
    let inbox = shared.inbox(&name).ok_or_else(unknown)?;
    if origin.is_some_and(|origin| !crate::config::origin_allowed(&inbox.origins, &origin)) {
        bump(&shared.counters.origins_refused);
        return Err(Problem::of("foreign-origin", "not an origin of this inbox"));
    }
    let (visitor, customer, verified) = match identity {
        Some(token) => {
            let no_keys = || Problem::field("identity", "this inbox takes no signed identities");
            let keys = inbox.site_keys.as_ref().ok_or_else(no_keys)?;
            if visitor.is_some() {
                return Err(Problem::field("visitor", "visitor and identity exclude each other"));
            }
            let now_s = (shared.config.clock)();
            let (subject, customer) = check_identity(keys, inbox.tenant, &inbox.name, &token, now_s).map_err(|error| {
                bump(&shared.counters.tokens_refused);
                Problem::auth(error).at("identity")
            })?;
            (subject, customer, true)
        }
        None if inbox.verified_only => {
            return Err(Problem::of("verified-only", "this inbox takes verified visitors only").at("identity"));
        }
        None => (anonymous(visitor.as_deref())?, CustomerId::NONE, false),
    };
    let conversation = ids::conversation(inbox.account, &visitor, verified);
    let grant = CustomerGrant { tenant: inbox.tenant, account: inbox.account, conversation, customer };
    let life = shared.config.web.token.as_secs();
    let token = shared.config.authority.mint_customer(&grant, life).map_err(Problem::auth)?;
    bump(&shared.counters.sessions_opened);
    if let Some(called) = called {
        shared.ingress.introduce(grant.tenant, conversation, called.trim());
    }
    let made = SessionMade {
        token: &token,
        conversation: item::conversation_text(conversation),
        visitor: (!verified).then_some(&visitor),
        verified,
        expires_in_s: life,
    };
    Ok(json(StatusCode::CREATED, &made))
}

/// An anonymous visitor's id: its own from last time, or 128 fresh bits. Whoever knows it is that visitor.
fn anonymous(visitor: Option<&str>) -> Result<String, Problem> {
    let Some(visitor) = visitor else {
        let mut bits = [0_u8; 16];
        getrandom::fill(&mut bits).map_err(|_| Problem::busy(Millis(1_000)))?;
        return Ok(format!("{:032x}", u128::from_be_bytes(bits)));
    };
    let plain = visitor.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if plain && visitor.len() >= VISITOR_BYTES_MIN {
        return Ok(visitor.to_owned());
    }
    Err(Problem::field(
        "visitor",
        format!(
            "visitor must be {VISITOR_BYTES_MIN} to {SHORT_BYTES_MAX} letters, digits, - or _, hard to guess; leave it out to get one"
        ),
    ))
}

fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let headers = [("content-type", "application/json"), ("cache-control", "no-store")];
    (status, headers, to_json(value)).into_response()
}

macro_rules! posts {
    ($($(#[$doc:meta])* $name:ident => $kind:ident),+ $(,)?) => {
        $($(#[$doc])* pub(crate) async fn $name(State(shared): State<Arc<Shared>>, headers: HeaderMap, request: Request) -> Response {
            match post(&shared, &headers, Kind::$kind, request).await {
                Ok(response) => response,
                Err(problem) => problem_response(&problem),
            }
        })+
    };
}

posts! {
    /// `POST /v1/web/begin`.
    begin => Begin,
    /// `POST /v1/web/request_agent`.
    request_agent => RequestAgent,
    /// `POST /v1/web/messages`.
    message => Message,
    /// `POST /v1/web/leave`.
    leave => Leave,
}

async fn post(shared: &Arc<Shared>, headers: &HeaderMap, kind: Kind, request: Request) -> Result<Response, Problem> {
    let admission = admit(shared, headers, None)?;
    let slot = place(shared)?;
    // A drain waits for posts, too.
    let drain = shared.drain.subscribe();
    shared.rates.take(&admission.grant, shared.now()).inspect_err(|_| bump(&shared.counters.frames_limited))?;
    let bytes = body(request).await?;
    bump(&shared.counters.frames_in);
    let decoded = Object::parse(&bytes).and_then(|object| submission(kind, object).map_err(|bad| *bad.problem));
    let submission = decoded.inspect_err(|_| bump(&shared.counters.frames_refused))?;
    if !admission.may_write {
        return Err(Problem::of("verified-only", "this inbox takes verified visitors only"));
    }
    let result = decide(shared, &admission.grant, submission).await;
    drop((slot, drain));
    result
}

async fn decide(shared: &Shared, grant: &CustomerGrant, submission: Submission) -> Result<Response, Problem> {
    let id = submission.client_msg_id.clone();
    let outcome = crate::files::accept(shared, grant, submission).await.map_err(|error| {
        if matches!(error, PortError::Busy { .. }) {
            bump(&shared.counters.ports_busy);
        }
        Problem::port(&error)
    })?;
    let reason = match outcome {
        Outcome::Refused(Refusal::Rule(reason)) => shared.config.names.text(reason.0),
        _ => None,
    };
    let frame = answer(&id, outcome, reason.as_deref())?;
    Ok(json(StatusCode::OK, &frame))
}

/// `POST /v1/web/typing`.
pub(crate) async fn typing(State(shared): State<Arc<Shared>>, headers: HeaderMap, request: Request) -> Response {
    match types(&shared, &headers, request).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(problem) => problem_response(&problem),
    }
}

async fn types(shared: &Arc<Shared>, headers: &HeaderMap, request: Request) -> Result<(), Problem> {
    let Admission { grant, may_write } = admit(shared, headers, None)?;
    let _slot = place(shared)?;
    shared.rates.take(&grant, shared.now()).inspect_err(|_| bump(&shared.counters.frames_limited))?;
    Object::parse(&body(request).await?)?.finish()?;
    if may_write {
        bump(&shared.counters.typing_in);
        shared.ingress.typing(grant.tenant, grant.conversation);
    }
    Ok(())
}

/// `GET /v1/web/inbox?inbox=name`: what a page needs before it opens a conversation. No token.
pub(crate) async fn inbox(State(shared): State<Arc<Shared>>, headers: HeaderMap, RawQuery(raw): RawQuery) -> Response {
    match inbox_face(&shared, &headers, raw.as_deref()) {
        Ok(response) => response,
        Err(problem) => problem_response(&problem),
    }
}

#[derive(Serialize)]
struct InboxMade<'a> {
    inbox: &'a str,
    verified_only: bool,
    #[serde(flatten)]
    face: &'a Face,
    file_bytes_max: u64,
}

fn inbox_face(shared: &Shared, headers: &HeaderMap, raw: Option<&str>) -> Result<Response, Problem> {
    let origin = shared.any_inbox_allows(headers)?;
    let missing = || Problem::parameter("inbox", "inbox is missing: ?inbox= and the name of one");
    let (field, name) = raw.and_then(|raw| raw.split_once('=')).ok_or_else(missing)?;
    if field != "inbox" {
        return Err(missing());
    }
    let name = unescape(name).filter(|name| name.len() <= SHORT_BYTES_MAX).ok_or_else(missing)?;
    let unknown = || Problem::of("unknown-inbox", "check the name of the inbox").at("inbox");
    let inbox = shared.inbox(&name).ok_or_else(unknown)?;
    if origin.is_some_and(|origin| !crate::config::origin_allowed(&inbox.origins, &origin)) {
        bump(&shared.counters.origins_refused);
        return Err(Problem::of("foreign-origin", "not an origin of this inbox"));
    }
    let (verified_only, file_bytes_max) = (inbox.verified_only, shared.file_bytes_max());
    let made = InboxMade { inbox: &inbox.name, verified_only, face: &inbox.face, file_bytes_max };
    let headers = [("content-type", "application/json"), ("cache-control", "max-age=60"), ("vary", "origin")];
    Ok((StatusCode::OK, headers, to_json(&made)).into_response())
}

/// The text of one query value: percent signs and plus signs undone; nothing when it is none.
fn unescape(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            b'&' => return None,
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// `after`, `wait_s` and `token` of a query.
#[derive(Default)]
struct Query {
    after: u32,
    wait: Millis,
    token: Option<String>,
}

fn query(raw: Option<&str>, limits: &WebLimits, with_token: bool) -> Result<Query, Problem> {
    let mut query = Query::default();
    for pair in raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let number = |most: u64| match value.parse::<u64>() {
            Ok(number) if number <= most && !value.starts_with('+') => Ok(number),
            _ => Err(Problem::parameter(name, format!("{} must be a whole number from 0 to {most}", crate::json::clip(name)))),
        };
        match name {
            "after" => query.after = number(u64::from(u32::MAX))? as u32,
            "wait_s" if !with_token => query.wait = Millis(number(limits.poll.0.div_ceil(1_000))? * 1_000),
            // A token has no characters that a query escapes.
            "token" if with_token => query.token = Some(value.to_owned()),
            other => {
                let shown = crate::json::clip(other);
                let known = if with_token { "after, token" } else { "after, wait_s" };
                let detail = format!("unknown parameter `{shown}`; known here: {known}");
                return Err(Problem::of("unknown-parameter", detail).at(shown));
            }
        }
    }
    Ok(query)
}

/// `GET /v1/web/transcript?after=n&wait_s=s`.
pub(crate) async fn transcript(State(shared): State<Arc<Shared>>, headers: HeaderMap, RawQuery(raw): RawQuery) -> Response {
    match poll(&shared, &headers, raw.as_deref()).await {
        Ok(response) => response,
        Err(problem) => problem_response(&problem),
    }
}

async fn poll(shared: &Arc<Shared>, headers: &HeaderMap, raw: Option<&str>) -> Result<Response, Problem> {
    let Admission { grant, .. } = admit(shared, headers, None)?;
    let query = query(raw, &shared.config.web, false)?;
    let _slot = place(shared)?;
    shared.rates.take(&grant, shared.now()).inspect_err(|_| bump(&shared.counters.frames_limited))?;
    let mut drain = shared.drain.subscribe();
    let bell = Arc::new(Bell::default());
    let _watch = shared.ingress.watch(grant.tenant, grant.conversation, Arc::clone(&bell) as Arc<dyn Egress>);
    let until = shared.instant(shared.now() + query.wait);
    let mut items = page(shared, &grant, query.after, shared.config.web.page).await?;
    if items.is_empty() && query.after > 0 && page(shared, &grant, query.after - 1, 1).await?.is_empty() {
        let detail = format!("item {} is not in this conversation: ask again with after=0", query.after);
        return Err(Problem::of("resume-ahead", detail).at("after"));
    }
    let before = shared.ingress.standing(grant.tenant, grant.conversation);
    let mut look_at = shared.instant(shared.now() + STANDING_EVERY);
    while items.is_empty() {
        tokio::select! {
            n = timeout_at(until.min(look_at), bell.rung()) => match n {
                Ok(n) if n <= query.after => continue,
                Ok(_) => items = page(shared, &grant, query.after, shared.config.web.page).await?,
                Err(_) if until <= look_at => break,
                Err(_) => {
                    look_at += Duration::from_millis(STANDING_EVERY.0);
                    let at = before.map(|standing| standing.at).unwrap_or_default();
                    let now = shared.ingress.standing(grant.tenant, grant.conversation);
                    if now.map(|standing| Standing { at, ..standing }) != before {
                        break;
                    }
                    continue;
                }
            },
            _ = drain.changed() => break,
        }
        if items.is_empty() {
            // A wake ran ahead of the index: look again a little later, or at the end.
            sleep_until(until.min(shared.instant(shared.now() + Millis(50)))).await;
            items = page(shared, &grant, query.after, shared.config.web.page).await?;
        }
    }
    let mut text = format!("{{\"conversation\":\"{}\",\"items\":[", item::conversation_text(grant.conversation));
    let mut n = query.after;
    for found in &items {
        if found.n != n + 1 {
            return Err(Problem::of("internal", "a gap in the transcript"));
        }
        if n > query.after {
            text.push(',');
        }
        n = found.n;
        text.push_str(&item::frame(found, None, &shared.config.names));
        bump(&shared.counters.items_out);
    }
    let standing = shared.ingress.standing(grant.tenant, grant.conversation);
    let standing = standing.map(|standing| to_json(&StandingFrame::new(&standing, &shared.config.names)));
    text.push_str(&format!("],\"n\":{n},\"standing\":{}}}", standing.as_deref().unwrap_or("null")));
    Ok((StatusCode::OK, [("content-type", "application/json"), ("cache-control", "no-store")], text).into_response())
}

async fn page(shared: &Shared, grant: &CustomerGrant, after: u32, max: usize) -> Result<Vec<TranscriptItem>, Problem> {
    match shared.ingress.transcript(grant.tenant, grant.conversation, after, max).await {
        Ok(items) => Ok(items),
        Err(PortError::Unknown) => Ok(Vec::new()),
        Err(error) => Err(Problem::port(&error)),
    }
}

/// `GET /v1/web/events`.
pub(crate) async fn events(State(shared): State<Arc<Shared>>, headers: HeaderMap, RawQuery(raw): RawQuery) -> Response {
    match stream_events(&shared, &headers, raw.as_deref()) {
        Ok(response) => response,
        Err(problem) => problem_response(&problem),
    }
}

fn stream_events(shared: &Arc<Shared>, headers: &HeaderMap, raw: Option<&str>) -> Result<Response, Problem> {
    let mut query = query(raw, &shared.config.web, true)?;
    let admission = admit(shared, headers, query.token.as_deref())?;
    if let Some(last) = headers.get("last-event-id") {
        let number = last.to_str().ok().and_then(|text| text.parse().ok());
        query.after = number.ok_or_else(|| Problem::parameter("Last-Event-ID", "Last-Event-ID must be the number of an item"))?;
    }
    let slot = place(shared)?;
    let mut machine = Machine::new(shared.config.web, Arc::clone(&shared.config.names), shared.now(), shared.wall());
    machine.on_admitted(admission, query.after);
    let (pipe, body) = Sse::new();
    tokio::spawn(rim::serve(Arc::clone(shared), pipe, machine, None, slot));
    let body = stream::unfold(body, |mut body| async { body.recv().await.map(|event| (Ok::<_, Infallible>(event), body)) });
    let keep = sse::KeepAlive::new().interval(Duration::from_secs(15)).text("");
    let mut response = sse::Sse::new(body).keep_alive(keep).into_response();
    response.headers_mut().insert("cache-control", axum::http::HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `GET /v1/web/ws`.
pub(crate) async fn websocket(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let origin = match shared.any_inbox_allows(request.headers()) {
        Ok(origin) => origin,
        Err(problem) => return problem_response(&problem),
    };
    let slot = match place(&shared) {
        Ok(slot) => slot,
        Err(problem) => return problem_response(&problem),
    };
    socket::upgrade(request, move |ws| async move {
        let machine = Machine::new(shared.config.web, Arc::clone(&shared.config.names), shared.now(), shared.wall());
        rim::serve(shared, ws, machine, origin, slot).await;
    })
}
