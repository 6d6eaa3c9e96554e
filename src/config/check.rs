//! Checks a configuration and every file that it names, and turns it into what the node and its channels take.
//!
//! All faults that can be named at once are, each as `file:line:column: field: what; remedy`. A fault of the TOML itself, or
//! of a policy, ends the reading of that file only. Nothing is started here, and no token is ever part of a message.

use super::{Admin, Agent, File, Inbox, Scope, Tenant};
use anyhow::{Context, anyhow};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidegate_channels as channels;
use tidegate_core::policy;
use tidegate_model::limits::{Limits, NAME_BYTES_MAX};
use tidegate_model::policy::{AccountProfile, AgentProfile, Delivery, Policy, Requirement};
use tidegate_model::{AccountId, Level, SeatId, TenantId};
use tidegate_router::auth::{self, AdminGrant, Admins};
use tidegate_router::node::{PolicyText, TenantConfig};
use toml::Spanned;

/// A configuration, read and checked.
#[derive(Debug)]
pub struct Checked {
    /// Address to listen on.
    pub listen: String,
    /// Where the node keeps its log.
    pub data_dir: PathBuf,
    /// Size of the log's files, in bytes.
    pub segment_bytes: u32,
    /// Tenants as the node takes them.
    pub tenants: Vec<TenantConfig>,
    /// Web inboxes.
    pub inboxes: Vec<channels::Inbox>,
    /// Administration tokens with whose they are and what they permit.
    pub tokens: Vec<(String, auth::Scope, String)>,
}

/// Reads and checks a configuration and every file that it names.
///
/// # Errors
/// Every fault that can be named at once, with file, line and field.
pub fn read(path: &Path) -> anyhow::Result<Checked> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("{shown}: cannot be read; name an existing file"))?;
    let mut faults = Faults { file: &shown, text: &text, found: Vec::new() };
    let file: File = match toml::from_str(&text) {
        Ok(file) => file,
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            return Err(anyhow!("{}: {}{}", faults.place(at), error.message(), did_you_mean(error.message())));
        }
    };
    let base = path.parent().unwrap_or(Path::new("."));
    if let Err(problem) = address(file.listen.get_ref()) {
        faults.add(&file.listen, "listen", problem);
    }
    if !(1..=1_024).contains(file.segment_mib.get_ref()) {
        faults.add(&file.segment_mib, "segment_mib", "is 1 to 1024 (MiB)");
    }
    let tokens = read_tokens(base, &file.admin, &mut faults);
    let mut tenants = Vec::new();
    let mut inboxes: Vec<channels::Inbox> = Vec::new();
    let mut ids = BTreeSet::new();
    for tenant in &file.tenant {
        if !(1..=u32::MAX).contains(tenant.id.get_ref()) || !ids.insert(*tenant.id.get_ref()) {
            faults.add(&tenant.id, "tenant.id", "a number from 1, unlike any other tenant's");
        }
        read_inboxes(tenant, &mut inboxes, &mut faults);
        tenants.extend(read_tenant(base, tenant, &mut faults));
    }
    if file.tenant.is_empty() {
        let problem = "tenant: at least one [[tenant]] is needed; see `tidegate config example`";
        faults.found.push((text.len(), format!("{shown}: {problem}")));
    }
    if !faults.found.is_empty() {
        faults.found.sort();
        let lines: Vec<String> = faults.found.into_iter().map(|(_, line)| line).collect();
        return Err(anyhow!(lines.join("\n")));
    }
    Ok(Checked {
        listen: file.listen.into_inner(),
        data_dir: base.join(file.data_dir),
        segment_bytes: file.segment_mib.into_inner() << 20,
        tenants,
        inboxes,
        tokens,
    })
}

/// Checks an address to listen on.
///
/// # Errors
/// What was expected.
pub fn address(text: &str) -> Result<String, String> {
    let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    match parts {
        Some((host, _)) if !host.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("\"{text}\" is no address; write HOST:PORT as in 127.0.0.1:8080 (port 0 takes a free one)")),
    }
}

/// Faults of one file.
struct Faults<'a> {
    file: &'a str,
    text: &'a str,
    /// Each with where it stands, in bytes.
    found: Vec<(usize, String)>,
}

