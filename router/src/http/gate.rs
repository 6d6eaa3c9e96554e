//! What every request passes: the token and its reach, the size of the body, the form of parameters, and the last word on
//! errors (nothing leaves that is an error and no problem+json).
//!
//! It refuses to know what a route does. Drive it: [`Api::allow`], [`body`], [`Query`] in each handler.

use super::Api;
use super::problem::Problem;
use crate::auth::{AdminGrant, Scope};
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tidegate_model::ids::TenantId;

/// Longest query string, in bytes.
pub const QUERY_BYTES_MAX: usize = 1_024;

impl Api {
    /// The grant of a request's token, when it permits `need` everywhere.
    pub(super) fn allow(&self, headers: &HeaderMap, need: Scope) -> Result<AdminGrant, Problem> {
        let grant = self.grant(headers, need)?;
        if grant.tenant.is_some() {
            return Err(forbidden("this token reaches one tenant; a token for the whole node is needed"));
        }
        Ok(grant)
    }

    /// The grant of a request's token, when it permits `need` at a tenant that exists here.
    pub(super) fn allow_at(&self, headers: &HeaderMap, need: Scope, tenant: &str) -> Result<(AdminGrant, TenantId), Problem> {
        let grant = self.grant(headers, need)?;
        let id = tenant.parse::<u32>().ok().filter(|id| *id != 0 && !tenant.starts_with('+')).map(TenantId);
        let reaches = |id: &TenantId| grant.tenant.is_none_or(|only| only == *id) && self.node().has_tenant(*id);
        // A tenant of somebody else and one that does not exist look the same.
        match id.filter(reaches) {
            Some(id) => Ok((grant, id)),
            None => {
                Err(Problem::not_found("unknown-tenant", "no such tenant on this node, or not within this token's reach")
                    .at("tenant"))
            }
        }
    }

    pub(super) fn grant(&self, headers: &HeaderMap, need: Scope) -> Result<AdminGrant, Problem> {
        let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let Some((_, token)) = token else {
            return Err(unauthorised("send the header Authorization: Bearer <token>"));
        };
        let admins = self.admins();
        let Some(grant) = admins.check(token.trim()) else {
            return Err(unauthorised("the token is not known here"));
        };
        if grant.scope < need {
            return Err(forbidden(format!("the scope {:?} is needed; this token has {:?}", need.word(), grant.scope.word())));
        }
        Ok(grant.clone())
    }
}

fn unauthorised(detail: &'static str) -> Problem {
    Problem::new("unauthorised", StatusCode::UNAUTHORIZED, "Who asks?", detail).at("Authorization")
}

fn forbidden(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new("forbidden", StatusCode::FORBIDDEN, "The token does not permit it", detail).at("Authorization")
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn body(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || {
        Problem::new(
            "too-large",
            StatusCode::PAYLOAD_TOO_LARGE,
            "The body is too large",
            format!("at most {limit} bytes are read here"),
        )
    };
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > limit as u64) {
        return Err(too_large());
    }
    // One byte more than the limit tells "too large" from a connection that broke.
    match axum::body::to_bytes(body, limit).await {
        Ok(bytes) => Ok(bytes),
        Err(error) if is_limit(&error) => Err(too_large()),
        Err(_) => Err(Problem::malformed("the body ended before its announced length")),
    }
}

fn is_limit(error: &axum::Error) -> bool {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        if error.to_string().contains("length limit exceeded") {
            return true;
        }
        source = error.source();
    }
    false
}

/// Checks the Content-Type of a body.
pub(super) fn content_type(headers: &HeaderMap, allowed: &[&str]) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if allowed.contains(&essence.as_str()) {
        return Ok(());
    }
    let detail = format!("expected {}", allowed.join(" or "));
    Err(Problem::new("media-type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body's type is not read here", detail)
        .at("Content-Type"))
}

/// The parameters of a query string, strictly: known names, once each.
pub(super) struct Query<'q> {
    pairs: Vec<(&'q str, &'q str)>,
}

impl<'q> Query<'q> {
    /// Takes `query` apart and refuses unknown and repeated names.
    pub(super) fn read(query: Option<&'q str>, known: &[&str]) -> Result<Self, Problem> {
        let query = query.unwrap_or_default();
        if query.len() > QUERY_BYTES_MAX {
            return Err(Problem::parameter("query", format!("{} bytes; at most {QUERY_BYTES_MAX} are read", query.len())));
        }
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !known.contains(&name) {
                let detail = match known {
                    [] => "this route takes no parameters".to_owned(),
                    known => format!("no such parameter; parameters are: {}", known.join(", ")),
                };
                return Err(Problem::new("unknown-parameter", StatusCode::BAD_REQUEST, "A parameter that does not exist", detail)
                    .at(name.chars().take(64).collect::<String>()));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(Problem::parameter(name, "stands twice"));
            }
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// A parameter as it was written.
    pub(super) fn value(&self, name: &str) -> Option<&'q str> {
        self.pairs.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    /// A switch: absent or `false`, `true`.
    pub(super) fn switch(&self, name: &str) -> Result<bool, Problem> {
        match self.value(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::parameter(name, "expected true or false")),
        }
    }

    /// An integer within a range.
    pub(super) fn integer(&self, name: &str, range: std::ops::RangeInclusive<u64>, default: u64) -> Result<u64, Problem> {
        match self.value(name) {
            None => Ok(default),
            Some(text) => match text.parse::<u64>() {
                Ok(value) if range.contains(&value) && !text.starts_with('+') => Ok(value),
                _ => Err(Problem::parameter(name, format!("expected an integer from {} to {}", range.start(), range.end()))),
            },
        }
    }
}

/// An id in a path: decimal, not 0.
pub(super) fn id<T: std::str::FromStr + Default + PartialEq>(name: &str, text: &str) -> Result<T, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<T>() {
        Ok(id) if digits && id != T::default() => Ok(id),
        _ => Err(Problem::parameter(name, "expected a decimal id, not 0")),
    }
}

/// The last word: an error that is no problem yet becomes one.
pub(super) async fn problems_only(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == "application/problem+json");
    if !(status.is_client_error() || status.is_server_error()) || is_problem {
        return response;
    }
    let (slug, title, detail) = match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            ("timeout", "The request took too long", "it may or may not have been done: repeat it with the same Idempotency-Key")
        }
        StatusCode::NOT_FOUND => ("no-such-route", "Nothing is there", "no such path"),
        StatusCode::METHOD_NOT_ALLOWED => ("method", "The method is not served here", "see the Allow header"),
        _ => ("bad-request", "The request cannot be read", "see the API's documentation"),
    };
    let mut problem = Problem::new(slug, status, title, detail).into_response();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        problem.headers_mut().insert(header::ALLOW, allow.clone());
    }
    problem
}
