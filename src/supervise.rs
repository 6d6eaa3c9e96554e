//! What the service manager is told: ready, reloading, stopping, and that the node still decides.
//!
//! Over systemd's notification socket (`sd_notify(3)`), when there is one. The watchdog is fed only after the deciding thread
//! of every tenant has answered a question: a process that is alive and decides nothing is restarted. It refuses to know
//! what else would be a reason to restart: a failed log is not (the node says so and an operator decides).

use sd_notify::NotifyState;
use std::time::Duration;
use tidegate_model::TenantId;
use tidegate_router::node::NodeHandle;
use tokio::task::JoinHandle;

/// Whether a service manager started this process: what it prints then goes into a journal that others read.
pub fn is_there() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// The node serves at an address.
pub fn ready(base: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&format!("serving on {base}"))]);
}

/// A reload begins; [`ready`] ends it.
pub fn reloading() {
    // Without the time of this moment the manager would take an older READY for the end of this reload.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager could not be told of a reload"),
    }
}

/// The node goes down.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

/// Feeds the watchdog, if the manager has set one, for as long as the handle is kept running.
pub fn watchdog(node: NodeHandle, tenants: Vec<TenantId>) -> Option<JoinHandle<()>> {
    let within = sd_notify::watchdog_enabled()?;
    Some(tokio::spawn(feed(node, tenants, within)))
}

async fn feed(node: NodeHandle, tenants: Vec<TenantId>, within: Duration) {
    // Twice within the manager's span, as sd_watchdog_enabled(3) advises.
    let mut turns = tokio::time::interval(within / 2);
    loop {
        turns.tick().await;
        let mut decides = true;
        for tenant in &tenants {
            let answer = tokio::time::timeout(within / 4, node.query(*tenant, |machine| machine.version())).await;
            decides &= matches!(answer, Ok(Ok(_)));
        }
        if decides {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("the deciding thread does not answer: the watchdog is not fed");
        }
    }
}
