//! The one place through which administrative acts go: each is in the audit, durably, before it is done.
//!
//! [`ACTS`] names every administrative route with its action; whoever adds a route that changes something adds a row, and a
//! test compares the rows with the routes. A permitted act is `asked` for on the disk first, then done in a task of its own
//! (a caller who hangs up neither stops it half-way nor hides its outcome), then its `outcome` is recorded. Refused attempts
//! are recorded too, at a bounded rate, so that nobody fills the disk with them. An audit that cannot be written refuses the
//! act with the problem `audit-failed` and stops nothing else: customers and agents never come here.
//!
//! It refuses to know what an act does. Bodies, tokens and customers' words are never recorded; paths and queries are masked.
//!
//! Drive it: [`Security`] into [`super::Api::guarded`]; [`acts`] is laid over the routes.

use super::Api;
use super::problem::Problem;
use crate::audit::{Actor, Audit};
use crate::auth::{AdminGrant, Permission, Tokens};
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidegate_model::mask::mask_text;
use tidegate_model::port::DeskTokens;
use tokio::time::Instant;

/// Refused attempts that are recorded in [`REFUSED_WINDOW`]; further ones are counted and told with the next.
pub const REFUSED_MAX: u32 = 60;
/// See [`REFUSED_MAX`].
pub const REFUSED_WINDOW: Duration = Duration::from_secs(60);

/// What stands behind the API's tokens and its audit.
pub struct Security {
    /// Tokens made over the API.
    pub tokens: Tokens,
    /// The audit.
    pub audit: Audit,
    /// Who draws desk tokens.
    pub desk: Arc<dyn DeskTokens>,
    /// Sign-in of people; none when it is not configured.
    pub oidc: Option<super::signin::SignIn>,
    refused: Mutex<Refused>,
}

struct Refused {
    since: Option<Instant>,
    recorded: u32,
    left_out: u64,
}

/// An administrative route.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    /// Method.
    pub method: &'static str,
    /// Path with its parameters' names.
    pub path: &'static str,
    /// Its name in the audit.
    pub action: &'static str,
    /// What it needs; for a dry run less may do, which the route itself decides.
    pub need: Permission,
}

const fn act(method: &'static str, path: &'static str, action: &'static str, need: Permission) -> Act {
    Act { method, path, action, need }
}

/// Every administrative route.
pub const ACTS: &[Act] = &[
    act("POST", "/v1/drain", "node.drain", Permission::Drain),
    act("PUT", "/v1/tenants/{tenant}/policy", "policy.activate", Permission::WritePolicy),
    act("PUT", "/v1/tenants/{tenant}/agents/{agent}", "agent.write", Permission::WriteRoster),
    act("PUT", "/v1/tenants/{tenant}/accounts/{account}", "account.write", Permission::WriteAccounts),
    act("GET", "/v1/tenants/{tenant}/conversations/{conversation}/transcript", "transcript.read", Permission::ReadTranscripts),
    act("GET", "/v1/tenants/{tenant}/conversations/{conversation}/messages", "messages.read", Permission::ReadTranscripts),
    act("POST", "/v1/tenants/{tenant}/seats/{seat}/commands", "seat.command", Permission::ActAtAnySeat),
    act("POST", "/v1/tokens", "token.create", Permission::ManageTokens),
    act("DELETE", "/v1/tokens/{id}", "token.revoke", Permission::ManageTokens),
    act("POST", "/v1/tokens/{id}/rotate", "token.rotate", Permission::ManageTokens),
    act("POST", "/v1/tenants/{tenant}/seats/{seat}/token", "seat_token.draw", Permission::IssueSeatTokens),
    act("GET", "/v1/audit", "audit.read", Permission::ReadAudit),
    act("POST", "/v1/tenants/{tenant}/webhooks", "webhook.create", Permission::ManageWebhooks),
    act("PATCH", "/v1/tenants/{tenant}/webhooks/{id}", "webhook.change", Permission::ManageWebhooks),
    act("DELETE", "/v1/tenants/{tenant}/webhooks/{id}", "webhook.remove", Permission::ManageWebhooks),
    act("POST", "/v1/tenants/{tenant}/webhooks/{id}/rotate", "webhook.rotate", Permission::ManageWebhooks),
    act("POST", "/v1/tenants/{tenant}/webhooks/{id}/rewind", "webhook.rewind", Permission::ManageWebhooks),
    act("POST", "/v1/tenants/{tenant}/webhooks/{id}/test", "webhook.test", Permission::ManageWebhooks),
    act("POST", "/v1/tenants/{tenant}/webhooks/{id}/dead-letters/{event}/resend", "webhook.resend", Permission::ManageWebhooks),
];

