//! Bringing a configured tenant into the log: accounts, then the policy, then agents, each only when the log lacks it.
//!
//! A tenant without an active policy has not been bootstrapped to the end (or not at all): its accounts are written, then the
//! policy; writing an account twice changes nothing. A tenant with one keeps it, whatever the configuration says now: what an
//! operator activated later must survive a restart. Agents that the roster lacks are added; those that it has are left alone.

use super::{ActivateError, IfActive, NodeHandle, PolicyText};
use std::collections::HashSet;
use std::time::Duration;
use tidegate_core::payload;
use tidegate_model::ids::{AccountId, SeatId, TenantId};
use tidegate_model::input::{Admin, Input};
use tidegate_model::limits::Limits;
use tidegate_model::output::Outcome;
use tidegate_model::policy::{AccountProfile, AgentProfile};
use tidegate_model::port::PortError;

/// Entries of a bootstrap on their way at once.
const AT_ONCE: usize = 256;
/// How often, and after which pause, a tenant's machine is asked again that is not there yet.
const ASKED_AGAIN_MAX: u32 = 1_000;
const ASK_AGAIN: Duration = Duration::from_millis(5);

/// A tenant as configured.
#[derive(Clone, Debug)]
pub struct TenantConfig {
    /// Its id; not 0.
    pub id: TenantId,
    /// Limits with which it is created.
    pub limits: Limits,
    /// Channel accounts.
    pub accounts: Vec<(AccountId, AccountProfile)>,
    /// The first policy.
    pub policy: Option<PolicyText>,
    /// The roster.
    pub agents: Vec<(SeatId, AgentProfile)>,
}

/// Why a tenant could not be bootstrapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootstrapError {
    /// Its policy.
    #[error("tenant {tenant}: {cause}")]
    Policy {
        /// Which.
        tenant: TenantId,
        /// Why.
        cause: ActivateError,
    },
    /// The log did not take an entry.
    #[error("tenant {tenant}: {what} could not be brought into the log: {cause:?}")]
    Port {
        /// Which.
        tenant: TenantId,
        /// What.
        what: String,
        /// Why.
        cause: PortError,
    },
    /// The machine refused an entry.
    #[error("tenant {tenant}: the machine refuses {what}: {outcome:?}")]
    Refused {
        /// Which.
        tenant: TenantId,
        /// What.
        what: String,
        /// Its answer.
        outcome: Outcome,
    },
}

pub(super) async fn bootstrap(node: &NodeHandle, config: TenantConfig) -> Result<(), BootstrapError> {
    let tenant = config.id;
    let port = |what: &str, cause| BootstrapError::Port { tenant, what: what.to_owned(), cause };
    let active = known_policy(node, tenant).await.map_err(|cause| port("the question for the active policy", cause))?;
    if active.is_none() {
        let accounts = config.accounts.iter().map(|(account, profile)| {
            let bytes = payload::account(profile);
            let what = format!("account {}", account.0);
            (what, bytes, Write::Account(*account))
        });
        write_all(node, tenant, accounts).await?;
        if let Some(policy) = config.policy {
            let activated = node.activate(tenant, policy, IfActive::None, false).await;
            activated.map_err(|cause| BootstrapError::Policy { tenant, cause })?;
        }
    }
    let known = node.query(tenant, |machine| machine.seats().iter().map(|seat| seat.seat).collect::<HashSet<_>>()).await;
    let known = known.map_err(|cause| port("the question for the roster", cause))?;
    let missing = config.agents.iter().filter(|(seat, _)| !known.contains(seat)).map(|(seat, profile)| {
        let bytes = payload::agent(profile);
        (format!("agent {}", seat.0), bytes, Write::Agent(*seat))
    });
    write_all(node, tenant, missing).await
}

impl NodeHandle {
    /// Brings accounts and agents into a tenant's log, as a reload does; those that it has are overwritten.
    ///
    /// # Errors
    /// [`BootstrapError`] at the first that was not taken; those before it were.
    pub async fn write_roster(
        &self,
        tenant: TenantId,
        accounts: &[(AccountId, AccountProfile)],
        agents: &[(SeatId, AgentProfile)],
    ) -> Result<(), BootstrapError> {
        let accounts = accounts
            .iter()
            .map(|(account, profile)| (format!("account {}", account.0), payload::account(profile), Write::Account(*account)));
        let agents =
            agents.iter().map(|(seat, profile)| (format!("agent {}", seat.0), payload::agent(profile), Write::Agent(*seat)));
        write_all(self, tenant, accounts.chain(agents)).await
    }
}

/// The active policy of a tenant whose first entry may be durable and not yet decided: then the question is asked again.
async fn known_policy(node: &NodeHandle, tenant: TenantId) -> Result<Option<[u8; 32]>, PortError> {
    let mut answer = node.policy_hash(tenant).await;
    for _ in 0..ASKED_AGAIN_MAX {
        match answer {
            Err(PortError::Unknown | PortError::Busy { .. }) => tokio::time::sleep(ASK_AGAIN).await,
            answer => return answer,
        }
        answer = node.policy_hash(tenant).await;
    }
    answer
}

#[derive(Clone, Copy)]
enum Write {
    Account(AccountId),
    Agent(SeatId),
}

impl Write {
    fn admin(self, payload: &[u8]) -> Admin<'_> {
        match self {
            Self::Account(account) => Admin::Account { account, profile: payload },
            Self::Agent(seat) => Admin::Agent { seat, profile: payload },
        }
    }
}

async fn write_all(
    node: &NodeHandle,
    tenant: TenantId,
    writes: impl Iterator<Item = (String, Vec<u8>, Write)>,
) -> Result<(), BootstrapError> {
    let writes: Vec<_> = writes.collect();
    for chunk in writes.chunks(AT_ONCE) {
        // All of a chunk are on their way before the first answer is awaited: one sync for many.
        let answers: Vec<_> =
            chunk.iter().map(|(_, bytes, write)| node.submit(tenant, &Input::Admin(write.admin(bytes)))).collect();
        for ((what, bytes, write), answer) in chunk.iter().zip(answers) {
            let mut answer = answer.await;
            while let Err(PortError::Busy { retry_after }) = answer {
                tokio::time::sleep(Duration::from_millis(retry_after.0)).await;
                answer = node.submit(tenant, &Input::Admin(write.admin(bytes))).await;
            }
            match answer {
                Ok(Outcome::Done { .. } | Outcome::Duplicate { .. }) => {}
                Ok(outcome) => return Err(BootstrapError::Refused { tenant, what: what.clone(), outcome }),
                Err(cause) => return Err(BootstrapError::Port { tenant, what: what.clone(), cause }),
            }
        }
    }
    Ok(())
}
