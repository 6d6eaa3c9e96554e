//! The configuration of `serve`: one TOML file, read strictly, every fault with file, line and field.
//!
//! It names tenants with their policy files, accounts and agents, administration tokens (as files, never inline), the
//! listener and the data directory. What is in the log wins over what is configured: a restart never undoes what an operator
//! activated. Relative paths are relative to the file.

use anyhow::{Context, anyhow};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use tidegate_core::policy;
use tidegate_model::limits::Limits;
use tidegate_model::policy::{AccountProfile, AgentProfile, Delivery, Requirement};
use tidegate_model::{AccountId, Level, SeatId, TenantId};
use tidegate_router::node::{PolicyText, TenantConfig};

/// A commented example, which `config check` accepts beside its policy.
pub const EXAMPLE: &str = include_str!("../examples/serve/tidegate.toml");

/// A configuration file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Address to listen on.
    #[serde(default = "listen")]
    pub listen: String,
    /// Where the node keeps its log.
    pub data_dir: PathBuf,
    /// Administration tokens.
    #[serde(default)]
    pub admin: Vec<Admin>,
    /// Tenants.
    #[serde(default)]
    pub tenant: Vec<Tenant>,
}

fn listen() -> String {
    "127.0.0.1:8080".into()
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
    pub token_file: PathBuf,
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
    pub id: u32,
    /// Its policy file.
    pub policy: PathBuf,
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
    /// Its public name.
    pub name: String,
    /// Its account number, from 1.
    pub account: u32,
    /// Pages that may speak to it.
    #[serde(default)]
    pub origins: Vec<String>,
    /// Units that one contact takes of a seat.
    #[serde(default = "one")]
    pub weight: u16,
    /// Queue of requests that name none.
    #[serde(default)]
    pub queue: String,
}

fn one() -> u16 {
    1
}

/// An agent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Seat number, from 1.
    pub seat: u64,
    /// Name.
    pub name: String,
    /// Skills with levels from 1 to 10.
    #[serde(default)]
    pub skills: std::collections::BTreeMap<String, u8>,
    /// Units of capacity.
    #[serde(default = "one")]
    pub units: u16,
    /// Cost of a contact, in milliseconds of virtual wait.
    #[serde(default)]
    pub cost_ms: i64,
}

/// A configuration, read and checked.
#[derive(Debug)]
pub struct Checked {
    /// As written.
    pub file: File,
    /// Tenants as the node takes them.
    pub tenants: Vec<TenantConfig>,
    /// Administration tokens with their scopes.
    pub tokens: Vec<(String, Scope, String)>,
}

/// Reads and checks a configuration and every file that it names.
///
/// # Errors
/// Every fault that can be named at once, with file, line and field.
pub fn read(path: &Path) -> anyhow::Result<Checked> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("{shown}: cannot be read; name an existing file"))?;
    let file: File = toml::from_str(&text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        let line = text[..offset].matches('\n').count() + 1;
        let column = offset - text[..offset].rfind('\n').map_or(0, |i| i + 1) + 1;
        anyhow!("{shown}:{line}:{column}: {}", error.message())
    })?;
    let base = path.parent().unwrap_or(Path::new("."));
    let mut faults = Vec::new();
    let mut tenants = Vec::new();
    let mut tokens = Vec::new();
    for tenant in &file.tenant {
        match read_tenant(base, tenant) {
            Ok(tenant) => tenants.push(tenant),
            Err(fault) => faults.push(format!("{fault:#}")),
        }
    }
    for admin in &file.admin {
        let at = base.join(&admin.token_file);
        match std::fs::read_to_string(&at) {
            Ok(text) => tokens.push((admin.name.clone(), admin.scope, text.lines().next().unwrap_or("").trim().to_owned())),
            Err(error) => faults.push(format!("{shown}: admin \"{}\".token_file: {}: {error}", admin.name, at.display())),
        }
    }
    if file.tenant.is_empty() {
        faults.push(format!("{shown}: tenant: at least one [[tenant]] is needed; see `tidegate config example`"));
    }
    if faults.is_empty() { Ok(Checked { file, tenants, tokens }) } else { Err(anyhow!(faults.join("\n"))) }
}

fn read_tenant(base: &Path, tenant: &Tenant) -> anyhow::Result<TenantConfig> {
    let at = base.join(&tenant.policy);
    let shown = at.display().to_string();
    let text = std::fs::read_to_string(&at).with_context(|| format!("tenant {}.policy: {shown}: cannot be read", tenant.id))?;
    let policy = policy::parse(&shown, &text).map_err(|errors| anyhow!("{errors}"))?;
    for agent in &tenant.agent {
        for (skill, level) in &agent.skills {
            if !policy.skills.contains(skill) {
                let known = policy.skills.join(", ");
                return Err(anyhow!(
                    "tenant {}: agent \"{}\": skill \"{skill}\" is not in {shown}; it has: {known}",
                    tenant.id,
                    agent.name
                ));
            }
            if !(1..=10).contains(level) {
                return Err(anyhow!(
                    "tenant {}: agent \"{}\": level of \"{skill}\" is 1 to 10, found {level}",
                    tenant.id,
                    agent.name
                ));
            }
        }
    }
    let account = |inbox: &Inbox| {
        let profile =
            AccountProfile { name: inbox.name.clone(), delivery: Delivery::View, weight: inbox.weight, queue: inbox.queue.clone() };
        (AccountId(inbox.account), profile)
    };
    let agent = |agent: &Agent| {
        let skills = agent.skills.iter().map(|(skill, level)| Requirement { skill: skill.clone(), level: Level(*level) }).collect();
        (SeatId(agent.seat), AgentProfile { name: agent.name.clone(), skills, units: agent.units, cost_ms: agent.cost_ms })
    };
    Ok(TenantConfig {
        id: TenantId(tenant.id),
        limits: Limits::LARGE,
        accounts: tenant.inbox.iter().map(account).collect(),
        policy: Some(PolicyText { file: shown, text }),
        agents: tenant.agent.iter().map(agent).collect(),
    })
}
