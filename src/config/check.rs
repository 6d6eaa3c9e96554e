//! Checks a configuration and every file that it names, and turns it into what the node and its channels take.
//!
//! All faults that can be named at once are, each as `place: field: what; remedy`, where the place is `file:line:column` or
//! the variable that gave the value. A fault of the TOML itself, or of a policy, ends the reading of that file only. Nothing
//! is started here, and no token is ever part of a message.

use super::file::{Admin, Agent, EventSettings, Face, File, Files, Inbox, LogFormat, Role, Tenant, WebhookSettings};
use super::layers::{Environment, Path as Field, Places, layers};
use crate::floor::FileSettings;
use anyhow::{Context, anyhow};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidegate_channels::{self as channels, MediaType};
use tidegate_core::policy;
use tidegate_model::limits::{Limits, NAME_BYTES_MAX};
use tidegate_model::policy::{AccountProfile, AgentProfile, Delivery, Policy, Requirement};
use tidegate_model::{AccountId, Level, Millis, SeatId, TenantId};
use tidegate_router::auth::{self, AdminGrant, Admins};
use tidegate_router::blobs::BlobLimits;
use tidegate_router::cell::Retain;
use tidegate_router::node::{PolicyText, TenantConfig};
use tidegate_router::traces::TracesConfig;
use tracing_subscriber::EnvFilter;

/// Longest text of an inbox's face, a language.
const FACE_BYTES_MAX: usize = 512;

/// A configuration, read and checked.
#[derive(Debug)]
pub struct Checked {
    /// Address to listen on.
    pub listen: String,
    /// Where the node keeps its log.
    pub data_dir: PathBuf,
    /// Size of the log's files, in bytes.
    pub segment_bytes: u32,
    /// How much of the old log stays.
    pub retain: Retain,
    /// Memory written ahead at the start, in bytes.
    pub prefault_bytes: u64,
    /// The journal of events.
    pub events: EventSettings,
    /// Webhooks.
    pub webhooks: WebhookSettings,
    /// What goes to standard error: directives, empty for the default; and the form.
    pub log: (String, LogFormat),
    /// Tenants as the node takes them.
    pub tenants: Vec<TenantConfig>,
    /// Web inboxes.
    pub inboxes: Vec<channels::Inbox>,
    /// Files: limits of the store, and kinds by inbox.
    pub files: FileSettings,
    /// Administration tokens with whose they are and what they permit.
    pub tokens: Vec<(String, auth::Role, String)>,
    /// Sign-in of people.
    pub oidc: Option<auth::OidcConfig>,
    /// Traces of contacts.
    pub traces: Option<TracesConfig>,
}

/// Reads and checks a configuration and every file that it names, without an environment.
///
/// # Errors
/// As [`read_with`].
pub fn read(path: &Path) -> anyhow::Result<Checked> {
    read_with(path, &Environment::new())
}

/// Reads and checks a configuration, the environment over it, and every file that it names.
///
/// # Errors
/// Every fault that can be named at once, with file, line, column and field, or the variable.
pub fn read_with(path: &Path, environment: &Environment) -> anyhow::Result<Checked> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("{shown}: cannot be read; name an existing file"))?;
    let layers = layers(&shown, &text, environment).map_err(|fault| anyhow!(fault))?;
    let mut faults = Faults { places: &layers.places, found: Vec::new() };
    let base = path.parent().unwrap_or(Path::new("."));
    let checked = check(base, layers.file, &mut faults);
    if faults.found.is_empty() {
        return Ok(checked);
    }
    faults.found.sort();
    let lines: Vec<String> = faults.found.into_iter().map(|(_, line)| line).collect();
    Err(anyhow!(lines.join("\n")))
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

