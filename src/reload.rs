//! A reload of the configuration while the node serves: read, checked and compared as a whole, then done; or refused as a whole.
//!
//! Asked for by SIGHUP. A file with a fault, or one that wants what only a restart can do, changes nothing, and the log says
//! every reason. Policies are tried dry first, so that a refusal comes before anything was written. It refuses to know where
//! settings stand.

use crate::config::{self, Change, Checked, Environment};
use crate::floor::Floor;
use crate::logs::Logs;
use anyhow::{Context, anyhow};
use std::path::PathBuf;
use tidegate_router::audit::Actor;
use tidegate_router::auth::Role;
use tidegate_router::node::IfActive;

/// Why a reload did not go through.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// A fault, or something that needs a restart. Nothing has changed.
    #[error("{0:#}")]
    Refused(anyhow::Error),
    /// The node could not take an entry (its log failed, it drains). What came before it is in force.
    #[error("{0:#}")]
    Halfway(anyhow::Error),
}

/// What a running node was configured with, and how to read it again.
pub struct Reloader {
    /// The file.
    pub path: PathBuf,
    /// The environment of the start: it cannot change.
    pub environment: Environment,
    /// The configuration in force.
    pub current: Checked,
    /// Tokens that no configuration names: drawn at the start.
    pub drawn: Vec<(String, Role, String)>,
}

impl Reloader {
    /// Reads the configuration again and brings it into force; says what was done.
    ///
    /// # Errors
    /// [`ReloadError`]; the configuration in force is still the one before.
    pub async fn reload(&mut self, floor: &Floor, logs: &Logs) -> Result<String, ReloadError> {
        // Recorded like any administrative act: asked for before it is done, and how it ended.
        let audit = floor.audit.clone();
        let asked = tokio::task::spawn_blocking(move || audit.asked("config.reload", Actor::node(), None, &[])).await;
        let unrecorded = || anyhow!("the audit cannot be written, so nothing was reloaded");
        let asked =
            asked.map_err(|_| unrecorded()).and_then(|asked| asked.with_context(unrecorded)).map_err(ReloadError::Refused)?;
        let done = self.planned(floor, logs).await;
        let (outcome, what) = match &done {
            Ok(what) => ("done", what.clone()),
            Err(ReloadError::Refused(_)) => ("refused", String::new()),
            Err(ReloadError::Halfway(_)) => ("failed", String::new()),
        };
        let recorded = tokio::task::spawn_blocking(move || asked.outcome(outcome, &[("changed", what)])).await;
        if !matches!(recorded, Ok(Ok(()))) {
            tracing::error!("the outcome of a reload could not be recorded; it stands as asked for");
        }
        done
    }

    async fn planned(&mut self, floor: &Floor, logs: &Logs) -> Result<String, ReloadError> {
        let (next, change) = self.plan(floor).await.map_err(ReloadError::Refused)?;
        self.apply(&change, &next, floor, logs).await.map_err(ReloadError::Halfway)?;
        self.current = next;
        Ok(if change.is_nothing() { "nothing has changed".to_owned() } else { said(&change) })
    }

    async fn plan(&self, floor: &Floor) -> anyhow::Result<(Checked, Change)> {
        let (path, environment) = (self.path.clone(), self.environment.clone());
        let read = tokio::task::spawn_blocking(move || config::read_with(&path, &environment));
        let next = read.await.context("the configuration could not be read")??;
        let change = config::change(&self.current, &next).map_err(|reasons| anyhow!(reasons.join("\n")))?;
        for (tenant, policy) in &change.policies {
            let tried = floor.node.activate(*tenant, policy.clone(), IfActive::Any, true).await;
            tried.with_context(|| format!("the policy of tenant {tenant}"))?;
        }
        Ok((next, change))
    }

    async fn apply(&self, change: &Change, next: &Checked, floor: &Floor, logs: &Logs) -> anyhow::Result<()> {
        if change.tokens {
            let tokens: Vec<_> = next.tokens.iter().chain(&self.drawn).cloned().collect();
            floor.replace_admins(&tokens)?;
        }
        if let Some(level) = &change.level {
            logs.set(level)?;
        }
        for (tenant, policy) in &change.policies {
            let active = floor.node.activate(*tenant, policy.clone(), IfActive::Any, false).await;
            active.with_context(|| format!("the policy of tenant {tenant}"))?;
        }
        for (tenant, account, profile) in &change.accounts {
            floor.node.write_roster(*tenant, &[(*account, profile.clone())], &[]).await?;
        }
        for (tenant, seat, profile) in &change.agents {
            floor.node.write_roster(*tenant, &[], &[(*seat, profile.clone())]).await?;
        }
        Ok(())
    }
}

fn said(change: &Change) -> String {
    let count = |n: usize, what: &str| (n > 0).then(|| format!("{n} {what}"));
    let parts = [
        count(change.policies.len(), "policies"),
        count(change.accounts.len(), "accounts"),
        count(change.agents.len(), "agents"),
        change.tokens.then(|| "administration tokens".to_owned()),
        change.level.as_ref().map(|level| format!("log level {level:?}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
