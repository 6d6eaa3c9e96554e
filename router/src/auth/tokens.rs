//! API tokens: `tg_<id>_<secret>`, made and revoked over the API, kept as hashes in one small file beside the log.
//!
//! The id (12 hexadecimal digits) is public: it stands in lists and in the audit. The secret (64 digits, 256 random bits) is
//! shown once and kept as keyed BLAKE3 over id and secret. A slow hash such as argon2 is for secrets that people choose; 256
//! random bits cannot be searched, and a slow hash would hand whoever sends wrong tokens a lever. The key is derived from the
//! node's secret, so the file alone proves nothing about a token. While a token is rotated two secrets are good.
//!
//! The file is written whole, synced and renamed before a change is answered, so a revoked token stays revoked after a crash.
//! It refuses to know HTTP and who may make tokens; the clock is passed in.
//!
//! Drive it: [`Tokens::open`], then [`Tokens::check`] a request; [`Tokens::create`], [`Tokens::rotate`], [`Tokens::revoke`]
//! (blocking), [`Tokens::list`].

use super::{AdminGrant, Role};
use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use subtle::ConstantTimeEq;
use tidegate_model::ids::{SeatId, TenantId};
use tidegate_model::limits::NAME_BYTES_MAX;

/// Most tokens that a node keeps, the revoked and expired of the last while included.
pub const TOKENS_MAX: usize = 1_024;
/// Length of a token, in bytes.
pub const TOKEN_BYTES: usize = 3 + ID_DIGITS + 1 + SECRET_DIGITS;
/// Shortest life, in seconds.
pub const LIFE_S_MIN: u64 = 60;
/// Longest life, in seconds: 400 days.
pub const LIFE_S_MAX: u64 = 400 * 86_400;
/// Longest time for which a rotated secret stays good, in seconds: a week.
pub const GRACE_S_MAX: u64 = 7 * 86_400;

const ID_DIGITS: usize = 12;
const SECRET_DIGITS: usize = 64;
/// Last use is told this coarsely: to find tokens that nobody uses, and not to follow people.
const LAST_USED_STEP_MS: u64 = 3_600_000;
/// How long a dead token stays in the list, for whoever asks what it was.
const DEAD_KEPT_MS: u64 = 90 * 86_400_000;
/// Largest file that is read: far above what [`TOKENS_MAX`] rows need.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The two parts of a token's text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenText<'t> {
    /// Public.
    pub id: &'t str,
    /// Not public.
    secret: &'t str,
}

/// What a new token is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Whose.
    pub name: String,
    /// What it is to the floor.
    pub role: Role,
    /// The one tenant it reaches; none for all.
    pub tenant: Option<TenantId>,
    /// The seat, for an agent and nobody else.
    pub seat: Option<SeatId>,
    /// Its life in seconds.
    pub life_s: u64,
}

/// A token that was made or rotated: the only time its text is seen.
pub struct Minted {
    /// What is known of it from now on.
    pub view: TokenView,
    /// The text.
    pub text: String,
}

/// What is known of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenView {
    /// Public id.
    pub id: String,
    /// Whose.
    pub name: String,
    /// Role's word.
    pub role: &'static str,
    /// The one tenant it reaches.
    pub tenant: Option<u32>,
    /// The seat of an agent.
    pub seat: Option<String>,
    /// When it was made, in milliseconds since the Unix epoch; all times here are.
    pub created_ms: u64,
    /// When it ends.
    pub expires_ms: u64,
    /// When it was last used, to the hour.
    pub last_used_ms: Option<u64>,
    /// When it was revoked.
    pub revoked_ms: Option<u64>,
    /// Until when the secret before the rotation is good, too.
    pub rotating_until_ms: Option<u64>,
}

