//! A provider of identities that lies, and what the node makes of it: only a whole identity, for this sign-in, signed by a
//! key that the provider publishes, is one.
//!
//! The provider is a server of this test over real sockets, so that it can send what no honest one does: other algorithms,
//! audiences, issuers, times, keys. Signing is EdDSA by the crate that also checks (`openidconnect`); forged forms are made by
//! hand. An honest provider of somebody else's making is in `tests/security/people.rs`.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use openidconnect::core::{CoreEdDsaPrivateSigningKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKeyId, PrivateSigningKey};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tidegate_model::{SeatId, TenantId};
use tidegate_router::auth::{OidcConfig, OidcError, Person, Provider, Role, RoleOf};

const FIRST: &str =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n";
const SECOND: &str =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\n-----END PRIVATE KEY-----\n";

/// What the provider says.
struct Said {
    base: String,
    issuer: String,
    keys: Value,
    id_token: String,
    asked_keys: AtomicUsize,
}

struct Rig {
    said: Arc<Mutex<Said>>,
    provider: Provider,
}

fn key(pem: &str, kid: &str) -> CoreEdDsaPrivateSigningKey {
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(pem, Some(JsonWebKeyId::new(kid.to_owned()))).expect("a key")
}

fn published(keys: &[&CoreEdDsaPrivateSigningKey]) -> Value {
    json!({ "keys": keys.iter().map(|key| key.as_verification_key()).collect::<Vec<_>>() })
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// Base64 for URLs, without padding (RFC 4648, 5).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().chain([0, 0].iter()).take(3).fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        for at in 0..=chunk.len() {
            out.push(char::from(ALPHABET[(word >> (18 - 6 * at) & 63) as usize]));
        }
    }
    out
}

fn signed(key: &CoreEdDsaPrivateSigningKey, header: &Value, claims: &Value) -> String {
    let text = format!("{}.{}", base64(header.to_string().as_bytes()), base64(claims.to_string().as_bytes()));
    let signature = key.sign(&CoreJwsSigningAlgorithm::EdDsa, text.as_bytes()).expect("signed");
    format!("{text}.{}", base64(&signature))
}

