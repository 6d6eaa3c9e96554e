//! The demonstration: a real call-centre day through a live node over real connections, proved against its twin.
//!
//! Each row of the trace is a WebSocket of its own at its own time; each agent of that day signs in at a real desk. The day is
//! compressed: log time is start + speed × elapsed, so spans of the policy mean what they say. What was lost, doubled or left
//! without an owner is judged from the clients' own histories ([`history`]), never from the node's counters; parity replays the
//! node's log in the twin from its first entry. It is a telephone trace mapped to web chat, and it says so.

mod clock;
mod customer;
mod desk;
mod history;
mod plan;
mod verdict;

pub use plan::Plan;

use crate::cli::Demo;
use crate::failure::Failure;
use crate::floor::{FileSettings, Floor, FloorConfig, random, random_token};
use crate::say::Lang;
use anyhow::Context;
use clock::Scaled;
use history::Histories;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tidegate_channels::Inbox;
use tidegate_model::limits::Limits;
use tidegate_model::{TenantId, Timestamp};
use tidegate_router::auth::Role;
use tidegate_router::cell::{CellConfig, Retain};
use tidegate_router::live::LiveConfig;
use tidegate_router::log_time::ClockMode;
use tidegate_router::node::{NodeConfig, PolicyText, TenantConfig};
use tidegate_sim::bank::policy as bank;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// The demonstration's tenant.
pub const TENANT: TenantId = TenantId(1);
/// Log time of the node's first entry; the day's midnight comes a moment later.
const START: Timestamp = Timestamp(86_400_000);
/// Wall time between the node's start and the first thing that anybody does.
const LEAD: Duration = Duration::from_millis(1_500);
/// How long everything may take to come to rest after the script has ended, in wall time.
const REST: Duration = Duration::from_secs(30);

/// Plays the plan and judges it.
pub async fn run(args: &Demo, plan: Plan, lang: Lang) -> Result<(), Failure> {
    let (dir, _kept) = directory(args.dir.as_deref()).map_err(Failure::Input)?;
    announce(&plan, &dir, lang);
    // Whoever watches needs a token; one that reads figures is drawn for this run.
    let viewer = if args.open { Some(random_token()?) } else { None };
    let floor = Floor::start(floor_config(&plan, viewer.as_deref())?, &dir).await?;
    if let Some(token) = &viewer {
        wall(&format!("{}/wall/#token={token}", floor.base()), lang);
    }
    let clock = Scaled::new(floor.node.cell().log_time(), plan.speed, plan.first_ms(), LEAD);
    let base = floor.base();
    let histories = Arc::new(Histories::default());
    let progress = progress(&plan, lang);

    let mut players = JoinSet::new();
    for place in 0..plan.script.shifts.len() {
        let shift = desk::Shift::new(&floor, &plan, place, clock)?;
        players.spawn(shift.play(base.clone(), histories.clone()));
    }
    let visits = Arc::new(plan.script.visits.clone());
    let arrivals = customer::Arrivals { floor: floor.authority.clone(), base, clock, histories: histories.clone() };
    let all = visits.len() as u64;
    let came = tokio::spawn(arrivals.play(visits, progress.clone()));
    let mut beat = tokio::time::interval(Duration::from_secs(1));
    let mut came = std::pin::pin!(came);
    loop {
        tokio::select! {
            done = &mut came => {
                done.context("the customers' player ended by a panic")?;
                break;
            }
            _ = beat.tick() => show(&floor, &progress, &histories, clock, all).await,
        }
    }
    let rest = Instant::now() + REST;
    while let Ok(Some(shift)) = tokio::time::timeout_at(rest, players.join_next()).await {
        shift.context("an agent's player ended by a panic")?;
    }
    // Players hold the node: all of them must be gone before it can let go of its log.
    players.shutdown().await;
    progress.finish_and_clear();

    let live = verdict::Live::of(&floor).await?;
    floor.drain().await?;
    verdict::judge(args, &plan, &live, &histories, &dir, clock, lang)
}

fn directory(named: Option<&Path>) -> anyhow::Result<(PathBuf, Option<tempfile::TempDir>)> {
    match named {
        Some(path) => {
            std::fs::create_dir_all(path).with_context(|| format!("{} cannot be made", path.display()))?;
            let taken = std::fs::read_dir(path).with_context(|| path.display().to_string())?.next().is_some();
            anyhow::ensure!(!taken, "{} is not empty; name an empty directory, or none for a temporary one", path.display());
            Ok((path.to_owned(), None))
        }
        None => {
            let dir = tempfile::tempdir().context("no temporary directory")?;
            Ok((dir.path().to_owned(), Some(dir)))
        }
    }
}

