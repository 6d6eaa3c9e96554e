//! What a reload would do: the difference of two checked configurations, or why it needs a restart.
//!
//! A reload is all or nothing. What a running node can take is a new log level, other administration tokens, policies whose
//! text changed, and agents and accounts that are new or changed; everything else (listener, directory, log files, tenants
//! and inboxes that come or go, the pages that may speak to an inbox, an agent who left) is named and refused as a whole,
//! so that nobody believes half of a file. A policy is compared with the file as it was last read and not with what is
//! active: a reload for another reason must not undo what an operator activated over the API.

use super::Checked;
use std::collections::BTreeMap;
use tidegate_model::policy::{AccountProfile, AgentProfile};
use tidegate_model::{AccountId, SeatId, TenantId};
use tidegate_router::node::{PolicyText, TenantConfig};

/// What a reload does.
#[derive(Debug, Default, PartialEq)]
pub struct Change {
    /// The log level, when it changed.
    pub level: Option<String>,
    /// Whether administration tokens changed.
    pub tokens: bool,
    /// Policies whose text changed.
    pub policies: Vec<(TenantId, PolicyText)>,
    /// Accounts that changed.
    pub accounts: Vec<(TenantId, AccountId, AccountProfile)>,
    /// Agents that are new or changed.
    pub agents: Vec<(TenantId, SeatId, AgentProfile)>,
}

impl Change {
    /// Whether there is nothing to do.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// The difference from `old` to `new`.
///
/// # Errors
/// What only a restart can change, one line each.
pub fn change(old: &Checked, new: &Checked) -> Result<Change, Vec<String>> {
    let mut restart = Vec::new();
    let mut differs = |what: &str, differs: bool| {
        if differs {
            restart.push(format!("{what} changed: only a restart can take it"));
        }
    };
    differs("listen", old.listen != new.listen);
    differs("data_dir", old.data_dir != new.data_dir);
    differs("segment_mib", old.segment_bytes != new.segment_bytes);
    differs("retain_gib", old.retain != new.retain);
    differs("files, or an inbox's media_types,", old.files != new.files);
    differs("prefault_mib", old.prefault_bytes != new.prefault_bytes);
    differs("[events]", old.events != new.events);
    differs("[webhooks]", old.webhooks != new.webhooks);
    differs("log.format", old.log.1 != new.log.1);
    differs("[traces], or the headers that it names,", old.traces != new.traces);
    differs("[oidc] or an agent's login", old.oidc != new.oidc);
    let (before, after) = (by_id(&old.tenants), by_id(&new.tenants));
    for id in before.keys().chain(after.keys()) {
        differs(&format!("the list of tenants (tenant {id})"), before.contains_key(id) != after.contains_key(id));
    }
    let pages = |checked: &Checked| -> Vec<_> {
        checked.inboxes.iter().map(|i| (i.name.clone(), i.tenant, i.account, i.origins.clone())).collect()
    };
    differs("an inbox's name, account or origins, or the list of inboxes,", pages(old) != pages(new));
    let mut found = Change {
        level: (old.log.0 != new.log.0).then(|| new.log.0.clone()),
        tokens: old.tokens != new.tokens,
        ..Change::default()
    };
    for (id, tenant) in &after {
        let Some(was) = before.get(id) else { continue };
        if tenant.policy.as_ref().map(|p| &p.text) != was.policy.as_ref().map(|p| &p.text) {
            found.policies.extend(tenant.policy.clone().map(|policy| (*id, policy)));
        }
        let known: BTreeMap<_, _> = was.accounts.iter().map(|(id, profile)| (*id, profile)).collect();
        let changed = tenant.accounts.iter().filter(|(id, profile)| known.get(id) != Some(&profile));
        found.accounts.extend(changed.map(|(account, profile)| (*id, *account, profile.clone())));
        let known: BTreeMap<_, _> = was.agents.iter().map(|(id, profile)| (*id, profile)).collect();
        let changed = tenant.agents.iter().filter(|(seat, profile)| known.get(seat) != Some(&profile));
        found.agents.extend(changed.map(|(seat, profile)| (*id, *seat, profile.clone())));
        for (seat, profile) in &was.agents {
            let gone = !tenant.agents.iter().any(|(other, _)| other == seat);
            differs(&format!("agent \"{}\" (seat {}) is gone: the roster", profile.name, seat.0), gone);
        }
    }
    restart.dedup();
    if restart.is_empty() { Ok(found) } else { Err(restart) }
}

fn by_id(tenants: &[TenantConfig]) -> BTreeMap<TenantId, &TenantConfig> {
    tenants.iter().map(|tenant| (tenant.id, tenant)).collect()
}
