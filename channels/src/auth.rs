//! Tokens: JSON Web Tokens, HS256 and nothing else, checked by `jsonwebtoken` over the RustCrypto HMAC.
//!
//! Three kinds, kept apart by audience: a customer's (`tidegate-web`: tenant, account, conversation), an agent's
//! (`tidegate-desk`: tenant, seat), and a site's signed identity (audience = the inbox's name, `sub` = the site's own user
//! id), which a page presents to open a verified conversation. The algorithm is fixed by us and never by the header; `kid`
//! picks one of at most two secrets, so that they can be rotated; `exp` is required; `crit`, `enc` and `zip` are refused;
//! signatures are compared in constant time. The clock is passed in. No token, secret or subject is ever printed.

use crate::ids;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use signature::{Signer, Verifier};
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tidegate_model::port::{AgentGrant, AuthError, Authenticator, CustomerGrant, DeskTokens};
use tidegate_model::{AccountId, ConversationId, CustomerId, SeatId, TenantId};

/// Longest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 2_048;
/// Shortest secret, in bytes.
pub const SECRET_BYTES_MIN: usize = 32;
/// Longest life that a site may give an identity, in seconds.
pub const IDENTITY_LIFE_MAX_S: u64 = 3_600;
/// Clock difference that is forgiven, in seconds.
pub const LEEWAY_S: u64 = 5;

const WEB: &str = "tidegate-web";
const DESK: &str = "tidegate-desk";

/// Why a key ring was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// None, or more than two keys.
    #[error("a key ring holds one key, or two while they are rotated; found {found}")]
    Count {
        /// How many.
        found: usize,
    },
    /// A secret is too short.
    #[error("secret of key `{kid}` has {bytes} bytes, at least {SECRET_BYTES_MIN} expected")]
    Short {
        /// Which key.
        kid: String,
        /// Its length.
        bytes: usize,
    },
    /// A key id is empty, longer than 64 bytes, or stands twice.
    #[error("key id `{kid}` is empty, longer than 64 bytes, or stands twice")]
    Kid {
        /// Which.
        kid: String,
    },
}

/// A secret and its public id.
#[derive(Clone)]
pub struct Key {
    kid: String,
    secret: Vec<u8>,
}

impl Key {
    /// A key; checked when a [`KeyRing`] takes it.
    pub fn new(kid: impl Into<String>, secret: impl Into<Vec<u8>>) -> Self {
        Self { kid: kid.into(), secret: secret.into() }
    }

    /// A key of 256 bits from the operating system, for demonstrations and tests.
    ///
    /// # Errors
    /// When the operating system has no entropy to give.
    pub fn random(kid: impl Into<String>) -> Result<Self, getrandom::Error> {
        let mut secret = vec![0_u8; 32];
        getrandom::fill(&mut secret)?;
        Ok(Self::new(kid, secret))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Ready {
    kid: String,
    signs: EncodingKey,
    checks: DecodingKey,
}

/// One or two keys: the first signs, all are accepted.
#[derive(Clone)]
pub struct KeyRing {
    keys: Vec<Ready>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.kid)).finish()
    }
}