/// Prints the address of the large page, and asks the system to open it; a system without a browser is no fault.
fn wall(address: &str, lang: Lang) {
    eprintln!("{} {address}", lang.say("the day, live:", "实时大屏："));
    let opened = Command::new("xdg-open").arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if let Err(error) = opened {
        eprintln!("{} ({error})", lang.say("open it in a browser", "请在浏览器中打开"));
    }
}

fn floor_config(plan: &Plan, viewer: Option<&str>) -> anyhow::Result<FloorConfig> {
    let mut agents = std::collections::BTreeMap::new();
    for shift in &plan.script.shifts {
        agents.entry(shift.seat).or_insert_with(|| shift.profile.clone());
    }
    let cell = CellConfig {
        clock: ClockMode::Scaled { start: START, speed: plan.speed },
        // The whole log is replayed in the twin at the end: nothing of it may be given back.
        retain: Retain::All,
        keep_decisions: true,
        segment_bytes: 16 << 20,
        ..CellConfig::default()
    };
    let tenant = TenantConfig {
        id: TENANT,
        limits: Limits::SMALL,
        accounts: vec![(bank::ACCOUNT, bank::account())],
        policy: Some(PolicyText { file: bank::POLICY_FILE.into(), text: bank::POLICY_TEXT.into() }),
        agents: agents.into_iter().collect(),
    };
    let node = NodeConfig {
        name: "demo".into(),
        cell,
        live: LiveConfig::default(),
        tenants: vec![tenant],
        push: Vec::new(),
        policy_texts: None,
        events: None,
        webhooks: None,
        traces: None,
    };
    let inbox = Inbox {
        name: customer::INBOX.into(),
        tenant: TENANT,
        account: bank::ACCOUNT,
        origins: Vec::new(),
        verified_only: false,
        site_keys: None,
        face: tidegate_channels::config::Face::named(customer::INBOX),
    };
    let secret = random()?.to_vec();
    Ok(FloorConfig {
        listen: "127.0.0.1:0".into(),
        node,
        inboxes: vec![inbox],
        files: FileSettings::default(),
        secret,
        oidc: None,
        admins: viewer.map(|token| ("wall".to_owned(), Role::Viewer, token.to_owned())).into_iter().collect(),
        rates: Default::default(),
        tune: |_| {},
    })
}

fn announce(plan: &Plan, dir: &Path, lang: Lang) {
    eprintln!(
        "{}",
        lang.say(
            "A bank's telephone trace of 1999, mapped to web chat: every row a real connection, every agent a real desk.",
            "1999 年某银行的电话记录，映射为网页聊天：每一行是一个真实连接，每位坐席是一个真实工作台。"
        )
    );
    for (recorded, becomes) in tidegate_sim::bank::MAPPING {
        eprintln!("  {recorded} → {becomes}");
    }
    for line in &plan.findings {
        eprintln!("  {line}");
    }
    eprintln!(
        "{}: {} {}, {} {}; {} {} (~{:.0} s); {}",
        plan.title,
        plan.script.visits.len(),
        lang.say("rows", "行"),
        plan.seats(),
        lang.say("agents", "位坐席"),
        lang.say("speed", "速度"),
        plan.speed,
        (LEAD + plan.span()).as_secs_f64(),
        dir.display(),
    );
}

fn progress(plan: &Plan, lang: Lang) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(plan.script.visits.len() as u64);
    let template = format!("{{elapsed_precise}} [{{bar:30}}] {{pos}}/{{len}} {} {{msg}}", lang.say("contacts", "联络"));
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}

/// The state of the floor, once a second on a terminal, every ten seconds elsewhere.
async fn show(floor: &Floor, progress: &ProgressBar, histories: &Histories, clock: Scaled, all: u64) {
    let Ok(ledger) = floor.node.query(TENANT, |machine| machine.ledger()).await else { return };
    let line = format!(
        "{}  waiting {}  in service {}  served {}  abandoned {}",
        clock.time_of_day(),
        ledger.waiting + ledger.in_offer,
        ledger.in_service,
        ledger.exits[0],
        ledger.exits[1],
    );
    if !progress.is_hidden() {
        return progress.set_message(line);
    }
    if histories.beat() {
        eprintln!("{line}  ({} of {all} done)", histories.visits_done());
    }
}

/// Sleeps until an instant, unless it has passed.
async fn until(at: Instant) {
    if at > Instant::now() {
        sleep_until(at).await;
    }
}
