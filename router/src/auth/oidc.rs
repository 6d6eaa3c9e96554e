//! Who a person is, by an OpenID Connect provider: authorization code with PKCE, state and nonce (the crate `openidconnect`).
//!
//! What it insists on: signatures by the provider's public keys alone, from a list of algorithms that has no `none` and no
//! shared secret; issuer, audience, `azp`, nonce, `exp`, `iat` and `nbf`; an address of mail counts only when the provider
//! says that it verified it. Keys are fetched by discovery, kept for [`KEYS_KEPT`], and fetched again for an unknown key at
//! most every [`KEYS_AGAIN`]. Redirects of the provider's own endpoints are not followed; answers and times are bounded.
//! A started sign-in is kept here, once, for [`PENDING_KEPT`]: a state that was used, or that another browser started, is none.
//!
//! It refuses to know cookies, paths and what becomes of a person. Drive it: [`Provider::new`], [`Provider::start`],
//! [`Provider::finish`].

use super::Role;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreGenderClaim, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm, CoreProviderMetadata,
};
use openidconnect::{
    AdditionalClaims, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse,
    IdToken, IdTokenClaims, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, SignatureVerificationError,
    TokenResponse,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidegate_model::ids::{SeatId, TenantId};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long the provider's description and keys are kept.
pub const KEYS_KEPT: Duration = Duration::from_secs(600);
/// How often they are fetched again for a key that is not among them.
pub const KEYS_AGAIN: Duration = Duration::from_secs(30);
/// How long a person may take to sign in.
pub const PENDING_KEPT: Duration = Duration::from_secs(600);
/// Sign-ins under way at once; the oldest makes room.
pub const PENDING_MAX: usize = 4_096;
/// Longest time that one request to the provider takes.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);
/// Largest answer of the provider, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1_024;
/// Clock difference that is forgiven, in seconds.
const LEEWAY_S: i64 = 60;
/// Oldest issue of an identity that was asked for just now, in seconds.
const ISSUED_S_MAX: i64 = 600;

/// How people sign in.
#[derive(Clone, PartialEq, Eq)]
pub struct OidcConfig {
    /// The provider's issuer.
    pub issuer: String,
    /// This node at the provider.
    pub client_id: String,
    /// Its secret; none for a public client.
    pub client_secret: Option<String>,
    /// Where the provider sends the browser back to.
    pub redirect: String,
    /// Scopes beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that says what a person is: a text or a list of texts.
    pub role_claim: String,
    /// From a value of that claim to a role; the first that fits counts.
    pub map: Vec<RoleOf>,
    /// A claim that holds an agent's seat number.
    pub seat_claim: Option<String>,
    /// The claim that is an agent's login otherwise.
    pub login_claim: String,
    /// Logins of agents.
    pub logins: Vec<(String, TenantId, SeatId)>,
}

/// What a value of the role claim makes of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleOf {
    /// The value.
    pub value: String,
    /// The role.
    pub role: Role,
    /// The one tenant; none for all.
    pub tenant: Option<TenantId>,
}

/// Who signed in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Person {
    /// For the audit: login, or subject.
    pub name: String,
    /// What it is to the floor.
    pub role: Role,
    /// The one tenant; none for all.
    pub tenant: Option<TenantId>,
    /// An agent's seat.
    pub seat: Option<SeatId>,
}