impl KeyRing {
    /// A ring of one or two keys.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn new(keys: Vec<Key>) -> Result<Self, KeyError> {
        // Another provider may be there already; it, too, knows HS256.
        let _ = CryptoProvider::install_default(&PROVIDER);
        if !(1..=2).contains(&keys.len()) {
            return Err(KeyError::Count { found: keys.len() });
        }
        let mut ready: Vec<Ready> = Vec::with_capacity(2);
        for Key { kid, secret } in keys {
            if kid.is_empty() || kid.len() > 64 || ready.iter().any(|key| key.kid == kid) {
                return Err(KeyError::Kid { kid });
            }
            if secret.len() < SECRET_BYTES_MIN {
                return Err(KeyError::Short { kid, bytes: secret.len() });
            }
            ready.push(Ready { kid, signs: EncodingKey::from_secret(&secret), checks: DecodingKey::from_secret(&secret) });
        }
        Ok(Self { keys: ready })
    }

    fn sign<T: Serialize>(&self, claims: &T) -> Result<String, AuthError> {
        let key = &self.keys[0];
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(key.kid.clone());
        jsonwebtoken::encode(&header, claims, &key.signs).map_err(|_| AuthError::Malformed)
    }

    fn check<T: DeserializeOwned>(&self, token: &str, audience: &str) -> Result<T, AuthError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|error| match error.kind() {
            // The header is JSON, but `alg` is none of those that the library knows ("none" among them).
            ErrorKind::Json(_) => AuthError::Algorithm,
            _ => AuthError::Malformed,
        })?;
        if header.alg != Algorithm::HS256 {
            return Err(AuthError::Algorithm);
        }
        if header.crit.is_some() || header.enc.is_some() || header.zip.is_some() {
            return Err(AuthError::Malformed);
        }
        let kid = header.kid.as_deref().ok_or(AuthError::Malformed)?;
        let key = self.keys.iter().find(|key| key.kid == kid).ok_or(AuthError::Signature)?;
        let mut validation = Validation::new(Algorithm::HS256);
        // Time is ours to check: against the clock that was passed in.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.set_required_spec_claims(&["exp", "aud"]);
        validation.set_audience(&[audience]);
        // Straight into the claims' own type: by way of any JSON, a claim that stands twice would be seen once.
        match jsonwebtoken::decode::<T>(token, &key.checks, &validation) {
            Ok(data) => Ok(data.claims),
            // A good token for somebody else must be told apart from one that is no token.
            Err(error) if matches!(error.kind(), ErrorKind::Json(_)) => {
                let any = jsonwebtoken::decode::<serde_json::Value>(token, &key.checks, &validation);
                let is_foreign = any.is_err_and(|error| matches!(error.kind(), ErrorKind::InvalidAudience));
                Err(if is_foreign { AuthError::Audience } else { AuthError::Malformed })
            }
            Err(error) => Err(match error.kind() {
                ErrorKind::InvalidSignature | ErrorKind::Base64(_) => AuthError::Signature,
                ErrorKind::InvalidAlgorithm => AuthError::Algorithm,
                ErrorKind::InvalidAudience => AuthError::Audience,
                _ => AuthError::Malformed,
            }),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WebClaims {
    aud: String,
    exp: u64,
    tenant: u32,
    account: u32,
    conversation: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customer: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeskClaims {
    aud: String,
    exp: u64,
    tenant: u32,
    seat: String,
}

#[derive(Serialize, Deserialize)]
struct IdentityClaims {
    aud: String,
    exp: u64,
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
}

/// Wall-clock seconds since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The operating system's clock.
pub fn system_clock() -> Clock {
    Arc::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |span| span.as_secs()))
}

/// Mints and checks the tokens of customers and agents.
#[derive(Clone)]
pub struct TokenAuthority {
    keys: KeyRing,
    clock: Clock,
}

impl fmt::Debug for TokenAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenAuthority").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl TokenAuthority {
    /// An authority over a ring.
    pub fn new(keys: KeyRing, clock: Clock) -> Self {
        Self { keys, clock }
    }

    /// A customer's token.
    ///
    /// # Errors
    /// [`AuthError::Malformed`] when it cannot be signed.
    pub fn mint_customer(&self, grant: &CustomerGrant, life_s: u64) -> Result<String, AuthError> {
        self.keys.sign(&WebClaims {
            aud: WEB.to_owned(),
            exp: (self.clock)().saturating_add(life_s),
            tenant: grant.tenant.0,
            account: grant.account.0,
            conversation: format!("{:032x}", grant.conversation.0),
            customer: (!grant.customer.is_none()).then(|| format!("{:016x}", grant.customer.0)),
        })
    }

    /// An agent's token.
    ///
    /// # Errors
    /// As [`Self::mint_customer`].
    pub fn mint_agent(&self, grant: &AgentGrant, life_s: u64) -> Result<String, AuthError> {
        self.keys.sign(&DeskClaims {
            aud: DESK.to_owned(),
            exp: (self.clock)().saturating_add(life_s),
            tenant: grant.tenant.0,
            seat: format!("{:016x}", grant.seat.0),
        })
    }

    fn in_time(&self, exp: u64) -> Result<(), AuthError> {
        if exp.saturating_add(LEEWAY_S) > (self.clock)() { Ok(()) } else { Err(AuthError::Expired) }
    }
}

