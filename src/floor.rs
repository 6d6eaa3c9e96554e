//! A node with its channels on one listener: what `serve` and `demo` both start and stop.
//!
//! One axum server carries customers and desks (`channels`) and administration, health and metrics (`router`). Tokens of
//! customers and agents come from one authority; administration has tokens of its own.

use anyhow::Context;
use axum::serve::ListenerExt;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tidegate_channels as channels;
use tidegate_channels::{Config, Inbox, Key, KeyRing, MediaType, NameTable, TokenAuthority};
use tidegate_journal::RealDisk;
use tidegate_model::port::AgentGrant;
use tidegate_model::{Millis, SeatId, TenantId};
use tidegate_router::audit::Audit;
use tidegate_router::auth::{AdminGrant, Admins, OidcConfig, Provider, Role, Tokens};
use tidegate_router::blobs::{self, BlobLimits, Files, Tree};
use tidegate_router::http::{self, Security, SignIn};
use tidegate_router::node::{Node, NodeConfig, NodeHandle, TenantConfig};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// How long clients are asked to stay away when the node goes down.
const RETRY_AFTER: Millis = Millis(1_000);

/// What a floor is started with.
pub struct FloorConfig {
    /// Address to listen on.
    pub listen: String,
    /// The node.
    pub node: NodeConfig,
    /// Web inboxes.
    pub inboxes: Vec<Inbox>,
    /// Files.
    pub files: FileSettings,
    /// The node's secret, behind the tokens of customers and agents, API tokens and the audit's chain; the same after a
    /// restart keeps them valid.
    pub secret: Vec<u8>,
    /// Sign-in of people.
    pub oidc: Option<OidcConfig>,
    /// Administration tokens.
    pub admins: Vec<(String, Role, String)>,
    /// How fast the API may be used.
    pub rates: http::RateLimits,
    /// Lets channels adjust.
    pub tune: fn(&mut Config),
}

/// What files are taken, and how many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSettings {
    /// Limits of the store.
    pub limits: BlobLimits,
    /// Kinds by inbox, of those that have a list.
    pub by_inbox: BTreeMap<String, Vec<MediaType>>,
}

/// A running floor.
pub struct Floor {
    /// The node.
    pub node: NodeHandle,
    /// Who mints tokens.
    pub authority: Arc<TokenAuthority>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Notified when an operator asks for a drain.
    pub drain_wanted: Arc<Notify>,
    /// The audit of administrative acts.
    pub audit: Audit,
    api: http::Api,
    channels: Arc<channels::Handle>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Floor {
    /// Starts node, channels and listener; returns once it serves.
    pub async fn start(config: FloorConfig, dir: &Path) -> anyhow::Result<Self> {
        let FloorConfig { listen, node, inboxes, files, secret, oidc, admins, rates, tune } = config;
        let tenants: Vec<(TenantId, Vec<SeatId>)> =
            node.tenants.iter().map(|t| (t.id, t.agents.iter().map(|(seat, _)| *seat).collect())).collect();
        let names = NameTable::new(names_of(&node.tenants));
        let guard = security(dir, &secret)?;
        let key = Key::new("k1", secret.clone());
        let disk = RealDisk::open(dir).with_context(|| format!("{} cannot be used for the log", dir.display()))?;
        let node = Node::start(node, disk, &tokio::runtime::Handle::current()).await.context("the node did not start")?;
        let authority = Arc::new(TokenAuthority::new(KeyRing::new(vec![key])?, channels::auth::system_clock()));
        let mut config = Config::new(inboxes, authority.clone(), names);
        let tree = Tree::open(dir.join("blobs")).context("the directory of files")?;
        config.files.by_inbox = files.by_inbox;
        config.blobs = Some(Arc::new(Files::start(tree, files.limits, blobs::wall_clock(), &node).await.context("files")?));
        tune(&mut config);
        let (customers, channels) =
            channels::router(config, Arc::new(node.clone()), Arc::new(node.clone()), authority.clone()).context("channels")?;
        let channels = Arc::new(channels);
        for gauge in channels.gauges() {
            // Weak: the channels hold the node, and the node's gauges must not hold the channels in turn.
            let (name, handle) = (gauge.name, Arc::downgrade(&channels));
            let used = move || handle.upgrade()?.gauges().iter().find(|g| g.name == name).map(|g| g.used as u64);
            node.gauges().register(name, gauge.limit as u64, used);
        }
        for (tenant, seats) in tenants {
            // Seats that were signed in before a restart: their leases run from now.
            let signed_in = node.query(tenant, move |machine| signed_in(machine, &seats)).await.unwrap_or_default();
            channels.adopt_seats(tenant, &signed_in);
        }
        let drain_wanted = Arc::new(Notify::new());
        let (tokens, audit) = guard;
        let mut guard = Security::new(tokens, audit.clone(), authority.clone());
        if let Some(oidc) = oidc {
            let is_https = oidc.redirect.starts_with("https:");
            guard.oidc = Some(SignIn::new(Provider::new(oidc)?, &secret, is_https));
        }
        let others = Some(channels::openapi());
        let api = http::Api::beside(node.clone(), table(&admins)?, drain_wanted.clone(), rates, others).guarded(guard);
        let listener = TcpListener::bind(&listen).await.with_context(|| format!("cannot listen on {listen}; is it in use?"))?;
        let address = listener.local_addr().context("the listener has no address")?;
        let (stop, stopped) = oneshot::channel();
        // Paths of customers, desks and pages are tried first; everything else is administration's, its 404 included.
        let routes = customers.merge(tidegate_console::routes()).fallback_service(http::router(api.clone()));
        let server = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            // Small frames both ways: waiting to fill a segment would cost tens of milliseconds.
            let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
            // The API counts by address.
            let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
            axum::serve(listener, routes).with_graceful_shutdown(shutdown).await
        });
        Ok(Self { node, authority, address, drain_wanted, audit, api, channels, stop, server })
    }

    /// Base address for clients.
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// An agent's token, good for a day.
    pub fn agent_token(&self, tenant: TenantId, seat: SeatId) -> anyhow::Result<String> {
        let token = self.authority.mint_agent(&AgentGrant { tenant, seat }, 86_400);
        token.map_err(|error| anyhow::anyhow!("an agent's token could not be signed: {error:?}"))
    }

    /// Other administration tokens from now on.
    pub fn replace_admins(&self, admins: &[(String, Role, String)]) -> anyhow::Result<()> {
        self.api.replace_admins(table(admins)?);
        Ok(())
    }

    /// Goes down gracefully: clients are told, what was taken is decided and answered, a snapshot is written.
    pub async fn drain(self) -> anyhow::Result<()> {
        self.node.begin_drain();
        self.channels.drain(RETRY_AFTER).await;
        let _ = self.stop.send(());
        let drained = self.node.drain().await;
        self.server.await.context("the server ended by a panic")?.context("the listener failed")?;
        drained.context("the node could not drain")?;
        Ok(())
    }
}

