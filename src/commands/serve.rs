//! `tidegate serve`: a node until it is told to stop.
//!
//! Without configuration it opens a demonstration tenant and prints how to chat with it. SIGTERM, ctrl-c and the API's drain
//! end it gracefully: nothing that was acknowledged is lost, and open contacts are there again at the next start.

use super::runtime;
use crate::cli::Serve;
use crate::config::{self, Checked, Environment};
use crate::failure::Failure;
use crate::floor::{Floor, FloorConfig, random, random_token};
use crate::logs::Logs;
use crate::reload::{ReloadError, Reloader};
use crate::say::Lang;
use crate::supervise;
use anyhow::Context;
use serde_json::json;
use std::path::{Path, PathBuf};
use tidegate_model::Millis;
use tidegate_router::auth::Role;
use tidegate_router::cell::CellConfig;
use tidegate_router::events::EventsConfig;
use tidegate_router::http::{Rate, RateLimits};
use tidegate_router::live::LiveConfig;
use tidegate_router::node::NodeConfig;
use tidegate_router::webhook::WebhooksConfig;
use tokio::signal::unix::{SignalKind, signal};

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

pub fn run(args: &Serve, environment: Environment, lang: Lang) -> Result<(), Failure> {
    let prepared = prepare(args, environment)?;
    let logs = Logs::start(&prepared.reloader.current.log.0, prepared.reloader.current.log.1);
    runtime()?.block_on(serve(args, prepared, &logs, lang))?;
    Ok(())
}

/// A floor to start, where its log goes, the administration token if it was drawn here, and how to reload.
struct Prepared {
    floor: FloorConfig,
    dir: DataDir,
    drawn: Option<String>,
    reloader: Reloader,
}