impl Authenticator for TokenAuthority {
    fn customer(&self, token: &str) -> Result<CustomerGrant, AuthError> {
        let claims: WebClaims = self.keys.check(token, WEB)?;
        self.in_time(claims.exp)?;
        let conversation = ConversationId(hex(&claims.conversation, 32)?);
        let customer = match &claims.customer {
            Some(text) => CustomerId(u64::try_from(hex(text, 16)?).map_err(|_| AuthError::Malformed)?),
            None => CustomerId::NONE,
        };
        Ok(CustomerGrant { tenant: TenantId(claims.tenant), account: AccountId(claims.account), conversation, customer })
    }

    fn agent(&self, token: &str) -> Result<AgentGrant, AuthError> {
        let claims: DeskClaims = self.keys.check(token, DESK)?;
        self.in_time(claims.exp)?;
        let seat = SeatId(u64::try_from(hex(&claims.seat, 16)?).map_err(|_| AuthError::Malformed)?);
        Ok(AgentGrant { tenant: TenantId(claims.tenant), seat })
    }
}

impl DeskTokens for TokenAuthority {
    fn desk_token(&self, grant: &AgentGrant, life_s: u64) -> Result<String, AuthError> {
        self.mint_agent(grant, life_s)
    }
}

/// Signs an identity as a site's backend would: for tests, the demo and examples.
///
/// # Errors
/// [`AuthError::Malformed`] when it cannot be signed.
pub fn sign_identity(keys: &KeyRing, inbox: &str, subject: &str, exp: u64) -> Result<String, AuthError> {
    keys.sign(&IdentityClaims { aud: inbox.to_owned(), exp, sub: subject.to_owned(), nbf: None })
}

/// Checks a site's identity for an inbox: the subject, and the customer it names in the tenant.
///
/// # Errors
/// [`AuthError`]; [`AuthError::Expired`] also when it would live longer than [`IDENTITY_LIFE_MAX_S`].
pub fn check_identity(
    keys: &KeyRing,
    tenant: TenantId,
    inbox: &str,
    token: &str,
    now_s: u64,
) -> Result<(String, CustomerId), AuthError> {
    let claims: IdentityClaims = keys.check(token, inbox)?;
    let late = claims.exp.saturating_add(LEEWAY_S) <= now_s;
    if late || claims.exp > now_s.saturating_add(IDENTITY_LIFE_MAX_S + LEEWAY_S) {
        return Err(AuthError::Expired);
    }
    if claims.nbf.is_some_and(|nbf| nbf > now_s.saturating_add(LEEWAY_S)) {
        return Err(AuthError::Expired);
    }
    if claims.sub.is_empty() || claims.sub.len() > 256 {
        return Err(AuthError::Malformed);
    }
    let customer = ids::customer(tenant, &claims.sub);
    Ok((claims.sub, customer))
}

fn hex(text: &str, digits: usize) -> Result<u128, AuthError> {
    if text.len() != digits || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(AuthError::Malformed);
    }
    u128::from_str_radix(text, 16).map_err(|_| AuthError::Malformed)
}

/// HS256 alone: no other algorithm is compiled in.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| {
        if *algorithm != Algorithm::HS256 || key.family() != AlgorithmFamily::Hmac {
            return Err(Error::from(ErrorKind::InvalidAlgorithm));
        }
        Ok(Box::new(Hs256::new(key.as_bytes())?))
    },
    verifier_factory: |algorithm, key| {
        if *algorithm != Algorithm::HS256 || key.family() != AlgorithmFamily::Hmac {
            return Err(Error::from(ErrorKind::InvalidAlgorithm));
        }
        Ok(Box::new(Hs256::new(key.try_get_as_bytes()?)?))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

struct Hs256(Hmac<Sha256>);

impl Hs256 {
    fn new(secret: &[u8]) -> Result<Self, Error> {
        Hmac::new_from_slice(secret).map(Self).map_err(|_| Error::from(ErrorKind::InvalidKeyFormat))
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let mut mac = self.0.clone();
        mac.update(message);
        Ok(mac.finalize().into_bytes().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], tag: &Vec<u8>) -> Result<(), signature::Error> {
        let mut mac = self.0.clone();
        mac.update(message);
        // Constant time: `verify_slice` compares by `subtle`.
        mac.verify_slice(tag).map_err(signature::Error::from_source)
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}
