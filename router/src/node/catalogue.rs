//! What agents' desks show to choose from, by the policy that is active.
//!
//! The lists stand in the `[desk]` table of the policy's text, which this node keeps by hash; without the text (it was
//! activated elsewhere, or its file is gone) the defaults are shown. Queues and the agent's name come from the machine: one
//! short question a desk, and one longer a policy. Read again when the hash has changed, by one desk for all of its tenant.

use super::NodeHandle;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::{Tenant, policy};
use tidegate_model::ids::{SeatId, TenantId};
use tidegate_model::policy::Desk;
use tidegate_model::port::{BoxFuture, Catalogue, CatalogueQueue, PortError};

/// How often a busy cell is asked again.
const ASKED_AGAIN_MAX: u32 = 100;

/// What is the same for all desks of a tenant.
struct Shared {
    hash: Option<[u8; 32]>,
    desk: Arc<Desk>,
    queues: Arc<[CatalogueQueue]>,
}

/// The newest of each tenant.
#[derive(Default)]
pub(super) struct Catalogues {
    by_tenant: tokio::sync::Mutex<HashMap<TenantId, Shared>>,
}

impl NodeHandle {
    /// What a seat's desk shows; nothing when the roster has no such seat or the node goes down.
    pub async fn catalogue(&self, tenant: TenantId, seat: SeatId) -> Option<Catalogue> {
        let question = move |machine: &Tenant| (machine.agent_name(seat).map(str::to_owned), machine.policy_hash());
        let (agent, hash) = self.ask(tenant, question).await?;
        let agent = agent?;
        // Held while it is read: many desks that hear of a new policy wait for one reading.
        let mut by_tenant = self.inner.catalogues.by_tenant.lock().await;
        if by_tenant.get(&tenant).is_none_or(|shared| shared.hash != hash) {
            let shared = self.read_catalogue(tenant, hash).await?;
            by_tenant.insert(tenant, shared);
        }
        let shared = by_tenant.get(&tenant)?;
        Some(Catalogue { agent, desk: Arc::clone(&shared.desk), queues: Arc::clone(&shared.queues) })
    }

    /// Counts contacts and wrap-ups from now on, against the targets of the policies that are active.
    pub(super) fn count_contacts(&self) {
        let node = self.downgrade();
        let desk_of = move |tenant| -> BoxFuture<Option<Arc<Desk>>> {
            let node = node.clone();
            Box::pin(async move { node.upgrade()?.desk(tenant).await })
        };
        self.live().tallies().start(self.cell().status().tenants, Box::new(desk_of));
    }

    /// The `[desk]` table of the policy that is active.
    async fn desk(&self, tenant: TenantId) -> Option<Arc<Desk>> {
        let hash = self.ask(tenant, Tenant::policy_hash).await?;
        self.read_catalogue(tenant, hash).await.map(|shared| shared.desk)
    }

    async fn read_catalogue(&self, tenant: TenantId, hash: Option<[u8; 32]>) -> Option<Shared> {
        let queue = |queue: &tidegate_model::policy::Queue| CatalogueQueue {
            name: queue.name.clone(),
            offer_timeout: queue.offer_timeout,
            wrap_up: queue.wrap_up,
        };
        let question = move |machine: &Tenant| -> Arc<[CatalogueQueue]> {
            machine.policy().into_iter().flat_map(|policy| policy.queues.iter().map(queue)).collect()
        };
        let queues = self.ask(tenant, question).await?;
        let text = match hash {
            Some(hash) => self.policy_text(hash).await,
            None => None,
        };
        let whole = text.and_then(|text| policy::parse_whole("policy", &text).ok());
        Some(Shared { hash, desk: Arc::new(whole.map_or_else(Desk::default, |(_, desk)| desk)), queues })
    }

    async fn ask<R: Send + 'static>(
        &self,
        tenant: TenantId,
        question: impl Fn(&Tenant) -> R + Clone + Send + 'static,
    ) -> Option<R> {
        for _ in 0..ASKED_AGAIN_MAX {
            match self.query(tenant, question.clone()).await {
                Ok(answer) => return Some(answer),
                Err(PortError::Busy { retry_after }) => tokio::time::sleep(Duration::from_millis(retry_after.0)).await,
                Err(_) => return None,
            }
        }
        None
    }
}
