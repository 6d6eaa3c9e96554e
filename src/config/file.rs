//! What may be written in a configuration file: its types, defaults and the words that the schema gives to editors.
//!
//! The doc comments here are read by people who configure a node: they become descriptions in the schema and in
//! `config explain`. Unknown keys are refused. Ranges are checked in `check`, where a remedy can be named.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A configuration file of `tidegate serve`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "tidegate.toml")]
pub struct File {
    /// Address to listen on, as HOST:PORT; port 0 takes a free one.
    #[serde(default = "listen")]
    pub listen: String,
    /// Directory in which the node keeps its log; relative to this file.
    pub data_dir: PathBuf,
    /// Size of the log's files, in MiB: 1 to 1024.
    #[serde(default = "segment_mib")]
    #[schemars(range(min = 1, max = 1024))]
    pub segment_mib: u32,
    /// How much of the old log stays, in GiB, beyond what a restart needs: transcripts read bodies from it. 0 keeps all.
    #[serde(default = "retain_gib")]
    #[schemars(range(min = 0, max = 65536))]
    pub retain_gib: u64,
    /// Memory of tables that is written ahead at the start, in MiB, so that no input waits for the kernel; 0 for none.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1048576))]
    pub prefault_mib: u64,
    /// The journal of platform events, which streams and webhooks read.
    #[serde(default)]
    pub events: EventSettings,
    /// Webhooks.
    #[serde(default)]
    pub webhooks: WebhookSettings,
    /// What the node writes to standard error.
    #[serde(default)]
    pub log: Log,
    /// Files that customers and agents send.
    #[serde(default)]
    pub files: Files,
    /// Administration tokens.
    #[serde(default)]
    pub admin: Vec<Admin>,
    /// Sign-in of people by an OpenID Connect provider.
    #[serde(default)]
    pub oidc: Option<Oidc>,
    /// Traces of contacts, sent to an OpenTelemetry collector; without it there are none.
    #[serde(default)]
    pub traces: Option<Traces>,
    /// Tenants: at least one.
    #[serde(default)]
    pub tenant: Vec<Tenant>,
}

fn listen() -> String {
    "127.0.0.1:8080".into()
}

const fn segment_mib() -> u32 {
    64
}

const fn retain_gib() -> u64 {
    8
}

/// The journal of platform events.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventSettings {
    /// How much of it stays, in MiB: 64 to 1048576.
    #[schemars(range(min = 64, max = 1048576))]
    pub retain_mib: u64,
    /// For how many days: 1 to 3650; whichever bound is met first lets old events go.
    #[schemars(range(min = 1, max = 3650))]
    pub retain_days: u64,
    /// Whether every assignment decision is an event, too.
    pub decisions: bool,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self { retain_mib: 1_024, retain_days: 7, decisions: false }
    }
}

/// Webhooks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookSettings {
    /// Whether receivers may have addresses of the inside (loopback, private, link-local). Whoever may create a webhook could
    /// then make this node ask anything in its network.
    pub allow_inside: bool,
}

/// What the node writes to standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How much: a level (`error`, `warn`, `info`, `debug`, `trace`) or directives such as `warn,tidegate_router=info`.
    /// Empty means `warn`. The variable TIDEGATE_LOG wins over it.
    pub level: String,
    /// In which form.
    pub format: LogFormat,
}

/// Form of the log on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Files that customers and agents send; they lie in `blobs` under the data directory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Files {
    /// Largest file, in MiB: 1 to 1024.
    #[schemars(range(min = 1, max = 1024))]
    pub largest_mib: u64,
    /// Room of all files of a tenant, in MiB.
    #[schemars(range(min = 2, max = 1_073_741_824))]
    pub tenant_mib: u64,
    /// What one conversation may bring in an hour, in MiB.
    #[schemars(range(min = 2, max = 1_073_741_824))]
    pub conversation_mib_per_hour: u64,
    /// How long a file stays that stands in no transcript, in hours: 1 to 8760.
    #[schemars(range(min = 1, max = 8760))]
    pub grace_hours: u64,
}

impl Default for Files {
    fn default() -> Self {
        Self { largest_mib: 10, tenant_mib: 10_240, conversation_mib_per_hour: 100, grace_hours: 24 }
    }
}

/// An administration token.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Whose.
    pub name: String,
    /// What its holder is to the floor; docs/operating/roles.md says what each role may do.
    pub scope: Role,
    /// A file whose first line is the token, 32 bytes or more; relative to this file.
    pub token_file: PathBuf,
}

/// What somebody is to the floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Watches figures.
    Viewer,
    /// Serves customers at a seat: by sign-in alone, no configured token has it.
    Agent,
    /// Watches and helps agents.
    Supervisor,
    /// Runs the floor and the platform's programs.
    Operator,
    /// Plans: reads figures and tries policies.
    Planner,
    /// Everything but a seat.
    Admin,
}