fn check(base: &Path, file: File, faults: &mut Faults<'_>) -> Checked {
    if let Err(problem) = address(&file.listen) {
        faults.add(&Field::key("listen"), "listen", problem);
    }
    if file.data_dir.as_os_str().is_empty() {
        faults.add(&Field::key("data_dir"), "data_dir", "is empty; name a directory");
    }
    if !(1..=1_024).contains(&file.segment_mib) {
        faults.add(&Field::key("segment_mib"), "segment_mib", format!("is 1 to 1024 (MiB), found {}", file.segment_mib));
    }
    if file.retain_gib > 65_536 {
        let problem = format!("is 0 (keep all) to 65536 (GiB), found {}", file.retain_gib);
        faults.add(&Field::key("retain_gib"), "retain_gib", problem);
    }
    let ranges = [
        (Field::key("prefault_mib"), file.prefault_mib, 0, 1 << 20, "MiB"),
        (Field::key("events").then("retain_mib"), file.events.retain_mib, 64, 1 << 20, "MiB"),
        (Field::key("events").then("retain_days"), file.events.retain_days, 1, 3_650, "days"),
    ];
    for (at, found, low, high, unit) in ranges {
        if !(low..=high).contains(&found) {
            faults.add(&at, &at.to_string(), format!("is {low} to {high} ({unit}), found {found}"));
        }
    }
    if let Err(error) = EnvFilter::try_new(&file.log.level) {
        let problem = format!("{error}; write a level such as warn, or directives such as warn,tidegate_router=info");
        faults.add(&Field::key("log").then("level"), "log.level", problem);
    }
    let mut files = FileSettings { limits: file_limits(&file.files, faults), ..FileSettings::default() };
    let tokens = read_tokens(base, &file.admin, faults);
    let mut tenants = Vec::new();
    let mut inboxes: Vec<channels::Inbox> = Vec::new();
    let mut ids = BTreeSet::new();
    for (index, tenant) in file.tenant.iter().enumerate() {
        let at = Field::key("tenant").at(index);
        if tenant.id == 0 || !ids.insert(tenant.id) {
            faults.add(&at.then("id"), "tenant.id", "a number from 1, unlike any other tenant's");
        }
        read_inboxes(tenant, &at, &mut inboxes, faults);
        read_media_types(tenant, &at, &mut files, faults);
        tenants.extend(read_tenant(base, tenant, &at, faults));
    }
    let oidc = super::people::read_oidc(base, &file, faults);
    let traces = super::traces::read_traces(base, file.traces.as_ref(), faults);
    if file.tenant.is_empty() {
        let problem = "at least one [[tenant]] is needed; see `tidegate config example`";
        faults.add(&Field::key("tenant"), "tenant", problem);
    }
    Checked {
        listen: file.listen,
        data_dir: base.join(file.data_dir),
        segment_bytes: file.segment_mib.saturating_mul(1 << 20),
        retain: if file.retain_gib == 0 { Retain::All } else { Retain::Bytes(file.retain_gib.saturating_mul(1 << 30)) },
        prefault_bytes: file.prefault_mib.saturating_mul(1 << 20),
        events: file.events,
        webhooks: file.webhooks,
        log: (file.log.level, file.log.format),
        tenants,
        inboxes,
        files,
        tokens,
        oidc,
        traces,
    }
}

/// Faults of one configuration.
pub(super) struct Faults<'a> {
    places: &'a Places,
    /// Each with where it stands, in bytes.
    found: Vec<(usize, String)>,
}

impl Faults<'_> {
    pub(super) fn add(&mut self, at: &Field, field: &str, problem: impl Display) {
        let line = format!("{}: {field}: {problem}", self.places.place(at));
        self.found.push((self.places.order(at), line));
    }
}

/// The nearest of the names that serde's message lists after the wrong one.
pub(super) fn did_you_mean(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    match quoted.next() {
        Some(wrong) if message.starts_with("unknown ") => nearest(wrong, quoted).map_or_else(String::new, |n| format!("; {n}")),
        _ => String::new(),
    }
}

fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let within = (wrong.chars().count() / 3).max(2);
    let near = names.map(|name| (strsim::osa_distance(wrong, name), name)).filter(|(d, _)| *d <= within).min();
    near.map(|(_, name)| format!("did you mean \"{name}\"?"))
}

fn unknown(wrong: &str, names: &[&str]) -> String {
    let remedy = nearest(wrong, names.iter().copied()).unwrap_or_else(|| format!("valid names: {}", names.join(", ")));
    format!("unknown name \"{wrong}\"; {remedy}")
}

