//! The edge of the API: rates before anything else, security headers after everything else.
//!
//! Every response says that it is not to be sniffed, framed or cached by strangers; pages get a policy under which nothing but
//! our own style is loaded. It refuses to know what a route does, and reads no body.

use super::Api;
use super::gate;
use super::problem::Problem;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, SocketAddr};

/// Under which a page is shown: no script, no foreign origin, our own style.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// For everything else.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Rates, then the request, then headers.
pub(super) async fn edge(State(api): State<Api>, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(socket)| socket.ip());
    // A balancer asks often, and an answer that depends on a rate would be no answer about health.
    let is_probe = matches!(request.uri().path(), "/healthz" | "/readyz");
    let left = if is_probe { Ok(None) } else { admitted(&api, address, &request) };
    let mut response = match left {
        Err(problem) => problem.into_response(),
        Ok(left) => {
            let response = answered(&api, address, next.run(request).await);
            with_rates(&api, left, response)
        }
    };
    protect(&mut response);
    response
}

fn admitted(api: &Api, address: Option<IpAddr>, request: &Request) -> Result<Option<u64>, Problem> {
    let rates = api.rates();
    if let Some(address) = address {
        rates.address(address)?;
    }
    let grant = gate::bearer(request.headers()).and_then(|token| api.holder(token));
    grant.map(|grant| rates.token(&grant.name)).transpose()
}

/// Counts a failed authentication.
fn answered(api: &Api, address: Option<IpAddr>, response: Response) -> Response {
    match address {
        Some(address) if response.status() == StatusCode::UNAUTHORIZED => match api.rates().failure(address) {
            Ok(_) => response,
            Err(problem) => problem.into_response(),
        },
        _ => response,
    }
}

/// The fields of draft-ietf-httpapi-ratelimit-headers.
fn with_rates(api: &Api, left: Option<u64>, mut response: Response) -> Response {
    let Some(left) = left else { return response };
    let rate = api.rates().limits.token;
    let window = rate.burst.div_ceil(rate.per_second.max(1));
    let fields =
        [("ratelimit-policy", format!("\"token\";q={};w={window}", rate.burst)), ("ratelimit", format!("\"token\";r={left};t=1"))];
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

fn protect(response: &mut Response) {
    let headers = response.headers_mut();
    let is_page = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(if is_page { PAGE_POLICY } else { DATA_POLICY }));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