/// Why nobody signed in. The texts are for the person and hold nothing of what the provider sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OidcError {
    /// The provider does not answer, or not as it must.
    #[error("the sign-in provider does not answer as it must ({0}); tokens go on working")]
    Provider(&'static str),
    /// No such sign-in is under way.
    #[error("this sign-in is not under way here: it was used, took too long, or began in another browser; start again")]
    State,
    /// The provider said no.
    #[error("the sign-in provider refused the code; start again")]
    Code,
    /// The identity does not hold.
    #[error("the identity that the provider gave does not hold ({0})")]
    Identity(&'static str),
    /// Known, but nobody here.
    #[error("you are known to the provider, but not to this floor: {0}")]
    Nobody(&'static str),
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(String),
}

/// A sign-in that began.
#[derive(Debug)]
pub struct Started {
    /// Where the browser goes.
    pub url: String,
    /// The state that comes back.
    pub state: String,
}

/// A provider and the sign-ins under way.
pub struct Provider {
    config: OidcConfig,
    issuer: IssuerUrl,
    http: Arc<Http>,
    known: Mutex<Option<Known>>,
    pending: Lock<BTreeMap<String, Pending>>,
}

struct Known {
    at: Instant,
    metadata: CoreProviderMetadata,
}

struct Pending {
    at: Instant,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    back: String,
}

/// Claims beyond the standard ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Further {
    #[serde(flatten)]
    all: BTreeMap<String, Value>,
}

impl AdditionalClaims for Further {}

impl fmt::Debug for OidcConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OidcConfig").field("issuer", &self.issuer).field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Provider {
    /// A provider; it is not asked before somebody signs in, so a node starts without it.
    ///
    /// # Errors
    /// [`OidcError::Config`].
    pub fn new(config: OidcConfig) -> Result<Self, OidcError> {
        let wrong = |what: &str| OidcError::Config(what.to_owned());
        let issuer = IssuerUrl::new(config.issuer.clone()).map_err(|_| wrong("oidc.issuer is no URL"))?;
        let host = issuer.url().host_str().unwrap_or_default().to_owned();
        let is_here = matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]");
        let scheme = issuer.url().scheme();
        if scheme != "https" && !(scheme == "http" && is_here) {
            return Err(wrong("oidc.issuer must be https (http is taken from this very machine alone)"));
        }
        RedirectUrl::new(config.redirect.clone()).map_err(|_| wrong("oidc.redirect is no URL"))?;
        if config.map.is_empty() {
            return Err(wrong("at least one [[oidc.map]] is needed: nobody could sign in"));
        }
        Ok(Self { config, issuer, http: Arc::new(Http::new()?), known: Mutex::new(None), pending: Lock::default() })
    }

    /// Sign-ins under way.
    pub fn pending(&self) -> usize {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Begins a sign-in that ends at `back`.
    ///
    /// # Errors
    /// [`OidcError::Provider`].
    pub async fn start(&self, back: &str) -> Result<Started, OidcError> {
        let metadata = self.metadata(false).await?;
        let client = CoreClient::from_provider_metadata(metadata, self.client_id(), self.client_secret());
        let client = client.set_redirect_uri(self.redirect()?);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let mut asked = client.authorize_url(flow, CsrfToken::new_random, Nonce::new_random).set_pkce_challenge(challenge);
        for scope in &self.config.scopes {
            asked = asked.add_scope(Scope::new(scope.clone()));
        }
        let (url, state, nonce) = asked.url();
        let state = state.secret().clone();
        let now = Instant::now();
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.retain(|_, one| now.duration_since(one.at) < PENDING_KEPT);
        if pending.len() >= PENDING_MAX {
            let oldest = pending.iter().min_by_key(|(_, one)| one.at).map(|(state, _)| state.clone());
            oldest.map(|state| pending.remove(&state));
        }
        pending.insert(state.clone(), Pending { at: now, nonce, verifier, back: back.to_owned() });
        Ok(Started { url: url.into(), state })
    }

    /// Ends a sign-in: who it is, and the path that it was begun with. A state is taken once, whatever comes of it.
    ///
    /// # Errors
    /// [`OidcError`].
    pub async fn finish(&self, state: &str, code: &str) -> Result<(Person, String), OidcError> {
        let taken = self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(state);
        let pending = taken.filter(|one| one.at.elapsed() < PENDING_KEPT).ok_or(OidcError::State)?;
        let metadata = self.metadata(false).await?;
        let client = CoreClient::from_provider_metadata(metadata.clone(), self.client_id(), self.client_secret());
        let client = client.set_redirect_uri(self.redirect()?);
        let request = client.exchange_code(AuthorizationCode::new(code.to_owned()));
        let request = request.map_err(|_| OidcError::Provider("it names no token endpoint"))?.set_pkce_verifier(pending.verifier);
        let http = |request| self.http.clone().call(request);
        let answer = request.request_async(&http).await.map_err(|error| match error {
            openidconnect::RequestTokenError::ServerResponse(_) => OidcError::Code,
            openidconnect::RequestTokenError::Request(_) => OidcError::Provider("its token endpoint does not answer"),
            _ => OidcError::Provider("its token answer cannot be read"),
        })?;
        let raw = answer.id_token().ok_or(OidcError::Identity("there is none"))?.to_string();
        let person = self.identify(&raw, &pending.nonce, metadata).await?;
        Ok((person, pending.back))
    }

    async fn identify(&self, raw: &str, nonce: &Nonce, metadata: CoreProviderMetadata) -> Result<Person, OidcError> {
        let token = IdToken::<Further, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>::from_str(raw);
        let token = token.map_err(|_| OidcError::Identity("it cannot be read"))?;
        let first = token.claims(&self.verifier(metadata.jwks().clone()), nonce).cloned();
        let claims = match first {
            Ok(claims) => claims,
            Err(ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey)) => {
                // The provider may have other keys by now.
                let again = self.metadata(true).await?;
                token.claims(&self.verifier(again.jwks().clone()), nonce).cloned().map_err(|error| wrong(&error))?
            }
            Err(error) => return Err(wrong(&error)),
        };
        self.person(&claims)
    }

    fn verifier(&self, keys: CoreJsonWebKeySet) -> CoreIdTokenVerifier<'static> {
        // A public client's: even with a client secret, no shared secret ever verifies an identity.
        CoreIdTokenVerifier::new_public_client(self.client_id(), self.issuer.clone(), keys)
            .set_allowed_algs([
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
                CoreJwsSigningAlgorithm::RsaSsaPssSha256,
                CoreJwsSigningAlgorithm::RsaSsaPssSha384,
                CoreJwsSigningAlgorithm::RsaSsaPssSha512,
                CoreJwsSigningAlgorithm::EcdsaP256Sha256,
                CoreJwsSigningAlgorithm::EcdsaP384Sha384,
                CoreJwsSigningAlgorithm::EdDsa,
            ])
            .set_issue_time_verifier_fn(|at| match now_s() - at.timestamp() {
                age if age < -LEEWAY_S => Err("issued in the future".to_owned()),
                age if age > ISSUED_S_MAX + LEEWAY_S => Err("issued long ago".to_owned()),
                _ => Ok(()),
            })
    }

    fn person(&self, claims: &IdTokenClaims<Further, CoreGenderClaim>) -> Result<Person, OidcError> {
        if claims.authorized_party().is_some_and(|party| **party != self.config.client_id) {
            return Err(OidcError::Identity("it was given to another party"));
        }
        let further = &claims.additional_claims().all;
        if further.get("nbf").is_some_and(|nbf| nbf.as_f64().is_none_or(|nbf| nbf as i64 > now_s() + LEEWAY_S)) {
            return Err(OidcError::Identity("it is not valid yet"));
        }
        let email = claims.email().filter(|_| claims.email_verified() == Some(true)).map(|email| email.as_str().to_owned());
        let text = |name: &str| match name {
            "sub" => Some(claims.subject().as_str().to_owned()),
            "email" => email.clone(),
            name => further.get(name).and_then(Value::as_str).map(str::to_owned),
        };
        let held: Vec<String> = match further.get(&self.config.role_claim) {
            Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(Value::String(value)) => vec![value.clone()],
            _ => text(&self.config.role_claim).into_iter().collect(),
        };
        let found = self.config.map.iter().find(|row| held.contains(&row.value));
        let row = found.ok_or(OidcError::Nobody("no [[oidc.map]] fits the role claim"))?;
        let name = email.clone().unwrap_or_else(|| claims.subject().as_str().to_owned());
        if row.role != Role::Agent {
            return Ok(Person { name, role: row.role, tenant: row.tenant, seat: None });
        }
        let by_claim = self.config.seat_claim.as_ref().and_then(|claim| further.get(claim)).and_then(|value| {
            let seat = value.as_u64().or_else(|| value.as_str()?.parse().ok()).filter(|seat| *seat != 0)?;
            Some((row.tenant?, SeatId(seat)))
        });
        let login = text(&self.config.login_claim);
        let by_login = || {
            let fits = |(known, tenant, _): &&(String, TenantId, SeatId)| {
                Some(known) == login.as_ref() && row.tenant.is_none_or(|only| only == *tenant)
            };
            self.config.logins.iter().find(fits).map(|(_, tenant, seat)| (*tenant, *seat))
        };
        let (tenant, seat) = by_claim.or_else(by_login).ok_or(OidcError::Nobody("no agent has this login"))?;
        Ok(Person { name, role: Role::Agent, tenant: Some(tenant), seat: Some(seat) })
    }

    /// The provider's description and keys, from the memory or afresh.
    async fn metadata(&self, is_key_unknown: bool) -> Result<CoreProviderMetadata, OidcError> {
        // Held while it is fetched: many people at once ask the provider once.
        let mut known = self.known.lock().await;
        let kept = if is_key_unknown { KEYS_AGAIN } else { KEYS_KEPT };
        if let Some(known) = known.as_ref().filter(|known| known.at.elapsed() < kept) {
            return Ok(known.metadata.clone());
        }
        let issuer = self.issuer.clone();
        let http = |request| self.http.clone().call(request);
        let metadata = CoreProviderMetadata::discover_async(issuer, &http).await.map_err(|error| {
            tracing::warn!(issuer = self.config.issuer, "the sign-in provider cannot be asked");
            match error {
                openidconnect::DiscoveryError::Validation(_) => OidcError::Provider("it names another issuer"),
                openidconnect::DiscoveryError::Request(_) => OidcError::Provider("it cannot be reached"),
                _ => OidcError::Provider("its description cannot be read"),
            }
        })?;
        *known = Some(Known { at: Instant::now(), metadata: metadata.clone() });
        Ok(metadata)
    }

    fn client_id(&self) -> ClientId {
        ClientId::new(self.config.client_id.clone())
    }

    fn client_secret(&self) -> Option<ClientSecret> {
        self.config.client_secret.clone().map(ClientSecret::new)
    }

    fn redirect(&self) -> Result<RedirectUrl, OidcError> {
        RedirectUrl::new(self.config.redirect.clone()).map_err(|_| OidcError::Config("oidc.redirect is no URL".to_owned()))
    }
}

