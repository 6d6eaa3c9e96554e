//! Who may do what, and by which token: roles, administrators' configured tokens, and API tokens.
//!
//! Configured tokens are kept as keyed BLAKE3 hashes, compared in constant time, each with a role and a reach.
//!
//! It refuses to know the tokens themselves after they were added: a dump of a node's memory or configuration gives hashes
//! under a key that is drawn at start. Every lookup walks the whole table, so its time tells nothing about a near miss.
//!
//! Customers' and agents' tokens are the channels' matter (`Authenticator` of the model's ports).
//!
//! Drive it: [`Admins::new`] with a random key, [`Admins::add`] for each configured token, [`Admins::check`] per request;
//! [`Tokens`] for those that the API makes, [`Role::may`] for what they permit.

mod oidc;
mod role;
mod tokens;

pub use oidc::{KEYS_AGAIN, KEYS_KEPT, OidcConfig, OidcError, PENDING_KEPT, PENDING_MAX, Person, Provider, RoleOf, Started};
pub use role::{NoRole, Permission, Role, TABLE};
pub use tokens::{
    GRACE_S_MAX, LIFE_S_MAX, LIFE_S_MIN, Minted, NewToken, TOKEN_BYTES, TOKENS_MAX, TokenText, TokenView, Tokens, TokensError,
};

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use tidegate_model::ids::{SeatId, TenantId};

/// Fewest bytes of a token: fewer can be guessed.
pub const ADMIN_TOKEN_BYTES_MIN: usize = 32;
/// Most tokens that a node holds.
pub const ADMIN_TOKENS_MAX: usize = 256;
/// Longest bearer token, in bytes.
pub const ADMIN_TOKEN_BYTES_MAX: usize = 512;

/// What a checked token permits, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdminGrant {
    /// Whose token it is; for the audit, never a secret.
    pub name: String,
    /// What it is to the floor.
    pub role: Role,
    /// The one tenant it reaches; none for all.
    pub tenant: Option<TenantId>,
    /// The seat of an agent.
    pub seat: Option<SeatId>,
    /// Public id of the token, for the audit; empty for a configured one.
    pub token: String,
}

impl AdminGrant {
    /// The grant of a configured token: the whole node, no seat.
    pub fn of_node(name: impl Into<String>, role: Role) -> Self {
        Self { name: name.into(), role, tenant: None, seat: None, token: String::new() }
    }
}

/// Why a token was not added.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdminsError {
    /// It can be guessed, or is longer than a header may be.
    #[error("the token of {name:?} has {found} bytes; {ADMIN_TOKEN_BYTES_MIN} to {ADMIN_TOKEN_BYTES_MAX} are expected")]
    Length {
        /// Whose.
        name: String,
        /// Its length.
        found: usize,
    },
    /// Too many.
    #[error("more than {ADMIN_TOKENS_MAX} administration tokens")]
    TooMany,
    /// Two entries with one token: the audit could not tell them apart.
    #[error("the token of {name:?} is in use already")]
    Repeated {
        /// The second holder.
        name: String,
    },
}

/// The table of administrators' tokens.
pub struct Admins {
    key: [u8; 32],
    rows: Vec<([u8; 32], AdminGrant)>,
}

impl Admins {
    /// An empty table; `key` is drawn anew at every start.
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key, rows: Vec::new() }
    }

    /// Adds a token.
    ///
    /// # Errors
    /// [`AdminsError`]; nothing is added then.
    pub fn add(&mut self, token: &str, grant: AdminGrant) -> Result<(), AdminsError> {
        if token.len() < ADMIN_TOKEN_BYTES_MIN || token.len() > ADMIN_TOKEN_BYTES_MAX {
            return Err(AdminsError::Length { name: grant.name, found: token.len() });
        }
        if self.rows.len() == ADMIN_TOKENS_MAX {
            return Err(AdminsError::TooMany);
        }
        if self.check(token).is_some() {
            return Err(AdminsError::Repeated { name: grant.name });
        }
        self.rows.push((self.hash(token), grant));
        Ok(())
    }

    /// What `token` permits; nothing for an unknown one. Always O(tokens).
    pub fn check(&self, token: &str) -> Option<&AdminGrant> {
        if token.len() > ADMIN_TOKEN_BYTES_MAX {
            return None;
        }
        let hash = self.hash(token);
        let mut found = Choice::from(0);
        let mut at = 0_u64;
        for (index, (known, _)) in self.rows.iter().enumerate() {
            let equal = known.ct_eq(&hash);
            at.conditional_assign(&(index as u64), equal);
            found |= equal;
        }
        if bool::from(found) { self.rows.get(at as usize).map(|(_, grant)| grant) } else { None }
    }

    fn hash(&self, token: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.key, token.as_bytes()).as_bytes()
    }
}

#[cfg(test)]
mod tests;