/// API tokens and the audit of a data directory. A broken audit stops the start: nothing is done unrecorded.
fn security(dir: &Path, secret: &[u8]) -> anyhow::Result<(Tokens, Audit)> {
    let tokens = Tokens::open(&dir.join("tokens.json"), secret, wall_ms).context("API tokens")?;
    let audit = Audit::open(&dir.join("audit"), audit_key(secret), wall_ms).context("the audit")?;
    Ok((tokens, audit))
}

/// The key of the audit's chain, from the node's secret.
pub fn audit_key(secret: &[u8]) -> [u8; 32] {
    tidegate_router::audit::key(secret)
}

/// Wall clock, in milliseconds since the Unix epoch.
fn wall_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// The table of administrators' tokens, under a key of its own.
fn table(admins: &[(String, Role, String)]) -> anyhow::Result<Admins> {
    let mut table = Admins::new(random()?);
    for (name, role, token) in admins {
        table.add(token, AdminGrant::of_node(name.clone(), *role))?;
    }
    Ok(table)
}

fn signed_in(machine: &tidegate_core::Tenant, seats: &[SeatId]) -> Vec<SeatId> {
    let there =
        |seat: &SeatId| machine.seat_snapshot(*seat).is_some_and(|s| s.presence != tidegate_model::output::Presence::SignedOut);
    seats.iter().copied().filter(there).collect()
}

/// Names that people read in transcripts and offers.
fn names_of(tenants: &[TenantConfig]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for text in tenants.iter().filter_map(|tenant| tenant.policy.as_ref()) {
        if let Ok(policy) = tidegate_core::policy::parse(&text.file, &text.text) {
            names.extend(policy.queues.iter().map(|q| q.name.clone()));
            names.extend(policy.classes.iter().map(|c| c.name.clone()));
            names.extend(policy.refusals.iter().map(|r| r.reason.clone()));
            names.extend(policy.skills);
        }
    }
    names
}

/// Bytes of the operating system's entropy.
pub fn random() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no entropy: {error}"))?;
    Ok(bytes)
}

/// A random token, in hexadecimal.
pub fn random_token() -> anyhow::Result<String> {
    Ok(random()?.iter().map(|b| format!("{b:02x}")).collect())
}