fn wrong(error: &ClaimsVerificationError) -> OidcError {
    OidcError::Identity(match error {
        ClaimsVerificationError::Expired(_) => "expired, or issued at another time than now",
        ClaimsVerificationError::InvalidAudience(_) => "for another audience",
        ClaimsVerificationError::InvalidIssuer(_) => "of another issuer",
        ClaimsVerificationError::InvalidNonce(_) => "of another sign-in",
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::DisallowedAlg(_)) => {
            "its algorithm is not allowed"
        }
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoSignature) => "it is not signed",
        ClaimsVerificationError::SignatureVerification(_) => "its signature does not hold",
        _ => "its claims do not hold",
    })
}

fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |span| span.as_secs() as i64)
}

/// The client towards the provider.
struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// Why the provider was not heard.
#[derive(Debug, thiserror::Error)]
enum HttpError {
    #[error("no answer in time")]
    Late,
    #[error("no connection")]
    Connect(#[source] hyper_util::client::legacy::Error),
    #[error("an answer that is too long or broken off")]
    Body,
}

impl Http {
    fn new() -> Result<Self, OidcError> {
        let provider = rustls::crypto::ring::default_provider();
        let builder = HttpsConnectorBuilder::new().with_provider_and_native_roots(provider);
        let builder = builder.map_err(|_| OidcError::Config("the system's certificates cannot be read".to_owned()))?;
        // Which scheme is good was decided for the issuer; its endpoints follow it.
        let connector = builder.https_or_http().enable_http1().build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    async fn call(self: Arc<Self>, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let request = hyper::Request::from_parts(parts, Full::new(Bytes::from(body)));
        let answer = async {
            let response = self.client.request(request).await.map_err(HttpError::Connect)?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|_| HttpError::Body)?;
            Ok(hyper::Response::from_parts(parts, body.to_bytes().to_vec()))
        };
        tokio::time::timeout(REQUEST_TIME_MAX, answer).await.map_err(|_| HttpError::Late)?
    }
}