fn prepare(args: &Serve, environment: Environment) -> Result<Prepared, Failure> {
    let checked = match &args.config {
        Some(path) => config::read_with(path, &environment).map_err(Failure::Input)?,
        None => demonstration()?,
    };
    let dir = match (&args.dir, &args.config) {
        (Some(dir), _) => DataDir::Named(dir.clone()),
        (None, Some(_)) => DataDir::Named(checked.data_dir.clone()),
        (None, None) => DataDir::Temporary(tempfile::tempdir().context("no temporary directory")?),
    };
    std::fs::create_dir_all(dir.path()).with_context(|| format!("{} cannot be made", dir.path().display()))?;
    let drawn = if checked.tokens.is_empty() { Some(random_token()?) } else { None };
    let own: Vec<_> = drawn.iter().map(|token| ("local".to_owned(), Role::Admin, token.clone())).collect();
    let admins = checked.tokens.iter().chain(&own).cloned().collect();
    let secret = secret(dir.path())?;
    let cell = CellConfig {
        segment_bytes: checked.segment_bytes,
        retain: checked.retain,
        prefault_bytes: checked.prefault_bytes,
        ..CellConfig::default()
    };
    let events = EventsConfig {
        retain_bytes: checked.events.retain_mib << 20,
        retain_for: Millis(checked.events.retain_days * 86_400_000),
        decisions: checked.events.decisions,
        ..EventsConfig::new(dir.path().join("events"))
    };
    let webhooks =
        WebhooksConfig { allow_inside: checked.webhooks.allow_inside, ..WebhooksConfig::new(dir.path().join("webhooks")) };
    let node = NodeConfig {
        name: "tidegate".into(),
        cell,
        live: LiveConfig::default(),
        tenants: checked.tenants.clone(),
        push: Vec::new(),
        policy_texts: Some(dir.path().join("policies")),
        events: Some(events),
        webhooks: Some(webhooks),
        traces: checked.traces.clone(),
    };
    let failures = Rate { per_second: args.auth_failures, burst: args.auth_failures.saturating_mul(20) };
    let rates = RateLimits { failures, ..RateLimits::default() };
    let listen = args.listen.clone().unwrap_or_else(|| checked.listen.clone());
    let (inboxes, files) = (checked.inboxes.clone(), checked.files.clone());
    let oidc = checked.oidc.clone();
    let floor = FloorConfig { listen, node, inboxes, files, secret, oidc, admins, rates, tune: |_| {} };
    let path = args.config.clone().unwrap_or_default();
    Ok(Prepared { floor, dir, drawn, reloader: Reloader { path, environment, current: checked, drawn: own } })
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

/// The example's files are built in: written to a directory of their own and read like any others.
fn demonstration() -> anyhow::Result<Checked> {
    let dir = tempfile::tempdir().context("no temporary directory")?;
    std::fs::write(dir.path().join("policy.toml"), config::EXAMPLE_POLICY).context("the built-in policy")?;
    let file = dir.path().join("tidegate.toml");
    std::fs::write(&file, config::EXAMPLE).context("the built-in example")?;
    let mut checked = config::read(&file)?;
    for policy in checked.tenants.iter_mut().filter_map(|tenant| tenant.policy.as_mut()) {
        policy.file = "policy.toml".into();
    }
    for inbox in &mut checked.inboxes {
        inbox.origins = vec!["*".into()];
    }
    Ok(checked)
}

async fn serve(args: &Serve, prepared: Prepared, logs: &Logs, lang: Lang) -> anyhow::Result<()> {
    let Prepared { floor: config, dir, drawn, mut reloader } = prepared;
    let seats: Vec<_> =
        config.node.tenants.iter().flat_map(|t| t.agents.iter().map(|(seat, p)| (t.id, *seat, p.name.clone()))).collect();
    let inboxes: Vec<String> = config.inboxes.iter().map(|i| i.name.clone()).collect();
    let tenants = config.node.tenants.iter().map(|t| t.id).collect();
    let mut terminate = signal(SignalKind::terminate()).context("signals")?;
    let mut hang_up = signal(SignalKind::hangup()).context("signals")?;
    let floor = Floor::start(config, dir.path()).await?;
    let base = floor.base();
    let agents: Vec<_> = seats
        .iter()
        .map(|(tenant, seat, name)| {
            Ok(json!({"seat": format!("{:016x}", seat.0), "name": name, "token": floor.agent_token(*tenant, *seat)?}))
        })
        .collect::<anyhow::Result<_>>()?;
    if args.json {
        let line = json!({
            "address": base, "data_dir": dir.path(), "recovered": floor.node.recovery().last.0,
            "admin_token": drawn, "inboxes": inboxes, "agents": agents,
        });
        println!("{line}");
    } else if supervise::is_there() {
        // No token: this goes into the manager's journal, and stays there.
        println!("{} {base}", lang.say("serving on", "服务地址"));
        println!("{} {}", lang.say("log in", "日志目录"), dir.path().display());
    } else {
        greet(&floor, &dir, lang, drawn.as_deref(), &inboxes, &agents);
    }
    supervise::ready(&base);
    let watchdog = supervise::watchdog(floor.node.clone(), tenants);
    loop {
        tokio::select! {
            result = tokio::signal::ctrl_c() => break result.context("signals")?,
            _ = terminate.recv() => break,
            () = floor.drain_wanted.notified() => break,
            _ = hang_up.recv() => reload(&mut reloader, args.config.is_some(), &floor, logs, lang).await,
        }
    }
    supervise::stopping();
    eprintln!("{}", lang.say("draining", "正在排空"));
    floor.drain().await?;
    if let Some(watchdog) = watchdog {
        watchdog.abort();
    }
    eprintln!("{}", lang.say("stopped; nothing acknowledged was lost", "已停止；已确认的内容均未丢失"));
    Ok(())
}

/// A reload; whatever it says, the node goes on.
async fn reload(reloader: &mut Reloader, is_configured: bool, floor: &Floor, logs: &Logs, lang: Lang) {
    if !is_configured {
        eprintln!("{}", lang.say("nothing to reload: no configuration file was given", "没有配置文件，无可重载"));
        return;
    }
    supervise::reloading();
    match reloader.reload(floor, logs).await {
        Ok(done) => eprintln!("{} {done}", lang.say("reloaded:", "已重载：")),
        Err(error) => {
            let said = match error {
                ReloadError::Refused(_) => lang.say("the reload is refused, nothing has changed:", "重载被拒绝，未作任何更改："),
                ReloadError::Halfway(_) => lang.say("the reload stopped half-way:", "重载中途停止："),
            };
            eprintln!("{said}\n{error}");
        }
    }
    supervise::ready(&floor.base());
}

fn greet(floor: &Floor, dir: &DataDir, lang: Lang, drawn: Option<&str>, inboxes: &[String], agents: &[serde_json::Value]) {
    let base = floor.base();
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
    pages(&base, lang, inboxes, agents);
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
    let token = drawn.unwrap_or(lang.say("TOKEN (of the configuration)", "TOKEN（见配置）"));
    println!("  curl -s {base}/v1/status -H 'authorization: Bearer {token}'");
    println!("  curl -s {base}/metrics -H 'authorization: Bearer {token}'");
}

/// The addresses to open in a browser. An agent's token stands behind the `#`: a browser sends that part to nobody.
fn pages(base: &str, lang: Lang, inboxes: &[String], agents: &[serde_json::Value]) {
    println!("\n{}", lang.say("open in a browser, as a customer:", "在浏览器打开，客户："));
    for inbox in inboxes {
        println!("  {base}/chat/?inbox={inbox}");
    }
    println!("{}", lang.say("and as an agent (in another window):", "坐席（另开一个窗口）："));
    for agent in agents {
        let (name, token) = (agent["name"].as_str().unwrap_or(""), agent["token"].as_str().unwrap_or(""));
        println!("  {name}: {base}/desk/#token={token}");
    }
}