/// Routes that change something and are not in [`ACTS`], each with its reason.
pub const UNRECORDED: &[(&str, &str, &str)] = &[
    ("POST", "/v1/tenants/{tenant}/conversations", CUSTOMER),
    ("POST", "/v1/tenants/{tenant}/conversations/{conversation}/messages", CUSTOMER),
    ("POST", "/v1/tenants/{tenant}/conversations/{conversation}/request-agent", CUSTOMER),
    ("POST", "/v1/tenants/{tenant}/conversations/{conversation}/leave", CUSTOMER),
    ("POST", "/v1/tenants/{tenant}/policy/validate", "a policy is tried and nothing changes"),
];

const CUSTOMER: &str =
    "a customer's act: it is an entry of the log and an item of the transcript, and a customer never waits for the audit";

/// What a handler adds to the record of its act's outcome: names, ids and hashes.
#[derive(Clone, Debug, Default)]
pub(super) struct Details(pub Vec<(&'static str, String)>);

impl Security {
    /// Tokens, audit and desk tokens, without sign-in of people.
    pub fn new(tokens: Tokens, audit: Audit, desk: Arc<dyn DeskTokens>) -> Self {
        let refused = Mutex::new(Refused { since: None, recorded: 0, left_out: 0 });
        Self { tokens, audit, desk, oidc: None, refused }
    }

    /// Whether one more refused attempt is recorded now, and how many were left out since the last.
    fn may_record(&self) -> Option<u64> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if refused.since.is_none_or(|since| now.duration_since(since) >= REFUSED_WINDOW) {
            (refused.since, refused.recorded) = (Some(now), 0);
        }
        if refused.recorded == REFUSED_MAX {
            refused.left_out += 1;
            return None;
        }
        refused.recorded += 1;
        Some(std::mem::take(&mut refused.left_out))
    }
}

/// What a grant is in the audit.
pub(super) fn actor(grant: Option<&AdminGrant>, from: &str) -> Actor {
    let unknown = AdminGrant::of_node("", crate::auth::Role::Viewer);
    let known = grant.unwrap_or(&unknown);
    Actor {
        name: known.name.clone(),
        role: grant.map_or_else(|| "unknown".to_owned(), |grant| grant.role.word().to_owned()),
        token: known.token.clone(),
        from: from.to_owned(),
    }
}

/// The middleware: nothing for other routes, the audit around administrative ones.
pub(super) async fn acts(State(api): State<Api>, request: Request, next: Next) -> Response {
    let found = request.extensions().get::<MatchedPath>().and_then(|path| find(request.method(), path.as_str()));
    match (found, api.security()) {
        (Some(act), Some(security)) => guarded(api.clone(), security.clone(), act, request, next).await,
        _ => next.run(request).await,
    }
}

fn find(method: &Method, path: &str) -> Option<&'static Act> {
    ACTS.iter().find(|act| act.path == path && method.as_str() == act.method)
}

