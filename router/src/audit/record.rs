//! One record of the audit: its fields, its one line of JSON, and the hash that chains it.
//!
//! The hash is keyed BLAKE3 over the record without its hash, serialised in the fixed order of its fields. It refuses to
//! know files.

use super::{DETAIL_BYTES_MAX, DETAILS_MAX};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The newest record: its number from 1 (0: none) and its hash.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Number.
    pub n: u64,
    /// Hash.
    pub hash: [u8; 32],
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Name, as the token's or the identity provider's.
    pub name: String,
    /// Role.
    pub role: String,
    /// Public id of the token, never the token; empty for none.
    pub token: String,
    /// Address of the peer; empty for none.
    pub from: String,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Number, gap-free from 1.
    pub n: u64,
    /// Wall clock, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What, such as `policy.activate`.
    pub action: String,
    /// Who.
    pub actor: Actor,
    /// Of which tenant; none for the node's own.
    pub tenant: Option<u32>,
    /// `asked`, then `done`, `refused` or `failed`.
    pub outcome: String,
    /// For an outcome: the number of the record that asked.
    pub of: Option<u64>,
    /// Names, ids and hashes.
    pub details: BTreeMap<String, String>,
    /// Hash of the record before this one; zeroes for the first.
    #[serde(with = "hex")]
    pub prev: [u8; 32],
    /// Hash of this one.
    #[serde(with = "hex")]
    pub hash: [u8; 32],
}

/// A record that is not chained yet.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub at_ms: u64,
    pub action: String,
    pub actor: Actor,
    pub tenant: Option<u32>,
    pub outcome: String,
    pub of: Option<u64>,
    pub details: BTreeMap<String, String>,
}

impl Actor {
    /// The node itself.
    #[must_use]
    pub fn node() -> Self {
        Self { name: "node".into(), role: "node".into(), token: String::new(), from: String::new() }
    }
}

impl Line {
    pub fn new(action: &str, actor: Actor) -> Self {
        let (outcome, details) = (String::new(), BTreeMap::new());
        Self { at_ms: 0, action: action.to_owned(), actor, tenant: None, outcome, of: None, details }
    }

    pub fn detail(mut self, name: &str, mut value: String) -> Self {
        if value.len() > DETAIL_BYTES_MAX {
            let end = (0..=DETAIL_BYTES_MAX).rev().find(|end| value.is_char_boundary(*end)).unwrap_or(0);
            value.truncate(end);
            value.push_str(" (cut)");
        }
        if self.details.len() < DETAILS_MAX {
            self.details.insert(name.to_owned(), value);
        }
        self
    }

    pub fn done(mut self, at_ms: u64, of: Option<u64>, outcome: &str) -> Self {
        self.at_ms = at_ms;
        self.of = of;
        self.outcome = outcome.to_owned();
        self
    }

    pub fn chained(self, before: Head, key: &[u8; 32]) -> Record {
        let Self { at_ms, action, actor, tenant, outcome, of, details } = self;
        let (n, prev) = (before.n + 1, before.hash);
        let mut record = Record { n, at_ms, action, actor, tenant, outcome, of, details, prev, hash: [0; 32] };
        record.hash = record.hashed(key);
        record
    }
}

impl Record {
    /// Reads one line without its end.
    ///
    /// # Errors
    /// Where it is no record.
    pub fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// The hash that this record must have.
    pub(super) fn hashed(&self, key: &[u8; 32]) -> [u8; 32] {
        let bare = Self { hash: [0; 32], ..self.clone() };
        *blake3::keyed_hash(key, bare.json().as_bytes()).as_bytes()
    }

    /// The line with its end.
    pub(super) fn to_line(&self) -> String {
        self.json() + "\n"
    }

    fn json(&self) -> String {
        // Strings, numbers and one map with text keys: nothing of it can fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.n, blake3::Hash::from(self.hash).to_hex())
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Head({self})")
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(n, hash)| Some((n.parse().ok()?, blake3::Hash::from_hex(hash).ok()?)));
        let (n, hash) = parts.ok_or("a head is NUMBER:HASH, the hash in 64 hexadecimal digits")?;
        Ok(Self { n, hash: *hash.as_bytes() })
    }
}

/// The path of a file by its number.
pub(super) fn file(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("audit-{number:06}.ndjson"))
}

mod hex {
    //! Hashes as hexadecimal text.

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(hash: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&blake3::Hash::from(*hash).to_hex())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        blake3::Hash::from_hex(text.as_bytes()).map(|hash| *hash.as_bytes()).map_err(D::Error::custom)
    }
}