fn read_tokens(base: &Path, admins: &[Admin], faults: &mut Faults<'_>) -> Vec<(String, auth::Role, String)> {
    let mut tokens = Vec::new();
    // Filled as at the start, so that what would fail there fails here.
    let mut table = Admins::new([0; 32]);
    for (index, admin) in admins.iter().enumerate() {
        let at = Field::key("admin").at(index);
        let field = format!("admin \"{}\".token_file", admin.name);
        let file = base.join(&admin.token_file);
        let role = role(admin.scope);
        if admin.name.is_empty() || admin.name.len() > NAME_BYTES_MAX {
            faults.add(&at.then("name"), "admin.name", format!("1 to {NAME_BYTES_MAX} bytes: the audit names its holder"));
        }
        if role == auth::Role::Agent {
            let problem = "an agent has a seat: sign in, or draw a token with POST /v1/tenants/{tenant}/seats/{seat}/token";
            faults.add(&at.then("scope"), "admin.scope", problem);
        }
        match std::fs::read_to_string(&file) {
            Ok(text) => {
                let token = text.lines().next().unwrap_or("").trim().to_owned();
                if let Err(error) = table.add(&token, AdminGrant::of_node(admin.name.clone(), role)) {
                    let remedy = "draw one with `openssl rand -hex 32`";
                    faults.add(&at.then("token_file"), &field, format!("{}: {error}; {remedy}", file.display()));
                }
                tokens.push((admin.name.clone(), role, token));
            }
            Err(error) => {
                let problem = format!("{}: {error}; make the file with the token as its first line", file.display());
                faults.add(&at.then("token_file"), &field, problem);
            }
        }
    }
    tokens
}

pub(super) const fn role(role: Role) -> auth::Role {
    match role {
        Role::Viewer => auth::Role::Viewer,
        Role::Agent => auth::Role::Agent,
        Role::Supervisor => auth::Role::Supervisor,
        Role::Operator => auth::Role::Operator,
        Role::Planner => auth::Role::Planner,
        Role::Admin => auth::Role::Admin,
    }
}

fn read_inboxes(tenant: &Tenant, tenant_at: &Field, known: &mut Vec<channels::Inbox>, faults: &mut Faults<'_>) {
    for (index, inbox) in tenant.inbox.iter().enumerate() {
        let at = tenant_at.then("inbox").at(index);
        let field = |part: &str| format!("inbox \"{}\".{part}", inbox.name);
        if inbox.name.is_empty() || inbox.name.len() > NAME_BYTES_MAX || known.iter().any(|other| other.name == inbox.name) {
            let problem = format!("1 to {NAME_BYTES_MAX} bytes, unlike any other inbox's");
            faults.add(&at.then("name"), &field("name"), problem);
        }
        let account = (TenantId(tenant.id), AccountId(inbox.account));
        if account.1.0 == 0 || known.iter().any(|other| (other.tenant, other.account) == account) {
            faults.add(&at.then("account"), &field("account"), "a number from 1, unlike any other of the tenant");
        }
        if inbox.weight == 0 {
            faults.add(&at.then("weight"), &field("weight"), "is 1 or more");
        }
        for (i, origin) in inbox.origins.iter().enumerate() {
            if let Err(problem) = check_origin(origin) {
                faults.add(&at.then("origins").at(i), &field("origins"), problem);
            }
        }
        let mut made = web_inbox(account, inbox);
        made.face = face(inbox, &at.then("face"), faults);
        known.push(made);
    }
}

