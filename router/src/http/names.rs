//! Names behind the symbols that the machine keeps: what the active policy calls its queues, classes, skills and steps.
//!
//! A symbol that the active policy does not have (a queue of the policy before) is shown as `#` and its hexadecimal digits,
//! never left out. It refuses to know which rows are shown.

use super::Api;
use super::problem::Problem;
use std::collections::HashMap;
use tidegate_model::ids::TenantId;
use tidegate_model::name::{QueueName, symbol};
use tidegate_model::policy::Policy;

/// The names of one tenant's active policy.
#[derive(Default)]
pub(super) struct Names {
    texts: HashMap<u64, String>,
    steps: HashMap<QueueName, Vec<String>>,
}

impl Names {
    /// Reads them from the tenant's machine.
    ///
    /// # Errors
    /// As a query.
    pub(super) async fn read(api: &Api, tenant: TenantId) -> Result<Self, Problem> {
        let names = api.node().query(tenant, |machine| machine.policy().map(Self::of).unwrap_or_default());
        names.await.map_err(|error| Problem::of_port(&error))
    }

    fn of(policy: &Policy) -> Self {
        let queues = policy.queues.iter().map(|queue| &queue.name);
        let all = queues.chain(policy.classes.iter().map(|class| &class.name)).chain(&policy.skills);
        let steps = |queue: &tidegate_model::policy::Queue| queue.steps.iter().map(|step| step.name.clone()).collect();
        Self {
            texts: all.map(|name| (symbol(name), name.clone())).collect(),
            steps: policy.queues.iter().map(|queue| (QueueName::of(&queue.name), steps(queue))).collect(),
        }
    }

    /// The text of a symbol; nothing for "none".
    pub(super) fn text(&self, symbol: u64) -> Option<String> {
        (symbol != 0).then(|| self.texts.get(&symbol).cloned().unwrap_or_else(|| format!("#{symbol:016x}")))
    }

    /// The name of a step of a queue.
    pub(super) fn step(&self, queue: QueueName, step: u8) -> Option<&str> {
        self.steps.get(&queue)?.get(usize::from(step)).map(String::as_str)
    }
}