impl Faults<'_> {
    fn place(&self, offset: usize) -> String {
        let before = self.text.get(..offset).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        format!("{}:{line}:{column}", self.file)
    }

    fn add<T>(&mut self, at: &Spanned<T>, field: &str, problem: impl Display) {
        let line = format!("{}: {field}: {problem}", self.place(at.span().start));
        self.found.push((at.span().start, line));
    }
}

/// The nearest of the names that serde's message lists after the wrong one.
fn did_you_mean(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    match quoted.next() {
        Some(wrong) if message.starts_with("unknown ") => nearest(wrong, quoted).map_or_else(String::new, |n| format!("; {n}")),
        _ => String::new(),
    }
}

fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let within = (wrong.chars().count() / 3).max(1);
    let near = names.map(|name| (strsim::osa_distance(wrong, name), name)).filter(|(d, _)| *d <= within).min();
    near.map(|(_, name)| format!("did you mean \"{name}\"?"))
}

fn unknown(wrong: &str, names: &[&str]) -> String {
    let remedy = nearest(wrong, names.iter().copied()).unwrap_or_else(|| format!("valid names: {}", names.join(", ")));
    format!("unknown name \"{wrong}\"; {remedy}")
}

fn read_tokens(base: &Path, admins: &[Admin], faults: &mut Faults<'_>) -> Vec<(String, auth::Scope, String)> {
    let mut tokens = Vec::new();
    // Filled as at the start, so that what would fail there fails here.
    let mut table = Admins::new([0; 32]);
    for admin in admins {
        let field = format!("admin \"{}\".token_file", admin.name);
        let at = base.join(admin.token_file.get_ref());
        let scope = match admin.scope {
            Scope::Viewer => auth::Scope::Viewer,
            Scope::Operator => auth::Scope::Operator,
            Scope::Admin => auth::Scope::Admin,
        };
        match std::fs::read_to_string(&at) {
            Ok(text) => {
                let token = text.lines().next().unwrap_or("").trim().to_owned();
                if let Err(error) = table.add(&token, AdminGrant { name: admin.name.clone(), scope, tenant: None }) {
                    faults.add(&admin.token_file, &field, format!("{}: {error}", at.display()));
                }
                tokens.push((admin.name.clone(), scope, token));
            }
            Err(error) => faults.add(&admin.token_file, &field, format!("{}: {error}", at.display())),
        }
    }
    tokens
}

fn read_inboxes(tenant: &Tenant, known: &mut Vec<channels::Inbox>, faults: &mut Faults<'_>) {
    for inbox in &tenant.inbox {
        let name = inbox.name.get_ref();
        let field = |part: &str| format!("inbox \"{name}\".{part}");
        if name.is_empty() || name.len() > NAME_BYTES_MAX || known.iter().any(|other| other.name == *name) {
            faults.add(&inbox.name, &field("name"), format!("1 to {NAME_BYTES_MAX} bytes, unlike any other inbox's"));
        }
        let account = (TenantId(*tenant.id.get_ref()), AccountId(*inbox.account.get_ref()));
        if account.1.0 == 0 || known.iter().any(|other| (other.tenant, other.account) == account) {
            faults.add(&inbox.account, &field("account"), "a number from 1, unlike any other of the tenant");
        }
        if *inbox.weight.get_ref() == 0 {
            faults.add(&inbox.weight, &field("weight"), "is 1 or more");
        }
        for origin in &inbox.origins {
            if let Err(problem) = check_origin(origin.get_ref()) {
                faults.add(origin, &field("origins"), problem);
            }
        }
        known.push(channels::Inbox {
            name: name.clone(),
            tenant: account.0,
            account: account.1,
            origins: inbox.origins.iter().map(|origin| origin.get_ref().clone()).collect(),
            verified_only: false,
            site_keys: None,
        });
    }
}

