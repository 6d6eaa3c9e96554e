//! The configuration of `serve`: one TOML file, read strictly, every fault with file, line and field.
//!
//! It names tenants with their policy files, accounts and agents, administration tokens (as files, never inline), the
//! listener and the data directory. What is in the log wins over what is configured: a restart never undoes what an operator
//! activated. Relative paths are relative to the file. This file says what may be written; [`read`] checks it.

mod check;

pub use check::{Checked, address, read};

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use toml::Spanned;

/// A commented example, which `config check` accepts beside its policy.
pub const EXAMPLE: &str = include_str!("../examples/serve/tidegate.toml");

/// A configuration file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Address to listen on.
    #[serde(default = "listen")]
    pub listen: Spanned<String>,
    /// Where the node keeps its log.
    pub data_dir: PathBuf,
    /// Size of the log's files, in MiB.
    #[serde(default = "segment_mib")]
    pub segment_mib: Spanned<u32>,
    /// Administration tokens.
    #[serde(default)]
    pub admin: Vec<Admin>,
    /// Tenants.
    #[serde(default)]
    pub tenant: Vec<Tenant>,
}

fn listen() -> Spanned<String> {
    Spanned::new(0..0, "127.0.0.1:8080".into())
}

fn segment_mib() -> Spanned<u32> {
    Spanned::new(0..0, 64)
}

/// An administration token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Whose.
    pub name: String,
    /// `viewer`, `operator` or `admin`.
    pub scope: Scope,
    /// A file whose first line is the token.
    pub token_file: Spanned<PathBuf>,
}

/// What a token permits.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Reads figures and states.
    Viewer,
    /// Changes the roster.
    Operator,
    /// Changes policies, drains.
    Admin,
}

/// A tenant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Its number, from 1.
    pub id: Spanned<u32>,
    /// Its policy file.
    pub policy: Spanned<PathBuf>,
    /// Web inboxes.
    #[serde(default)]
    pub inbox: Vec<Inbox>,
    /// Agents.
    #[serde(default)]
    pub agent: Vec<Agent>,
}

/// A web inbox.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inbox {
    /// Its public name, unlike any other inbox's of the node.
    pub name: Spanned<String>,
    /// Its account number, from 1.
    pub account: Spanned<u32>,
    /// Pages that may speak to it.
    #[serde(default)]
    pub origins: Vec<Spanned<String>>,
    /// Units that one contact takes of a seat.
    #[serde(default = "one")]
    pub weight: Spanned<u16>,
    /// Queue of requests that name none.
    pub queue: Option<Spanned<String>>,
}

fn one() -> Spanned<u16> {
    Spanned::new(0..0, 1)
}

/// An agent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Seat number, from 1.
    pub seat: Spanned<u64>,
    /// Name.
    pub name: Spanned<String>,
    /// Skills with levels from 1 to 10.
    #[serde(default)]
    pub skills: BTreeMap<String, Spanned<u8>>,
    /// Units of capacity.
    #[serde(default = "one")]
    pub units: Spanned<u16>,
    /// Cost of a contact, in milliseconds of virtual wait.
    #[serde(default)]
    pub cost_ms: i64,
}