async fn guarded(api: Api, security: Arc<Security>, act: &'static Act, request: Request, next: Next) -> Response {
    let grant = api.who(request.headers()).ok();
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|from| from.0.ip().to_string()).unwrap_or_default();
    let actor = actor(grant.as_ref(), &from);
    let tenant = tenant_of(act, request.uri().path());
    let details = details_of(&request);
    // A dry run needs less and changes nothing; the route itself refuses whoever lacks even that.
    let is_permitted = grant.is_some_and(|grant| grant.role.may(act.need));
    if !is_permitted {
        let response = next.run(request).await;
        if matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            refused(security, act, actor, tenant, details, response.status()).await;
        }
        return response;
    }
    let audit = security.audit.clone();
    let asked = tokio::task::spawn_blocking(move || audit.asked(act.action, actor, tenant, &details)).await;
    let asked = match asked {
        Ok(Ok(asked)) => asked,
        Ok(Err(error)) => return failed(act, &error.to_string()),
        Err(_) => return failed(act, "the audit's thread ended"),
    };
    // Of its own: a caller who hangs up, or is too slow, leaves an act whole and with its outcome.
    let done = tokio::spawn(async move {
        let response = next.run(request).await;
        let (outcome, details) = outcome_of(&response);
        let recorded = tokio::task::spawn_blocking(move || asked.outcome(outcome, &details)).await;
        if !matches!(recorded, Ok(Ok(()))) {
            tracing::error!(action = act.action, "the outcome of an act could not be recorded; it stands as asked for");
        }
        response
    });
    done.await.unwrap_or_else(|_| Problem::internal("the act ended by a panic; see the node's log").into_response())
}

fn failed(act: &Act, cause: &str) -> Response {
    tracing::error!(cause, "the audit cannot be written");
    unrecorded(act.action).into_response()
}

/// The problem of an act that was not done because it could not be recorded.
pub(super) fn unrecorded(action: &str) -> Problem {
    tracing::error!(action, "an act is refused, because it cannot be recorded");
    let detail = "the audit cannot be written, so nothing was done; customers and agents are served on; see the node's log";
    Problem::new("audit-failed", StatusCode::SERVICE_UNAVAILABLE, "The act cannot be recorded", detail)
}

/// Records a refused sign-in, within the bound of refused attempts.
pub(super) async fn refused_sign_in(security: &Arc<Security>, actor: Actor, cause: String) {
    let Some(left_out) = security.may_record() else { return };
    let details = [("cause", cause), ("left_out_before", left_out.to_string())];
    let audit = security.audit.clone();
    let noted = tokio::task::spawn_blocking(move || audit.note("person.sign_in", actor, None, "refused", &details)).await;
    if !matches!(noted, Ok(Ok(()))) {
        tracing::error!("a refused sign-in could not be recorded");
    }
}

async fn refused(
    security: Arc<Security>,
    act: &'static Act,
    actor: Actor,
    tenant: Option<u32>,
    mut details: Vec<(&'static str, String)>,
    status: StatusCode,
) {
    let Some(left_out) = security.may_record() else { return };
    details.push(("status", status.as_u16().to_string()));
    if left_out > 0 {
        details.push(("left_out_before", left_out.to_string()));
    }
    let audit = security.audit.clone();
    let noted = tokio::task::spawn_blocking(move || audit.note(act.action, actor, tenant, "refused", &details)).await;
    if !matches!(noted, Ok(Ok(()))) {
        tracing::error!(action = act.action, "a refused attempt could not be recorded");
    }
}

fn outcome_of(response: &Response) -> (&'static str, Vec<(&'static str, String)>) {
    let status = response.status();
    let outcome = match status {
        status if status.is_server_error() => "failed",
        status if status.is_client_error() => "refused",
        _ => "done",
    };
    let mut details = vec![("status", status.as_u16().to_string())];
    if let Some(etag) = response.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok()) {
        details.push(("etag", etag.trim_matches('"').to_owned()));
    }
    if response.headers().contains_key("idempotent-replay") {
        details.push(("replay", "true".to_owned()));
    }
    if let Some(Details(more)) = response.extensions().get::<Details>() {
        details.extend(more.iter().cloned());
    }
    (outcome, details)
}

fn details_of(request: &Request) -> Vec<(&'static str, String)> {
    let mut details = vec![("path", mask_text(request.uri().path()))];
    if let Some(query) = request.uri().query().filter(|query| !query.is_empty()) {
        details.push(("query", mask_text(query)));
    }
    if let Some(tag) = request.headers().get(header::IF_MATCH).and_then(|tag| tag.to_str().ok()) {
        details.push(("if_match", mask_text(tag)));
    }
    details
}