/// Why tokens cannot be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokensError {
    /// The disk.
    #[error("{path} cannot be {what}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What failed.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not what this release writes.
    #[error("{path}: {what}; restore it, or move it away: all API tokens end then")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Too many.
    #[error("the node keeps at most {TOKENS_MAX} API tokens; revoke some")]
    TooMany,
    /// A name out of its range.
    #[error("a token's name has 1 to {NAME_BYTES_MAX} bytes and no control characters")]
    Name,
    /// A life out of its range.
    #[error("a token lives {LIFE_S_MIN} to {LIFE_S_MAX} seconds")]
    Life,
    /// A grace out of its range.
    #[error("the secret before a rotation stays good for at most {GRACE_S_MAX} seconds")]
    Grace,
    /// A seat without the role, or the role without a seat.
    #[error("an agent's token names its tenant and seat, and no other token names a seat")]
    Seat,
    /// No such token, or it has ended.
    #[error("there is no such token, or it has ended")]
    Unknown,
    /// The system gives no entropy.
    #[error("the system gives no entropy")]
    Entropy,
}

/// The table of API tokens.
pub struct Tokens {
    key: [u8; 32],
    path: PathBuf,
    now: fn() -> u64,
    rows: ArcSwap<BTreeMap<String, Arc<Row>>>,
    /// Held through a change and its write: changes are made one after the other.
    writing: Mutex<()>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    name: String,
    role: String,
    tenant: Option<u32>,
    seat: Option<u64>,
    created_ms: u64,
    expires_ms: u64,
    revoked_ms: Option<u64>,
    /// 0 for never.
    last_used_ms: AtomicU64,
    hash: String,
    before: Option<Before>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Before {
    hash: String,
    until_ms: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnDisk<R> {
    version: u32,
    tokens: Vec<R>,
}

impl<'t> TokenText<'t> {
    /// Takes a token's text apart: exactly one spelling is read. O(1): longer texts are refused by their length.
    pub fn read(text: &'t str) -> Option<Self> {
        if text.len() != TOKEN_BYTES || !text.is_ascii() {
            return None;
        }
        let (id, secret) = text.strip_prefix("tg_")?.split_once('_')?;
        let is_hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (id.len() == ID_DIGITS && secret.len() == SECRET_DIGITS && is_hex(id) && is_hex(secret)).then_some(Self { id, secret })
    }
}

impl fmt::Debug for TokenText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenText").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for Minted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minted").field("view", &self.view).finish_non_exhaustive()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("path", &self.path).field("rows", &self.rows.load().len()).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Opens the table kept in `path`, or begins one. `secret` is the node's; `now` gives milliseconds since the Unix epoch.
    /// Blocking.
    ///
    /// # Errors
    /// [`TokensError::Io`], [`TokensError::Damaged`].
    pub fn open(path: &Path, secret: &[u8], now: fn() -> u64) -> Result<Self, TokensError> {
        let io = |what| move |source| TokensError::Io { path: path.to_owned(), what, source };
        let damaged = |what: String| TokensError::Damaged { path: path.to_owned(), what };
        let rows = match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(io("read")(error)),
            Ok(meta) if meta.len() > FILE_BYTES_MAX => return Err(damaged(format!("{} bytes are too many", meta.len()))),
            Ok(_) => {
                let bytes = std::fs::read(path).map_err(io("read"))?;
                // The error's text tells where and never what: hashes are not for logs.
                let place = |e: serde_json::Error| damaged(format!("line {} column {} is not as written", e.line(), e.column()));
                let kept: OnDisk<Row> = serde_json::from_slice(&bytes).map_err(place)?;
                if kept.version != 1 {
                    return Err(damaged(format!("version {} is not known to this release", kept.version)));
                }
                let count = kept.tokens.len();
                let rows: BTreeMap<_, _> = kept.tokens.into_iter().map(|row| (row.id.clone(), Arc::new(row))).collect();
                if rows.len() != count || rows.values().any(|row| !row.is_sound()) {
                    return Err(damaged("a row stands twice or has an unknown role".to_owned()));
                }
                rows
            }
        };
        let key = blake3::derive_key("tidegate 2026-11-20 API tokens", secret);
        Ok(Self { key, path: path.to_owned(), now, rows: ArcSwap::from_pointee(rows), writing: Mutex::new(()) })
    }

    /// What a token permits; nothing for an unknown, expired or revoked one. O(log tokens) in the id, which is public;
    /// constant in the secret.
    pub fn check(&self, text: &str) -> Option<AdminGrant> {
        let text = TokenText::read(text)?;
        let now = (self.now)();
        let hash = self.hash(text);
        let rows = self.rows.load();
        let row = rows.get(text.id)?;
        let current = row.hash.as_bytes().ct_eq(hash.as_bytes());
        let before = match &row.before {
            Some(before) if now < before.until_ms => before.hash.as_bytes().ct_eq(hash.as_bytes()),
            _ => subtle::Choice::from(0),
        };
        if !bool::from(current | before) || row.revoked_ms.is_some() || now >= row.expires_ms {
            return None;
        }
        row.last_used_ms.fetch_max(now - now % LAST_USED_STEP_MS, Ordering::Relaxed);
        let role = row.role.parse().ok()?;
        let (tenant, seat) = (row.tenant.map(TenantId), row.seat.map(SeatId));
        Some(AdminGrant { name: row.name.clone(), role, tenant, seat, token: row.id.clone() })
    }

    /// Makes a token. Blocking: one synced file.
    ///
    /// # Errors
    /// [`TokensError`]; nothing is made then.
    pub fn create(&self, new: &NewToken) -> Result<Minted, TokensError> {
        if new.name.is_empty() || new.name.len() > NAME_BYTES_MAX || new.name.chars().any(char::is_control) {
            return Err(TokensError::Name);
        }
        if !(LIFE_S_MIN..=LIFE_S_MAX).contains(&new.life_s) {
            return Err(TokensError::Life);
        }
        let is_agent = new.role == Role::Agent;
        if is_agent != new.seat.is_some() || (is_agent && new.tenant.is_none()) {
            return Err(TokensError::Seat);
        }
        self.change(|rows, now| {
            rows.retain(|_, row| now < row.ended_ms().saturating_add(DEAD_KEPT_MS));
            if rows.len() >= TOKENS_MAX {
                // The dead make room, the longest dead first: sign-ins of people make many short tokens.
                let dead =
                    rows.values().filter(|row| !row.is_alive(now)).min_by_key(|row| row.ended_ms()).map(|row| row.id.clone());
                rows.remove(&dead.ok_or(TokensError::TooMany)?);
            }
            let id = loop {
                let id = digits::<6>()?;
                if !rows.contains_key(&id) {
                    break id;
                }
            };
            let (hash, text) = self.secret(&id)?;
            let row = Row {
                id: id.clone(),
                name: new.name.clone(),
                role: new.role.word().to_owned(),
                tenant: new.tenant.map(|tenant| tenant.0),
                seat: new.seat.map(|seat| seat.0),
                created_ms: now,
                expires_ms: now.saturating_add(new.life_s * 1_000),
                revoked_ms: None,
                last_used_ms: AtomicU64::new(0),
                hash,
                before: None,
            };
            let minted = Minted { view: row.view(now), text };
            rows.insert(id, Arc::new(row));
            Ok(minted)
        })
    }

    /// Gives a token another secret; the one before stays good for `grace_s`. Blocking: one synced file.
    ///
    /// # Errors
    /// [`TokensError`]; nothing has changed then.
    pub fn rotate(&self, id: &str, grace_s: u64) -> Result<Minted, TokensError> {
        if grace_s > GRACE_S_MAX {
            return Err(TokensError::Grace);
        }
        self.change(|rows, now| {
            let row = rows.get(id).filter(|row| row.is_alive(now)).ok_or(TokensError::Unknown)?;
            let (hash, text) = self.secret(id)?;
            let before = (grace_s > 0).then(|| Before { hash: row.hash.clone(), until_ms: now.saturating_add(grace_s * 1_000) });
            let next = Row { hash, before, ..row.copy() };
            let minted = Minted { view: next.view(now), text };
            rows.insert(id.to_owned(), Arc::new(next));
            Ok(minted)
        })
    }

    /// Ends a token at once. Revoking a revoked one changes nothing. Blocking: one synced file.
    ///
    /// # Errors
    /// [`TokensError`]; then it is not revoked durably.
    pub fn revoke(&self, id: &str) -> Result<TokenView, TokensError> {
        self.change(|rows, now| {
            let row = rows.get(id).ok_or(TokensError::Unknown)?;
            let next = Row { revoked_ms: row.revoked_ms.or(Some(now)), before: None, ..row.copy() };
            let view = next.view(now);
            rows.insert(id.to_owned(), Arc::new(next));
            Ok(view)
        })
    }

    /// All, by id.
    pub fn list(&self) -> Vec<TokenView> {
        let now = (self.now)();
        self.rows.load().values().map(|row| row.view(now)).collect()
    }

    /// One.
    pub fn view(&self, id: &str) -> Option<TokenView> {
        self.rows.load().get(id).map(|row| row.view((self.now)()))
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, Arc<Row>>, u64) -> Result<T, TokensError>,
    ) -> Result<T, TokensError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = BTreeMap::clone(&self.rows.load());
        let done = change(&mut rows, (self.now)())?;
        self.write(&rows)?;
        self.rows.store(Arc::new(rows));
        Ok(done)
    }

    fn write(&self, rows: &BTreeMap<String, Arc<Row>>) -> Result<(), TokensError> {
        let io = |what| move |source| TokensError::Io { path: self.path.clone(), what, source };
        let kept = OnDisk { version: 1, tokens: rows.values().map(Arc::as_ref).collect() };
        let text = serde_json::to_vec_pretty(&kept).map_err(|error| io("written")(error.into()))?;
        let beside = self.path.with_extension("json.new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside).map_err(io("written"))?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(io("written"))?;
        std::fs::rename(&beside, &self.path).map_err(io("replaced"))?;
        let directory = self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(io("synced"))
    }

    fn secret(&self, id: &str) -> Result<(String, String), TokensError> {
        let secret = digits::<32>()?;
        let hash = self.hash(TokenText { id, secret: &secret });
        Ok((hash, format!("tg_{id}_{secret}")))
    }

    /// Over id and secret, so that a hash is worth nothing in another row.
    fn hash(&self, text: TokenText<'_>) -> String {
        let bound = format!("{}:{}", text.id, text.secret);
        blake3::keyed_hash(&self.key, bound.as_bytes()).to_hex().to_string()
    }
}

