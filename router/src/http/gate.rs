//! What every request passes: the token and its reach, the size of the body, the form of parameters, and the last word on
//! errors (nothing leaves that is an error and no problem+json).
//!
//! It refuses to know what a route does. Drive it: [`Api::allow`], [`body`], [`Query`] in each handler.

use super::Api;
use super::problem::Problem;
use crate::auth::{AdminGrant, Permission};
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tidegate_model::ids::{ConversationId, TenantId};

/// Longest query string, in bytes.
pub const QUERY_BYTES_MAX: usize = 1_024;

impl Api {
    /// The grant of a request's token, when it permits `need` everywhere.
    pub(super) fn allow(&self, headers: &HeaderMap, need: Permission) -> Result<AdminGrant, Problem> {
        let grant = self.grant(headers, need)?;
        if grant.tenant.is_some() {
            return Err(forbidden("this token reaches one tenant; a token for the whole node is needed"));
        }
        Ok(grant)
    }

    /// The grant of a request's token, when it permits `need` at a tenant that exists here.
    pub(super) fn allow_at(&self, headers: &HeaderMap, need: Permission, tenant: &str) -> Result<(AdminGrant, TenantId), Problem> {
        let grant = self.grant(headers, need)?;
        let id = decimal(tenant).and_then(|id| u32::try_from(id).ok()).map(TenantId);
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

    /// The grant of a request's token, when it permits `need` anywhere: the caller looks at its reach.
    pub(super) fn grant(&self, headers: &HeaderMap, need: Permission) -> Result<AdminGrant, Problem> {
        let grant = self.who(headers)?;
        if !grant.role.may(need) {
            let roles: Vec<_> = need.roles().iter().map(|role| role.word()).collect();
            let detail = format!("{need} is needed (roles: {}); this token is of the role {}", roles.join(", "), grant.role);
            return Err(forbidden(detail));
        }
        Ok(grant)
    }

    /// The holder of a request's token.
    pub(super) fn who(&self, headers: &HeaderMap) -> Result<AdminGrant, Problem> {
        let Some(token) = bearer(headers) else {
            return Err(unauthorised("send the header Authorization: Bearer <token>, once"));
        };
        self.holder(token).ok_or_else(|| unauthorised("the token is not known here"))
    }

    /// The holder of a token: one that the API made, or a configured one.
    pub(super) fn holder(&self, token: &str) -> Option<AdminGrant> {
        let made = self.security().and_then(|security| security.tokens.check(token));
        made.or_else(|| self.admins().check(token).cloned())
    }
}

/// The bearer token of a request. Two headers, or a token with anything around it, are no token: two readers of one request
/// must not find two holders.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && token.bytes().all(|byte| byte.is_ascii_graphic())).then_some(token)
}

fn unauthorised(detail: &'static str) -> Problem {
    Problem::of("unauthorised", detail).at("Authorization")
}

pub(super) fn forbidden(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::of("forbidden", detail).at("Authorization")
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn body(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::of("too-large", format!("at most {limit} bytes are read here"));
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
    Err(Problem::of("media-type", detail).at("Content-Type"))
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
                return Err(Problem::of("unknown-parameter", detail).at(name.chars().take(64).collect::<String>()));
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

    /// The id after which a page begins: `next` of the page before; 0 when absent, for the first.
    pub(super) fn after(&self) -> Result<u64, Problem> {
        match self.value("after") {
            None => Ok(0),
            Some(text) => decimal(text).ok_or_else(|| Problem::parameter("after", "expected the `next` of the page before")),
        }
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

/// An id in a path: decimal, not 0, no sign, no leading zero: one spelling for one id.
pub(super) fn id<T: TryFrom<u64>>(name: &str, text: &str) -> Result<T, Problem> {
    let id = decimal(text).and_then(|id| T::try_from(id).ok());
    id.ok_or_else(|| Problem::parameter(name, "expected a decimal id, not 0, without sign and leading zeros"))
}

/// The number of a decimal id.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// A conversation's id in a path.
pub(super) fn conversation(text: &str) -> Result<ConversationId, Problem> {
    let is_hex = (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = if is_hex { u128::from_str_radix(text, 16).ok().filter(|id| *id != 0) } else { None };
    let wrong = || Problem::parameter("conversation", "expected an id of 1 to 32 hexadecimal digits, not 0");
    id.map(ConversationId).ok_or_else(wrong)
}

/// The last word: an error that is no problem yet becomes one.
pub(super) async fn problems_only(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == "application/problem+json");
    if !(status.is_client_error() || status.is_server_error()) || is_problem {
        return response;
    }
    let (slug, detail) = match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            ("timeout", "it may or may not have been done: repeat it with the same Idempotency-Key")
        }
        StatusCode::NOT_FOUND => ("no-such-route", "no such path"),
        StatusCode::METHOD_NOT_ALLOWED => ("method", "see the Allow header"),
        StatusCode::INTERNAL_SERVER_ERROR => ("internal", "see the node's log"),
        // What axum itself refuses: a path that is no UTF-8 once its escapes are resolved.
        _ => ("bad-parameter", "the path cannot be read"),
    };
    let mut problem = Problem::of(slug, detail).into_response();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        problem.headers_mut().insert(header::ALLOW, allow.clone());
    }
    problem
}