fn file_limits(files: &Files, faults: &mut Faults<'_>) -> BlobLimits {
    let mut range = |name: &'static str, found: u64, least: u64, most: u64, unit: &str| {
        if !(least..=most).contains(&found) {
            let problem = format!("is {least} to {most} ({unit}), found {found}");
            faults.add(&Field::key("files").then(name), &format!("files.{name}"), problem);
        }
        found.clamp(1, most)
    };
    let largest = range("largest_mib", files.largest_mib, 1, 1_024, "MiB");
    // One file of the largest size is charged a little more than its bytes.
    let tenant = range("tenant_mib", files.tenant_mib, largest + 1, 1 << 30, "MiB");
    let hour = range("conversation_mib_per_hour", files.conversation_mib_per_hour, largest + 1, 1 << 30, "MiB");
    let grace = range("grace_hours", files.grace_hours, 1, 8_760, "hours");
    BlobLimits {
        file_bytes: largest << 20,
        tenant_bytes: tenant << 20,
        conversation_bytes_per_hour: hour << 20,
        grace: Millis(grace * 3_600_000),
    }
}

fn read_media_types(tenant: &Tenant, tenant_at: &Field, files: &mut FileSettings, faults: &mut Faults<'_>) {
    let known: Vec<&str> = MediaType::ALL.iter().map(|kind| kind.as_str()).collect();
    for (index, inbox) in tenant.inbox.iter().enumerate() {
        let Some(named) = &inbox.media_types else { continue };
        let mut kinds = Vec::new();
        for (i, name) in named.iter().enumerate() {
            match MediaType::ALL.into_iter().find(|kind| kind.as_str() == name) {
                Some(kind) => kinds.push(kind),
                None => {
                    let at = tenant_at.then("inbox").at(index).then("media_types").at(i);
                    faults.add(&at, &format!("inbox \"{}\".media_types", inbox.name), unknown(name, &known));
                }
            }
        }
        files.by_inbox.insert(inbox.name.clone(), kinds);
    }
}

fn web_inbox(account: (TenantId, AccountId), inbox: &Inbox) -> channels::Inbox {
    channels::Inbox {
        name: inbox.name.clone(),
        tenant: account.0,
        account: account.1,
        origins: inbox.origins.clone(),
        verified_only: false,
        site_keys: None,
        face: channels::config::Face::named(&inbox.name),
    }
}

/// What the inbox's page shows; defaults where the file says nothing.
fn face(inbox: &Inbox, at: &Field, faults: &mut Faults<'_>) -> channels::config::Face {
    let mut face = channels::config::Face::named(&inbox.name);
    let field = |part: &str| format!("inbox \"{}\".face.{part}", inbox.name);
    let said = [("display", &inbox.face.display), ("title", &inbox.face.title), ("greeting", &inbox.face.greeting)];
    let places = [&mut face.name, &mut face.title, &mut face.greeting];
    for ((part, words), place) in said.into_iter().zip(places) {
        let Some(words) = words else { continue };
        let longest = words.en.len().max(words.zh.as_deref().map_or(0, str::len));
        if words.en.is_empty() || longest > FACE_BYTES_MAX {
            faults.add(&at.then(part), &field(part), format!("1 to {FACE_BYTES_MAX} bytes a language; en is needed"));
        }
        *place = channels::config::Both::new(&words.en, words.zh.as_deref());
    }
    if let Some(languages) = &inbox.face.languages {
        let known = ["en", "zh"];
        for (i, language) in languages.iter().enumerate().filter(|(_, language)| !known.contains(&language.as_str())) {
            faults.add(&at.then("languages").at(i), &field("languages"), unknown(language, &known));
        }
        face.languages.clone_from(languages);
    }
    face.elder_mode = inbox.face.elder_mode.unwrap_or(face.elder_mode);
    face.human_first = inbox.face.human_first.unwrap_or(face.human_first);
    face
}

/// The channels' own rule, asked with an inbox that has this origin and nothing else.
fn check_origin(origin: &str) -> Result<(), String> {
    let ring = channels::KeyRing::new(vec![channels::Key::new("check", vec![0; 32])]).map_err(|error| error.to_string())?;
    let authority = Arc::new(channels::TokenAuthority::new(ring, channels::auth::system_clock()));
    let origins = vec![origin.to_owned()];
    let inbox =
        Inbox { name: "check".into(), account: 1, origins, weight: 1, queue: None, face: Face::default(), media_types: None };
    let names = channels::NameTable::new(Vec::<String>::new());
    let inbox = web_inbox((TenantId(1), AccountId(1)), &inbox);
    channels::Config::new(vec![inbox], authority, names).check().map_err(|error| error.to_string())
}