/// The channels' own rule, asked with an inbox that has this origin and nothing else.
fn check_origin(origin: &str) -> Result<(), String> {
    let ring = channels::KeyRing::new(vec![channels::Key::new("check", vec![0; 32])]).map_err(|error| error.to_string())?;
    let authority = Arc::new(channels::TokenAuthority::new(ring, channels::auth::system_clock()));
    let inbox = channels::Inbox {
        name: "check".into(),
        tenant: TenantId(1),
        account: AccountId(1),
        origins: vec![origin.to_owned()],
        verified_only: false,
        site_keys: None,
    };
    let names = channels::NameTable::new(Vec::<String>::new());
    channels::Config::new(vec![inbox], authority, names).check().map_err(|error| error.to_string())
}

fn read_tenant(base: &Path, tenant: &Tenant, faults: &mut Faults<'_>) -> Option<TenantConfig> {
    let at = base.join(tenant.policy.get_ref());
    let shown = at.display().to_string();
    let text = match std::fs::read_to_string(&at) {
        Ok(text) => text,
        Err(error) => {
            faults.add(&tenant.policy, "tenant.policy", format!("{shown}: {error}"));
            return None;
        }
    };
    let policy = match policy::parse(&shown, &text) {
        Ok(policy) => policy,
        Err(errors) => {
            faults.found.push((tenant.policy.span().start, errors.to_string()));
            return None;
        }
    };
    let mut seats = BTreeSet::new();
    for agent in &tenant.agent {
        if *agent.seat.get_ref() == 0 || !seats.insert(*agent.seat.get_ref()) {
            faults.add(&agent.seat, &field_of(agent, "seat"), "a number from 1, unlike any other seat of the tenant");
        }
        check_agent(agent, &policy, faults);
    }
    let queues: Vec<&str> = policy.queues.iter().map(|queue| queue.name.as_str()).collect();
    for inbox in &tenant.inbox {
        if let Some(queue) = inbox.queue.as_ref().filter(|queue| !queues.contains(&queue.get_ref().as_str())) {
            faults.add(queue, &format!("inbox \"{}\".queue", inbox.name.get_ref()), unknown(queue.get_ref(), &queues));
        }
    }
    Some(TenantConfig {
        id: TenantId(*tenant.id.get_ref()),
        limits: Limits::LARGE,
        accounts: tenant.inbox.iter().map(account).collect(),
        policy: Some(PolicyText { file: shown, text }),
        agents: tenant.agent.iter().map(profile).collect(),
    })
}

fn field_of(agent: &Agent, part: &str) -> String {
    format!("agent \"{}\".{part}", agent.name.get_ref())
}

fn check_agent(agent: &Agent, policy: &Policy, faults: &mut Faults<'_>) {
    if agent.name.get_ref().is_empty() || agent.name.get_ref().len() > NAME_BYTES_MAX {
        faults.add(&agent.name, &field_of(agent, "name"), format!("1 to {NAME_BYTES_MAX} bytes"));
    }
    if *agent.units.get_ref() == 0 {
        faults.add(&agent.units, &field_of(agent, "units"), "is 1 or more");
    }
    let known: Vec<&str> = policy.skills.iter().map(String::as_str).collect();
    for (skill, level) in &agent.skills {
        let field = field_of(agent, &format!("skills.{skill}"));
        if !known.contains(&skill.as_str()) {
            faults.add(level, &field, unknown(skill, &known));
        }
        if !(1..=Level::MAX.0).contains(level.get_ref()) {
            faults.add(level, &field, format!("a level is 1 to {}, found {}", Level::MAX.0, level.get_ref()));
        }
    }
}

fn account(inbox: &Inbox) -> (AccountId, AccountProfile) {
    let profile = AccountProfile {
        name: inbox.name.get_ref().clone(),
        delivery: Delivery::View,
        weight: *inbox.weight.get_ref(),
        queue: inbox.queue.as_ref().map_or_else(String::new, |queue| queue.get_ref().clone()),
    };
    (AccountId(*inbox.account.get_ref()), profile)
}

fn profile(agent: &Agent) -> (SeatId, AgentProfile) {
    let skill = |(skill, level): (&String, &Spanned<u8>)| Requirement { skill: skill.clone(), level: Level(*level.get_ref()) };
    let profile = AgentProfile {
        name: agent.name.get_ref().clone(),
        skills: agent.skills.iter().map(skill).collect(),
        units: *agent.units.get_ref(),
        cost_ms: agent.cost_ms,
    };
    (SeatId(*agent.seat.get_ref()), profile)
}
