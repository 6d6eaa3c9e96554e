//! Sign-in of people over HTTP: the way to the provider and back, and the token at its end.
//!
//! ```text
//! GET /v1/auth/methods                     {"token":true,"oidc":{"start":...}}
//! GET /v1/auth/oidc/start?return=/desk/    303 to the provider; a cookie binds the browser
//! GET /v1/auth/oidc/callback?code=&state=  303 to /desk/#token=...
//! ```
//!
//! The token travels in the URL's fragment, which browsers send to nobody. An agent gets a desk token, everybody else an API
//! token of [`SIGN_IN_LIFE_S`] that stands in the list of tokens and can be revoked. The cookie is HttpOnly and SameSite=Lax,
//! holds the state under a keyed hash, and goes with the sign-in: a link that somebody else began signs nobody in. The way
//! back leads to paths of this node alone. Every sign-in is in the audit before its token is given, refused ones at the bounded
//! rate. It refuses to know how an identity is proven: that is `auth`'s matter.
//!
//! Drive it: [`SignIn::new`] into [`super::Security::oidc`].

use super::Api;
use super::gate::Query;
use super::guard::Security;
use super::problem::Problem;
use crate::audit::Actor;
use crate::auth::{NewToken, OidcError, Person, Provider, Role};
use axum::Json;
use axum::extract::{ConnectInfo, Extension, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use openidconnect::url::form_urlencoded;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tidegate_model::mask::mask_text;
use tidegate_model::port::AgentGrant;

/// Name of the cookie that binds a browser to the sign-in that it began.
pub const COOKIE: &str = "tidegate_signin";
/// Life of what a sign-in gives, in seconds: a shift.
pub const SIGN_IN_LIFE_S: u64 = 8 * 3_600;
/// Longest path to return to, in bytes.
const RETURN_BYTES_MAX: usize = 256;
/// Longest value of a parameter of the way back, in bytes.
const VALUE_BYTES_MAX: usize = 2_048;

/// Sign-in of people.
pub struct SignIn {
    provider: Provider,
    key: [u8; 32],
    is_https: bool,
}

impl SignIn {
    /// With a provider; `secret` is the node's. `is_https` says that browsers reach this node by TLS: the cookie then never
    /// goes without.
    pub fn new(provider: Provider, secret: &[u8], is_https: bool) -> Self {
        Self { provider, key: blake3::derive_key("tidegate 2026-11-20 sign-in cookie", secret), is_https }
    }

    /// Sign-ins under way.
    pub fn pending(&self) -> usize {
        self.provider.pending()
    }

    fn cookie(&self, state: &str, max_age_s: u64) -> String {
        let secure = if self.is_https { "; Secure" } else { "" };
        let value = if max_age_s == 0 { String::new() } else { self.signed(state) };
        format!("{COOKIE}={value}; Path=/v1/auth/oidc; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}")
    }

    fn signed(&self, state: &str) -> String {
        format!("{state}.{}", blake3::keyed_hash(&self.key, state.as_bytes()).to_hex())
    }

    /// Whether the browser holds the cookie of this state.
    fn began(&self, headers: &HeaderMap, state: &str) -> bool {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let expected = self.signed(state);
        pairs.any(|(name, value)| name == COOKIE && bool::from(value.as_bytes().ct_eq(expected.as_bytes())))
    }
}

/// GET the ways to sign in.
pub(super) async fn methods(State(api): State<Api>, RawQuery(query): RawQuery) -> Result<Json<Value>, Problem> {
    Query::read(query.as_deref(), &[])?;
    let has_oidc = api.security().is_some_and(|security| security.oidc.is_some());
    Ok(Json(json!({ "token": true, "oidc": has_oidc.then(|| json!({ "start": "/v1/auth/oidc/start" })) })))
}

/// GET the way to the provider.
pub(super) async fn start(State(api): State<Api>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let security = configured(&api)?;
    let Some(oidc) = &security.oidc else { return Err(none()) };
    let parameters = parameters(query.as_deref(), &["return"])?;
    let back = parameters.first().map_or("/desk/", |(_, value)| value.as_str());
    if !is_own_path(back) {
        return Err(Problem::parameter("return", "expected a path of this node, such as /desk/"));
    }
    let started = oidc.provider.start(back).await.map_err(|error| problem(&error))?;
    Ok(see_other(&started.url, &oidc.cookie(&started.state, 600)))
}

/// GET the way back.
pub(super) async fn callback(
    State(api): State<Api>,
    from: Option<Extension<ConnectInfo<SocketAddr>>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let security = configured(&api)?;
    let Some(oidc) = &security.oidc else { return Err(none()) };
    let from = from.map(|Extension(ConnectInfo(from))| from.ip().to_string()).unwrap_or_default();
    // Providers add parameters of their own (`iss`, `session_state`): others than ours are left alone.
    let given = parameters(query.as_deref(), &[])?;
    let value = |name: &str| given.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
    let person = match (value("state"), value("code")) {
        (Some(state), Some(code)) if oidc.began(&headers, state) => oidc.provider.finish(state, code).await,
        (Some(_), None) if value("error").is_some() => Err(OidcError::Code),
        _ => Err(OidcError::State),
    };
    let (person, back) = match person {
        Ok(found) => found,
        Err(error) => {
            let actor = actor("", "unknown", &from);
            super::guard::refused_sign_in(&security, actor, error.to_string()).await;
            let mut response = problem(&error).into_response();
            put_cookie(&mut response, &oidc.cookie("", 0));
            return Ok(response);
        }
    };
    let token = granted(&api, &security, &person, &from).await?;
    Ok(see_other(&format!("{back}#token={token}"), &oidc.cookie("", 0)))
}

/// The token of a person, recorded before and after.
async fn granted(api: &Api, security: &Arc<Security>, person: &Person, from: &str) -> Result<String, Problem> {
    if person.tenant.is_some_and(|tenant| !api.node().has_tenant(tenant)) {
        return Err(problem(&OidcError::Nobody("its tenant is not on this node")));
    }
    let (security, person) = (security.clone(), person.clone());
    let actor = actor(&person.name, person.role.word(), from);
    let done = tokio::task::spawn_blocking(move || {
        let seat = person.seat.map(|seat| ("seat", seat.0.to_string()));
        let details: Vec<_> = seat.into_iter().collect();
        let asked = security.audit.asked("person.sign_in", actor, person.tenant.map(|tenant| tenant.0), &details);
        let asked = asked.map_err(|_| super::guard::unrecorded("person.sign_in"))?;
        let made = match (person.role, person.tenant, person.seat) {
            (Role::Agent, Some(tenant), Some(seat)) => {
                security.desk.desk_token(&AgentGrant { tenant, seat }, SIGN_IN_LIFE_S).map(|token| (String::new(), token)).ok()
            }
            (Role::Agent, ..) => None,
            (role, tenant, _) => {
                let mut name = format!("oidc:{}", person.name);
                name.truncate((0..=64.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0));
                let new = NewToken { name, role, tenant, seat: None, life_s: SIGN_IN_LIFE_S };
                security.tokens.create(&new).map(|minted| (minted.view.id, minted.text)).ok()
            }
        };
        let outcome = if made.is_some() { "done" } else { "failed" };
        let id = made.as_ref().map(|(id, _)| ("token", id.clone()));
        if asked.outcome(outcome, &id.into_iter().collect::<Vec<_>>()).is_err() {
            tracing::error!("the outcome of a sign-in could not be recorded");
        }
        made.map(|(_, token)| token)
            .ok_or_else(|| Problem::internal("the token could not be made; see /v1/tokens for their number"))
    });
    done.await.map_err(|_| Problem::internal("the sign-in ended by a panic"))?
}

fn actor(name: &str, role: &str, from: &str) -> Actor {
    Actor { name: name.to_owned(), role: role.to_owned(), token: String::new(), from: from.to_owned() }
}

fn configured(api: &Api) -> Result<Arc<Security>, Problem> {
    api.security().cloned().ok_or_else(none)
}

fn none() -> Problem {
    Problem::not_found("no-sign-in", "sign-in of people is not configured; use a token")
}

fn problem(error: &OidcError) -> Problem {
    let (slug, status, title) = match error {
        OidcError::Provider(_) | OidcError::Config(_) => {
            ("sign-in-unavailable", StatusCode::SERVICE_UNAVAILABLE, "People cannot sign in now")
        }
        OidcError::Nobody(_) => ("forbidden", StatusCode::FORBIDDEN, "You have no place on this floor"),
        _ => ("sign-in-refused", StatusCode::UNAUTHORIZED, "The sign-in does not hold"),
    };
    Problem::new(slug, status, title, error.to_string())
}

/// The parameters, decoded; none twice, and when some are known none beside them.
fn parameters(query: Option<&str>, known: &[&str]) -> Result<Vec<(String, String)>, Problem> {
    let query = query.unwrap_or_default();
    if query.len() > 4 * VALUE_BYTES_MAX {
        return Err(Problem::parameter("query", "is too long"));
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let shown = mask_text(&name.chars().take(64).collect::<String>());
        if !known.is_empty() && !known.contains(&name.as_ref()) {
            return Err(Problem::parameter(&shown, "no such parameter"));
        }
        if value.len() > VALUE_BYTES_MAX || pairs.len() == 16 || pairs.iter().any(|(other, _)| *other == name) {
            return Err(Problem::parameter(&shown, "stands twice, or is too long"));
        }
        pairs.push((name.into_owned(), value.into_owned()));
    }
    Ok(pairs)
}

/// A path of this node: browsers read `//host`, `/\host` and controls in other ways than as a path.
fn is_own_path(path: &str) -> bool {
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#' | b'"' | b'<' | b'>'));
    path.len() <= RETURN_BYTES_MAX && plain && path.starts_with('/') && !path.starts_with("//") && !path.contains("..")
}

fn see_other(to: &str, cookie: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(to) else {
        return Problem::internal("the way on cannot be written as a header").into_response();
    };
    let none = HeaderValue::from_static("no-store");
    let headers = [(header::LOCATION, location), (header::CACHE_CONTROL, none)];
    let mut response = (StatusCode::SEE_OTHER, headers).into_response();
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    put_cookie(&mut response, cookie);
    response
}

fn put_cookie(response: &mut Response, cookie: &str) {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    //! The way back leads nowhere else, and a cookie is one browser's.

    use super::*;

    #[test]
    fn only_paths_of_this_node_are_returned_to() {
        for own in ["/", "/desk/", "/wall?x=1", "/a/b-c_d~e"] {
            assert!(is_own_path(own), "{own}");
        }
        let long = format!("/{}", "a".repeat(RETURN_BYTES_MAX));
        for foreign in [
            "",
            "desk",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\r\nset-cookie: x",
            "/a#token=x",
            "/../x",
            "/ä",
            &long,
        ] {
            assert!(!is_own_path(foreign), "{foreign}");
        }
        assert!(is_own_path(&long[..RETURN_BYTES_MAX]));
    }

    #[test]
    fn parameters_stand_once() {
        assert!(parameters(Some("state=a&state=b"), &[]).is_err());
        assert!(parameters(Some("return=/x&other=1"), &["return"]).is_err());
        let ok = parameters(Some("state=a%2Bb&iss=https%3A%2F%2Fx"), &[]).expect("read");
        assert_eq!(ok[0], ("state".to_owned(), "a+b".to_owned()));
        for (length, good) in [(VALUE_BYTES_MAX, true), (VALUE_BYTES_MAX + 1, false), (VALUE_BYTES_MAX * 10, false)] {
            assert_eq!(parameters(Some(&format!("code={}", "c".repeat(length))), &[]).is_ok(), good);
        }
    }
}