impl Rig {
    async fn new() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let keys = published(&[&key(FIRST, "first")]);
        let said =
            Said { issuer: base.clone(), base: base.clone(), keys, id_token: String::new(), asked_keys: AtomicUsize::new(0) };
        let said = Arc::new(Mutex::new(said));
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(description))
            .route("/keys", get(keys_of))
            .route("/token", post(token))
            .with_state(said.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let config = OidcConfig {
            issuer: base,
            client_id: "tidegate".into(),
            client_secret: Some("the-client's-secret".into()),
            redirect: "http://127.0.0.1:1/v1/auth/oidc/callback".into(),
            scopes: vec!["email".into()],
            role_claim: "roles".into(),
            map: vec![
                RoleOf { value: "admins".into(), role: Role::Admin, tenant: None },
                RoleOf { value: "agents".into(), role: Role::Agent, tenant: Some(TenantId(1)) },
                RoleOf { value: "planner".into(), role: Role::Planner, tenant: Some(TenantId(2)) },
            ],
            seat_claim: Some("seat".into()),
            login_claim: "email".into(),
            logins: vec![("lin@shop.example".into(), TenantId(1), SeatId(7)), ("wang@shop.example".into(), TenantId(2), SeatId(8))],
        };
        Self { said, provider: Provider::new(config).expect("a provider") }
    }

    fn says(&self, change: impl FnOnce(&mut Said)) {
        change(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Signs in; `make` gives the identity for the nonce.
    async fn sign_in(&self, make: impl FnOnce(&str, &str) -> String) -> Result<Person, OidcError> {
        let started = self.provider.start("/desk/").await?;
        let nonce = started.url.split(['?', '&']).find_map(|pair| pair.strip_prefix("nonce=")).expect("a nonce").to_owned();
        self.says(|said| said.id_token = make(&nonce, &said.base));
        self.provider.finish(&started.state, "a-code").await.map(|(person, back)| {
            assert_eq!(back, "/desk/");
            person
        })
    }

    /// As [`Self::sign_in`], with good claims changed.
    async fn with(&self, change: impl FnOnce(&mut Value)) -> Result<Person, OidcError> {
        self.sign_in(|nonce, base| {
            let mut claims = good(nonce, base);
            change(&mut claims);
            signed(&key(FIRST, "first"), &json!({ "alg": "EdDSA", "kid": "first" }), &claims)
        })
        .await
    }
}

fn good(nonce: &str, base: &str) -> Value {
    json!({
        "iss": base, "aud": "tidegate", "sub": "u-1", "nonce": nonce, "iat": now(), "exp": now() + 300,
        "email": "lin@shop.example", "email_verified": true, "roles": ["staff", "admins"],
    })
}

async fn description(State(said): State<Arc<Mutex<Said>>>) -> Json<Value> {
    let said = said.lock().unwrap_or_else(PoisonError::into_inner);
    Json(json!({
        "issuer": said.issuer, "authorization_endpoint": format!("{}/authorize", said.base),
        "token_endpoint": format!("{}/token", said.base), "jwks_uri": format!("{}/keys", said.base),
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA", "none", "HS256"],
    }))
}

async fn keys_of(State(said): State<Arc<Mutex<Said>>>) -> Json<Value> {
    let said = said.lock().unwrap_or_else(PoisonError::into_inner);
    said.asked_keys.fetch_add(1, Ordering::Relaxed);
    Json(said.keys.clone())
}

async fn token(State(said): State<Arc<Mutex<Said>>>) -> Json<Value> {
    let said = said.lock().unwrap_or_else(PoisonError::into_inner);
    Json(json!({ "access_token": "a", "token_type": "Bearer", "id_token": said.id_token }))
}

#[tokio::test]
async fn a_whole_identity_is_a_person() {
    let rig = Rig::new().await;
    let ada = rig.with(|_| {}).await.expect("signed in");
    assert_eq!((ada.name.as_str(), ada.role, ada.tenant, ada.seat), ("lin@shop.example", Role::Admin, None, None));
    let lin = rig.with(|claims| claims["roles"] = json!(["agents"])).await.expect("signed in");
    assert_eq!((lin.role, lin.tenant, lin.seat), (Role::Agent, Some(TenantId(1)), Some(SeatId(7))));
    let by_claim = rig.with(|claims| {
        claims["roles"] = json!("agents");
        claims["seat"] = json!("12");
    });
    assert_eq!(by_claim.await.expect("signed in").seat, Some(SeatId(12)));
    let planner = rig.with(|claims| claims["roles"] = json!("planner")).await.expect("signed in");
    assert_eq!((planner.role, planner.tenant), (Role::Planner, Some(TenantId(2))));
    assert_eq!(rig.provider.pending(), 0, "each sign-in was taken once");
}

/// A claim that does not hold, and how a good token gets it.
struct Lie(&'static str, fn(&mut Value));

#[tokio::test]
async fn claims_that_do_not_hold_are_refused() {
    let rig = Rig::new().await;
    let cases: [Lie; 20] = [
        Lie("another nonce", |c| c["nonce"] = json!("another")),
        Lie("no nonce", |c| drop(c.as_object_mut().and_then(|c| c.remove("nonce")))),
        Lie("another issuer", |c| c["iss"] = json!("https://evil.example")),
        Lie("the issuer with a slash", |c| c["iss"] = json!(format!("{}/", c["iss"].as_str().unwrap_or("")))),
        Lie("no issuer", |c| drop(c.as_object_mut().and_then(|c| c.remove("iss")))),
        Lie("another audience", |c| c["aud"] = json!("another")),
        Lie("another audience beside ours", |c| c["aud"] = json!(["tidegate", "another"])),
        Lie("no audience", |c| c["aud"] = json!([])),
        Lie("the audience in capitals", |c| c["aud"] = json!("TIDEGATE")),
        Lie("another party", |c| c["azp"] = json!("another")),
        Lie("expired", |c| c["exp"] = json!(now() - 1)),
        Lie("expired long ago", |c| c["exp"] = json!(0)),
        Lie("no end", |c| drop(c.as_object_mut().and_then(|c| c.remove("exp")))),
        Lie("an end that is text", |c| c["exp"] = json!("tomorrow")),
        Lie("issued in the future", |c| c["iat"] = json!(now() + 120)),
        Lie("issued long ago", |c| c["iat"] = json!(now() - 3_600)),
        Lie("not valid yet", |c| c["nbf"] = json!(now() + 120)),
        Lie("not valid at any time", |c| c["nbf"] = json!("never")),
        Lie("no subject", |c| drop(c.as_object_mut().and_then(|c| c.remove("sub")))),
        Lie("no time of issue", |c| drop(c.as_object_mut().and_then(|c| c.remove("iat")))),
    ];
    for Lie(name, change) in cases {
        let refused = rig.with(change).await;
        assert!(matches!(refused, Err(OidcError::Identity(_) | OidcError::Provider(_))), "{name}: {refused:?}");
    }
    for (name, change) in [
        ("no role", (|c| drop(c.as_object_mut().and_then(|c| c.remove("roles")))) as fn(&mut Value)),
        ("another role", |c| c["roles"] = json!(["admin", "ADMINS", "admins "])),
        ("a role that is a number", |c| c["roles"] = json!(1)),
        ("an agent whom nobody knows", |c| (c["roles"], c["email"]) = (json!("agents"), json!("eve@shop.example"))),
        ("an agent of another tenant", |c| (c["roles"], c["email"]) = (json!("agents"), json!("wang@shop.example"))),
        ("an address that nobody verified", |c| (c["roles"], c["email_verified"]) = (json!("agents"), json!(false))),
        ("an address of which nothing is said", |c| {
            c["roles"] = json!("agents");
            c.as_object_mut().map(|c| c.remove("email_verified"));
        }),
        ("seat 0", |c| (c["roles"], c["seat"], c["email"]) = (json!("agents"), json!(0), json!("x@y.example"))),
    ] {
        let refused = rig.with(change).await;
        assert!(matches!(refused, Err(OidcError::Nobody(_))), "{name}: {refused:?}");
    }
}

#[tokio::test]
async fn signatures_that_do_not_hold_are_refused() {
    let rig = Rig::new().await;
    let first = || key(FIRST, "first");
    let public = serde_json::to_value(first().as_verification_key()).expect("a key")["x"].as_str().expect("x").to_owned();
    let head = |alg: &str| json!({ "alg": alg, "kid": "first" });
    let bare = |header: &Value, claims: &Value, signature: &str| {
        format!("{}.{}.{signature}", base64(header.to_string().as_bytes()), base64(claims.to_string().as_bytes()))
    };
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let refused = rig.sign_in(|nonce, base| bare(&head(alg), &good(nonce, base), "")).await;
        assert!(matches!(refused, Err(OidcError::Identity(_) | OidcError::Provider(_))), "{alg}: {refused:?}");
        let refused = rig.sign_in(|nonce, base| signed(&first(), &head(alg), &good(nonce, base))).await;
        assert!(refused.is_err(), "{alg} under a good signature");
    }
    // Shared secrets: the public key, and the client's secret. Whatever the signature is, the algorithm is not allowed.
    for alg in ["HS256", "HS384", "HS512"] {
        let refused = rig.sign_in(|nonce, base| bare(&head(alg), &good(nonce, base), &public)).await;
        assert_eq!(refused, Err(OidcError::Identity("its algorithm is not allowed")), "{alg}");
    }
    for alg in ["RS256", "ES256", "PS256"] {
        let refused = rig.sign_in(|nonce, base| signed(&first(), &head(alg), &good(nonce, base))).await;
        assert!(matches!(refused, Err(OidcError::Identity(_))), "{alg}: {refused:?}");
    }
    let other = rig.sign_in(|nonce, base| signed(&key(SECOND, "first"), &head("EdDSA"), &good(nonce, base))).await;
    assert_eq!(other, Err(OidcError::Identity("its signature does not hold")));
    let cut = rig.sign_in(|nonce, base| bare(&head("EdDSA"), &good(nonce, base), "")).await;
    assert!(cut.is_err());
    let brought = rig.sign_in(|nonce, base| {
        let jwk = serde_json::to_value(key(SECOND, "own").as_verification_key()).expect("a key");
        signed(&key(SECOND, "own"), &json!({ "alg": "EdDSA", "jwk": jwk, "kid": "own" }), &good(nonce, base))
    });
    assert!(brought.await.is_err(), "a key that the identity brings along");
    let crit = json!({ "alg": "EdDSA", "kid": "first", "crit": ["b64"], "b64": false });
    assert!(rig.sign_in(|nonce, base| signed(&first(), &crit, &good(nonce, base))).await.is_err());
    for raw in ["", ".", "..", "a.b.c", "null"] {
        assert!(rig.sign_in(|_, _| raw.to_owned()).await.is_err(), "{raw:?}");
    }
    assert!(rig.with(|_| {}).await.is_ok(), "the control");
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_again_for_an_unknown_one_and_not_more_often_than_allowed() {
    let rig = Rig::new().await;
    let asked = || rig.said.lock().unwrap_or_else(PoisonError::into_inner).asked_keys.load(Ordering::Relaxed);
    let with_second =
        |nonce: &str, base: &str| signed(&key(SECOND, "second"), &json!({ "alg": "EdDSA", "kid": "second" }), &good(nonce, base));
    assert!(rig.with(|_| {}).await.is_ok());
    assert_eq!(asked(), 1);
    // Unknown keys, many: asked no more often than every half minute.
    for _ in 0..20 {
        assert!(rig.sign_in(with_second).await.is_err());
    }
    assert_eq!(asked(), 1);
    rig.says(|said| said.keys = published(&[&key(FIRST, "first"), &key(SECOND, "second")]));
    tokio::time::advance(tidegate_router::auth::KEYS_AGAIN).await;
    assert!(rig.sign_in(with_second).await.is_ok(), "the provider has turned its keys");
    assert_eq!(asked(), 2);
    tokio::time::advance(tidegate_router::auth::KEYS_KEPT).await;
    rig.says(|said| said.keys = published(&[&key(SECOND, "second")]));
    assert!(rig.with(|_| {}).await.is_err(), "a key that the provider has taken back");
}

#[tokio::test]
async fn a_state_is_good_once_and_not_for_ever() {
    let rig = Rig::new().await;
    let started = rig.provider.start("/").await.expect("started");
    rig.says(|said| said.id_token = "x".into());
    assert!(matches!(rig.provider.finish(&started.state, "c").await, Err(OidcError::Identity(_) | OidcError::Provider(_))));
    assert_eq!(rig.provider.finish(&started.state, "c").await.map(drop), Err(OidcError::State), "used");
    assert_eq!(rig.provider.finish("", "c").await.map(drop), Err(OidcError::State));
    let late = rig.provider.start("/").await.expect("started");
    tokio::time::pause();
    tokio::time::advance(tidegate_router::auth::PENDING_KEPT).await;
    assert_eq!(rig.provider.finish(&late.state, "c").await.map(drop), Err(OidcError::State), "too late");
    for _ in 0..tidegate_router::auth::PENDING_MAX + 10 {
        drop(rig.provider.start("/").await);
    }
    assert_eq!(rig.provider.pending(), tidegate_router::auth::PENDING_MAX);
}

#[tokio::test]
async fn another_issuer_in_the_description_and_no_provider_are_told() {
    let rig = Rig::new().await;
    rig.says(|said| said.issuer = "https://evil.example".into());
    assert_eq!(rig.provider.start("/").await.map(drop), Err(OidcError::Provider("it names another issuer")));
    let config = |issuer: &str| OidcConfig {
        issuer: issuer.into(),
        client_id: "c".into(),
        client_secret: None,
        redirect: "https://node.example/cb".into(),
        scopes: Vec::new(),
        role_claim: "roles".into(),
        map: vec![RoleOf { value: "v".into(), role: Role::Viewer, tenant: None }],
        seat_claim: None,
        login_claim: "email".into(),
        logins: Vec::new(),
    };
    let down = Provider::new(config("http://127.0.0.1:1")).expect("a provider");
    assert_eq!(down.start("/").await.map(drop), Err(OidcError::Provider("it cannot be reached")));
    for wrong in ["http://provider.example", "ftp://127.0.0.1", "provider", ""] {
        assert!(matches!(Provider::new(config(wrong)), Err(OidcError::Config(_))), "{wrong}");
    }
    let nobody = OidcConfig { map: Vec::new(), ..config("https://provider.example") };
    assert!(matches!(Provider::new(nobody), Err(OidcError::Config(_))));
}
