//! `tidegate serve`: a node until it is told to stop.
//!
//! Without configuration it opens a demonstration tenant and prints how to chat with it. SIGTERM, ctrl-c and the API's drain
//! end it gracefully: nothing that was acknowledged is lost, and open contacts are there again at the next start.

use super::runtime;
use crate::cli::Serve;
use crate::config;
use crate::failure::Failure;
use crate::floor::{Floor, FloorConfig, random, random_token};
use crate::say::Lang;
use anyhow::Context;
use serde_json::json;
use std::path::{Path, PathBuf};
use tidegate_channels::{Inbox, Key};
use tidegate_model::{AccountId, TenantId};
use tidegate_router::auth::Scope;
use tidegate_router::cell::CellConfig;
use tidegate_router::live::LiveConfig;
use tidegate_router::node::NodeConfig;
use tokio::signal::unix::{SignalKind, signal};

/// The demonstration tenant: the example's policy and agents.
const DEMONSTRATION: &str = include_str!("../../examples/serve/policy.toml");

/// A directory that may vanish with the process.
enum DataDir {
    Named(PathBuf),
    Temporary(tempfile::TempDir),
}

impl DataDir {
    fn path(&self) -> &Path {
        match self {
            Self::Named(path) => path,
            Self::Temporary(dir) => dir.path(),
        }
    }
}

pub fn run(args: &Serve, lang: Lang) -> Result<(), Failure> {
    let (config, dir) = prepare(args)?;
    runtime()?.block_on(serve(args, config, &dir, lang))?;
    Ok(())
}

fn prepare(args: &Serve) -> Result<(FloorConfig, DataDir), Failure> {
    let temporary = || tempfile::tempdir().context("no temporary directory");
    let (listen, dir, tenants, inboxes, mut admins) = match &args.config {
        Some(path) => {
            let checked = config::read(path).map_err(Failure::Input)?;
            let base = path.parent().unwrap_or(Path::new("."));
            let inboxes = checked.file.tenant.iter().flat_map(|t| t.inbox.iter().map(|inbox| web_inbox(t.id, inbox))).collect();
            let admins = checked.tokens.into_iter().map(|(name, scope, token)| (name, scope_of(scope), token)).collect();
            let dir = DataDir::Named(base.join(&checked.file.data_dir));
            (checked.file.listen, dir, checked.tenants, inboxes, admins)
        }
        None => {
            let file: config::File = toml::from_str(config::EXAMPLE).context("the built-in example")?;
            let tenants = vec![demonstration(&file)?];
            let mut inboxes: Vec<Inbox> = file.tenant[0].inbox.iter().map(|inbox| web_inbox(1, inbox)).collect();
            for inbox in &mut inboxes {
                inbox.origins = vec!["*".into()];
            }
            let dir = if args.dir.is_some() { DataDir::Named(PathBuf::new()) } else { DataDir::Temporary(temporary()?) };
            (file.listen, dir, tenants, inboxes, Vec::new())
        }
    };
    let dir = args.dir.clone().map_or(dir, DataDir::Named);
    std::fs::create_dir_all(dir.path()).with_context(|| format!("{} cannot be made", dir.path().display()))?;
    if admins.is_empty() {
        admins.push(("local".to_owned(), Scope::Admin, random_token()?));
    }
    let key = Key::new("k1", secret(dir.path())?);
    let node = NodeConfig {
        name: "tidegate".into(),
        cell: CellConfig::default(),
        live: LiveConfig::default(),
        tenants,
        push: Vec::new(),
        policy_texts: Some(dir.path().join("policies")),
    };
    let listen = args.listen.clone().unwrap_or(listen);
    Ok((FloorConfig { listen, node, inboxes, key, admins, tune: |_| {} }, dir))
}

/// The secret of tokens, kept beside the log so that they outlive a restart; readable by the owner alone.
fn secret(dir: &Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let path = dir.join("token.key");
    if let Ok(bytes) = std::fs::read(&path) {
        return Ok(bytes);
    }
    let bytes = random()?.to_vec();
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).context("the key of tokens cannot be written")?;
    Ok(bytes)
}

fn scope_of(scope: config::Scope) -> Scope {
    match scope {
        config::Scope::Viewer => Scope::Viewer,
        config::Scope::Operator => Scope::Operator,
        config::Scope::Admin => Scope::Admin,
    }
}