fn read_tenant(base: &Path, tenant: &Tenant, tenant_at: &Field, faults: &mut Faults<'_>) -> Option<TenantConfig> {
    let at = base.join(&tenant.policy);
    let shown = at.display().to_string();
    let policy_at = tenant_at.then("policy");
    let text = match std::fs::read_to_string(&at) {
        Ok(text) => text,
        Err(error) => {
            faults.add(&policy_at, "tenant.policy", format!("{shown}: {error}; name an existing policy file"));
            return None;
        }
    };
    let policy = match policy::parse(&shown, &text) {
        Ok(policy) => policy,
        Err(errors) => {
            faults.found.push((faults.places.order(&policy_at), errors.to_string()));
            return None;
        }
    };
    let mut seats = BTreeSet::new();
    for (index, agent) in tenant.agent.iter().enumerate() {
        let at = tenant_at.then("agent").at(index);
        if agent.seat == 0 || !seats.insert(agent.seat) {
            let problem = "a number from 1, unlike any other seat of the tenant";
            faults.add(&at.then("seat"), &field_of(agent, "seat"), problem);
        }
        check_agent(agent, &at, &policy, faults);
    }
    let queues: Vec<&str> = policy.queues.iter().map(|queue| queue.name.as_str()).collect();
    for (index, inbox) in tenant.inbox.iter().enumerate() {
        if let Some(queue) = inbox.queue.as_ref().filter(|queue| !queues.contains(&queue.as_str())) {
            let at = tenant_at.then("inbox").at(index).then("queue");
            faults.add(&at, &format!("inbox \"{}\".queue", inbox.name), unknown(queue, &queues));
        }
    }
    Some(TenantConfig {
        id: TenantId(tenant.id),
        limits: Limits::LARGE,
        accounts: tenant.inbox.iter().map(account).collect(),
        policy: Some(PolicyText { file: shown, text }),
        agents: tenant.agent.iter().map(profile).collect(),
    })
}

fn field_of(agent: &Agent, part: &str) -> String {
    format!("agent \"{}\".{part}", agent.name)
}

fn check_agent(agent: &Agent, at: &Field, policy: &Policy, faults: &mut Faults<'_>) {
    if agent.name.is_empty() || agent.name.len() > NAME_BYTES_MAX {
        faults.add(&at.then("name"), &field_of(agent, "name"), format!("1 to {NAME_BYTES_MAX} bytes"));
    }
    let units_max = tidegate_router::http::UNITS_MAX;
    if agent.units == 0 || i64::from(agent.units) > units_max {
        let problem = format!("is 1 to {units_max}, found {}", agent.units);
        faults.add(&at.then("units"), &field_of(agent, "units"), problem);
    }
    let known: Vec<&str> = policy.skills.iter().map(String::as_str).collect();
    for (skill, level) in &agent.skills {
        let (field, at) = (field_of(agent, &format!("skills.{skill}")), at.then("skills").then(skill));
        if !known.contains(&skill.as_str()) {
            faults.add(&at, &field, unknown(skill, &known));
        }
        if !(1..=Level::MAX.0).contains(level) {
            faults.add(&at, &field, format!("a level is 1 to {}, found {level}", Level::MAX.0));
        }
    }
}

fn account(inbox: &Inbox) -> (AccountId, AccountProfile) {
    let profile = AccountProfile {
        name: inbox.name.clone(),
        delivery: Delivery::View,
        weight: inbox.weight,
        queue: inbox.queue.clone().unwrap_or_default(),
    };
    (AccountId(inbox.account), profile)
}

fn profile(agent: &Agent) -> (SeatId, AgentProfile) {
    let skill = |(skill, level): (&String, &u8)| Requirement { skill: skill.clone(), level: Level(*level) };
    let profile = AgentProfile {
        name: agent.name.clone(),
        skills: agent.skills.iter().map(skill).collect(),
        units: agent.units,
        cost_ms: agent.cost_ms,
    };
    (SeatId(agent.seat), profile)
}