/// The number at the place of `{tenant}`.
fn tenant_of(act: &Act, path: &str) -> Option<u32> {
    let mut parts = act.path.split('/').zip(path.split('/'));
    parts.find(|(name, _)| *name == "{tenant}").and_then(|(_, id)| id.parse().ok())
}

#[cfg(test)]
mod tests {
    //! The table of acts, and the bound of refused attempts.

    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn acts_stand_once_and_name_their_kind() {
        let routes: BTreeSet<_> = ACTS.iter().map(|act| (act.method, act.path)).collect();
        let actions: BTreeSet<_> = ACTS.iter().map(|act| act.action).collect();
        assert_eq!((routes.len(), actions.len()), (ACTS.len(), ACTS.len()));
        for act in ACTS {
            assert!(act.action.split_once('.').is_some_and(|(what, does)| !what.is_empty() && !does.is_empty()), "{act:?}");
            assert!(find(&Method::from_bytes(act.method.as_bytes()).expect("a method"), act.path).is_some());
        }
        assert!(find(&Method::GET, "/v1/drain").is_none());
    }

    /// What is missing or too much between what is served and what is recorded.
    fn faults(served: &[(String, &str, Option<Permission>)], acts: &[Act], unrecorded: &[(&str, &str, &str)]) -> Vec<String> {
        let mut faults = Vec::new();
        for (method, path, need) in served {
            let act = acts.iter().find(|act| act.method == method && act.path == *path);
            let reasons = unrecorded.iter().filter(|(m, p, _)| m == method && p == path).count();
            match (act, reasons) {
                (Some(act), 0) if Some(act.need) == *need => {}
                (Some(act), 0) => faults.push(format!("{method} {path}: recorded for {}, served for {need:?}", act.need)),
                (None, 0) if method != "GET" => {
                    faults.push(format!("{method} {path}: neither in ACTS nor, with a reason, in UNRECORDED"))
                }
                (None, 0 | 1) => {}
                _ => faults.push(format!("{method} {path}: both recorded and excused")),
            }
        }
        let is_served = |method: &str, path: &str| served.iter().any(|(m, p, _)| m == method && *p == path);
        let rows = acts.iter().map(|act| (act.method, act.path)).chain(unrecorded.iter().map(|(m, p, _)| (*m, *p)));
        faults.extend(rows.filter(|(m, p)| !is_served(m, p)).map(|(m, p)| format!("{m} {p}: nothing is served there")));
        faults
    }

    #[test]
    fn whatever_changes_something_is_recorded_or_says_why_not() {
        let served: Vec<_> = super::super::operations::all().iter().map(super::super::op::Op::facts).collect();
        assert!(served.iter().filter(|(method, ..)| method != "GET").count() > 20, "{served:?}");
        assert_eq!(faults(&served, ACTS, UNRECORDED), Vec::<String>::new());
        assert!(UNRECORDED.iter().all(|(_, _, reason)| reason.len() > 20), "a reason is a sentence");
        // The check can say no: each row of ACTS left out, each excuse left out, a wrong permission, a row of nothing.
        for gone in ACTS {
            let fewer: Vec<_> = ACTS.iter().filter(|act| act.action != gone.action).copied().collect();
            assert_eq!(faults(&served, &fewer, UNRECORDED).len(), usize::from(gone.method != "GET"), "{gone:?}");
        }
        assert_eq!(faults(&served, ACTS, &UNRECORDED[1..]).len(), 1);
        assert_eq!(faults(&served, ACTS, &[UNRECORDED, &[("PUT", "/v1/nowhere", "")]].concat()).len(), 1);
        let other = [act("POST", "/v1/drain", "node.drain", Permission::ReadFigures)];
        assert_eq!(faults(&served, &[&other, &ACTS[1..]].concat(), UNRECORDED).len(), 1);
    }

    #[test]
    fn the_tenant_is_read_from_its_place() {
        let policy = &ACTS[1];
        assert_eq!(tenant_of(policy, "/v1/tenants/7/policy"), Some(7));
        assert_eq!(tenant_of(policy, "/v1/tenants/x/policy"), None);
        assert_eq!(tenant_of(&ACTS[0], "/v1/drain"), None);
    }
}