impl Row {
    fn is_sound(&self) -> bool {
        let role = self.role.parse::<Role>();
        role.is_ok_and(|role| (role == Role::Agent) == self.seat.is_some()) && self.hash.len() == SECRET_DIGITS
    }

    fn is_alive(&self, now: u64) -> bool {
        now < self.ended_ms()
    }

    fn ended_ms(&self) -> u64 {
        self.revoked_ms.map_or(self.expires_ms, |at| at.min(self.expires_ms))
    }

    fn copy(&self) -> Self {
        Self {
            id: self.id.clone(),
            name: self.name.clone(),
            role: self.role.clone(),
            tenant: self.tenant,
            seat: self.seat,
            created_ms: self.created_ms,
            expires_ms: self.expires_ms,
            revoked_ms: self.revoked_ms,
            last_used_ms: AtomicU64::new(self.last_used_ms.load(Ordering::Relaxed)),
            hash: self.hash.clone(),
            before: self.before.clone(),
        }
    }

    fn view(&self, now: u64) -> TokenView {
        let used = self.last_used_ms.load(Ordering::Relaxed);
        TokenView {
            id: self.id.clone(),
            name: self.name.clone(),
            role: self.role.parse::<Role>().map_or("", Role::word),
            tenant: self.tenant,
            seat: self.seat.map(|seat| seat.to_string()),
            created_ms: self.created_ms,
            expires_ms: self.expires_ms,
            last_used_ms: (used > 0).then_some(used),
            revoked_ms: self.revoked_ms,
            rotating_until_ms: self.before.as_ref().map(|before| before.until_ms).filter(|until| now < *until),
        }
    }
}

/// Random hexadecimal digits, two a byte.
fn digits<const BYTES: usize>() -> Result<String, TokensError> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|_| TokensError::Entropy)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
