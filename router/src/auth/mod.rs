//! Administrators' bearer tokens: kept as keyed BLAKE3 hashes, compared in constant time, each with a scope and a reach.
//!
//! It refuses to know the tokens themselves after they were added: a dump of a node's memory or configuration gives hashes
//! under a key that is drawn at start. Every lookup walks the whole table, so its time tells nothing about a near miss.
//!
//! Customers' and agents' tokens are the channels' matter (`Authenticator` of the model's ports).
//!
//! Drive it: [`Admins::new`] with a random key, [`Admins::add`] for each configured token, [`Admins::check`] per request.

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use tidegate_model::ids::TenantId;

/// Fewest bytes of a token: fewer can be guessed.
pub const ADMIN_TOKEN_BYTES_MIN: usize = 32;
/// Most tokens that a node holds.
pub const ADMIN_TOKENS_MAX: usize = 256;
/// Longest bearer token, in bytes.
pub const ADMIN_TOKEN_BYTES_MAX: usize = 512;

/// What a token permits. Each scope includes the ones before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scope {
    /// Reads figures and states.
    Viewer,
    /// Changes the roster, reads transcripts.
    Operator,
    /// Changes policies and accounts, drains the node.
    Admin,
}

/// What a checked token permits, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdminGrant {
    /// Whose token it is; for the audit, never a secret.
    pub name: String,
    /// What it permits.
    pub scope: Scope,
    /// The one tenant it reaches; none for all.
    pub tenant: Option<TenantId>,
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

impl Scope {
    /// The word for it in configuration and errors.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
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