fn web_inbox(tenant: u32, inbox: &config::Inbox) -> Inbox {
    Inbox {
        name: inbox.name.clone(),
        tenant: TenantId(tenant),
        account: AccountId(inbox.account),
        origins: inbox.origins.clone(),
        verified_only: false,
        site_keys: None,
    }
}

fn demonstration(file: &config::File) -> anyhow::Result<tidegate_router::node::TenantConfig> {
    // The example's files are built in: written to a directory of their own and read like any others.
    let dir = tempfile::tempdir().context("no temporary directory")?;
    std::fs::write(dir.path().join("policy.toml"), DEMONSTRATION).context("the built-in policy")?;
    std::fs::write(dir.path().join("tidegate.toml"), config::EXAMPLE).context("the built-in example")?;
    debug_assert_eq!(file.tenant.len(), 1);
    let mut checked = config::read(&dir.path().join("tidegate.toml"))?;
    let mut tenant = checked.tenants.remove(0);
    if let Some(policy) = &mut tenant.policy {
        policy.file = "policy.toml".into();
    }
    Ok(tenant)
}

async fn serve(args: &Serve, config: FloorConfig, dir: &DataDir, lang: Lang) -> anyhow::Result<()> {
    let admin = config.admins[0].2.clone();
    let seats: Vec<_> =
        config.node.tenants.iter().flat_map(|t| t.agents.iter().map(|(seat, p)| (t.id, *seat, p.name.clone()))).collect();
    let inboxes: Vec<String> = config.inboxes.iter().map(|i| i.name.clone()).collect();
    let mut terminate = signal(SignalKind::terminate()).context("signals")?;
    let floor = Floor::start(config, dir.path()).await?;
    let base = floor.base();
    let agents: Vec<_> = seats
        .iter()
        .map(|(tenant, seat, name)| {
            Ok(json!({"seat": format!("{:016x}", seat.0), "name": name, "token": floor.agent_token(*tenant, *seat)?}))
        })
        .collect::<anyhow::Result<_>>()?;
    if args.json {
        println!("{}", json!({"address": base, "admin_token": admin, "inboxes": inboxes, "agents": agents}));
    } else {
        greet(&floor, dir, lang, &base, &admin, &inboxes, &agents);
    }
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.context("signals")?,
        _ = terminate.recv() => {}
        () = floor.drain_wanted.notified() => {}
    }
    eprintln!("{}", lang.say("draining", "正在排空"));
    floor.drain().await?;
    eprintln!("{}", lang.say("stopped; nothing acknowledged was lost", "已停止；已确认的内容均未丢失"));
    Ok(())
}

fn greet(floor: &Floor, dir: &DataDir, lang: Lang, base: &str, admin: &str, inboxes: &[String], agents: &[serde_json::Value]) {
    let recovery = floor.node.recovery();
    println!("{} {base}", lang.say("serving on", "服务地址"));
    println!(
        "{} {}{}",
        lang.say("log in", "日志目录"),
        dir.path().display(),
        match dir {
            DataDir::Named(_) => "",
            DataDir::Temporary(_) =>
                lang.say(" (temporary: gone when it stops; --dir keeps it)", "（临时目录，停止后删除；用 --dir 保留）"),
        }
    );
    if recovery.last.0 > 0 {
        println!("{} {} ({:.1} s)", lang.say("entries recovered:", "已恢复条目："), recovery.last.0, recovery.took.as_secs_f64());
    }
    println!(
        "\n{}",
        lang.say(
            "a customer (open a session, then speak over WebSocket; docs/protocol.md):",
            "客户（先开会话，再走 WebSocket；见 docs/protocol.md）："
        )
    );
    for inbox in inboxes {
        println!("  curl -s {base}/v1/web/sessions -H 'content-type: application/json' -d '{{\"inbox\":\"{inbox}\"}}'");
    }
    println!("  websocat {}/v1/web/ws", base.replace("http", "ws"));
    println!("\n{}", lang.say("an agent's desk (hello with its token):", "坐席（用令牌登录）："));
    println!("  websocat {}/v1/desk/ws", base.replace("http", "ws"));
    for agent in agents {
        println!(
            "  {}: {{\"type\":\"sign_in\",\"token\":\"{}\"}}",
            agent["name"].as_str().unwrap_or(""),
            agent["token"].as_str().unwrap_or("")
        );
    }
    println!("\n{}", lang.say("administration:", "管理："));
    println!("  curl -s {base}/v1/status -H 'authorization: Bearer {admin}'");
    println!("  curl -s {base}/metrics -H 'authorization: Bearer {admin}'");
}