/// Sign-in of people by an OpenID Connect provider.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// The provider's issuer, as https://HOST[/PATH]; its description is fetched from below it.
    pub issuer: String,
    /// This node's name at the provider.
    pub client_id: String,
    /// A file whose first line is the node's secret at the provider; relative to this file. None for a public client.
    pub client_secret_file: Option<PathBuf>,
    /// Where browsers reach this node, as `https://HOST:PORT`; the provider must know it with /v1/auth/oidc/callback behind it.
    pub redirect: String,
    /// Scopes beside `openid`.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// The claim that says what a person is: a text or a list of texts.
    #[serde(default = "role_claim")]
    pub role_claim: String,
    /// A claim that holds an agent's seat number; the tenant is then the map's.
    pub seat_claim: Option<String>,
    /// The claim that is an agent's `login` otherwise. An `email` counts only when the provider says that it verified it.
    #[serde(default = "login_claim")]
    pub login_claim: String,
    /// From a value of the role claim to a role: at least one; the first that fits counts.
    #[serde(default)]
    pub map: Vec<OidcMap>,
}

/// What a value of the role claim makes of a person.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcMap {
    /// The value.
    pub value: String,
    /// The role.
    pub role: Role,
    /// The one tenant that it reaches; all without it.
    #[schemars(range(min = 1))]
    pub tenant: Option<u32>,
}

fn scopes() -> Vec<String> {
    vec!["email".into(), "profile".into()]
}

fn role_claim() -> String {
    "roles".into()
}

fn login_claim() -> String {
    "email".into()
}

/// Traces of contacts, sent to an OpenTelemetry collector.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// The collector's base, as <http://HOST:4318>; /v1/traces is put behind it.
    pub endpoint: String,
    /// How they are sent.
    #[serde(default)]
    pub protocol: TraceProtocol,
    /// A file of headers for every request, one NAME: VALUE a line; relative to this file. Its content is a secret.
    pub headers_file: Option<PathBuf>,
    /// Which part of the contacts is traced: 0 to 1, decided by the number of the trace.
    #[serde(default = "sample_ratio")]
    #[schemars(range(min = 0, max = 1))]
    pub sample_ratio: f64,
    /// Spans that wait for the collector at most: 1 to 1048576; further ones are dropped and counted.
    #[serde(default = "queue_limit")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub queue_limit: usize,
    /// What this node is called there: service.name.
    #[serde(default = "service_name")]
    pub service_name: String,
}

/// How traces are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum TraceProtocol {
    /// OTLP over HTTP, as protobuf.
    #[default]
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

const fn sample_ratio() -> f64 {
    1.0
}

const fn queue_limit() -> usize {
    16_384
}

fn service_name() -> String {
    "tidegate".into()
}

/// A tenant.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Its number, from 1.
    #[schemars(range(min = 1))]
    pub id: u32,
    /// Its policy file; relative to this file.
    pub policy: PathBuf,
    /// Web inboxes.
    #[serde(default)]
    pub inbox: Vec<Inbox>,
    /// Agents.
    #[serde(default)]
    pub agent: Vec<Agent>,
}

/// A web inbox.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inbox {
    /// Its public name, unlike any other inbox's of the node.
    pub name: String,
    /// Its account number, from 1.
    #[schemars(range(min = 1))]
    pub account: u32,
    /// Pages that may speak to it, as `https://HOST:PORT`.
    #[serde(default)]
    pub origins: Vec<String>,
    /// Units that one contact takes of a seat.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub weight: u16,
    /// Queue of requests that name none.
    pub queue: Option<String>,
    /// What its page shows before a conversation.
    #[serde(default)]
    pub face: Face,
    /// Kinds of files that its customers may send, by media type; without it images, PDF and plain text.
    pub media_types: Option<Vec<String>>,
}

/// What an inbox's page shows before a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Face {
    /// What the page calls the inbox; its name without it.
    pub display: Option<Words>,
    /// Head of the page.
    pub title: Option<Words>,
    /// First words to a customer.
    pub greeting: Option<Words>,
    /// Languages offered, en and zh, the preferred one first.
    pub languages: Option<Vec<String>>,
    /// Whether the elders' mode is offered; it is by default.
    pub elder_mode: Option<bool>,
    /// Whether the human button comes before anything else.
    pub human_first: Option<bool>,
}

/// A text in both languages.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// English.
    pub en: String,
    /// Chinese; the English text without it.
    pub zh: Option<String>,
}

const fn one() -> u16 {
    1
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Seat number, from 1.
    #[schemars(range(min = 1))]
    pub seat: u64,
    /// Name.
    pub name: String,
    /// Skills with levels from 1 to 10.
    #[serde(default)]
    pub skills: BTreeMap<String, u8>,
    /// Units of capacity.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub units: u16,
    /// Cost of a contact, in milliseconds of virtual wait.
    #[serde(default)]
    pub cost_ms: i64,
    /// By which login the agent signs in, such as lin@shop.example; see `oidc.login_claim`.
    pub login: Option<String>,
}
