//! The bank's desk as a tenant: its policy text, account, roster, and how a planned contact asks for service.
//!
//! One place for the demo and the twin, so that both decide by the same policy (its hash stands in every decision record) and
//! a contact's type, priority and phantom mark become the same queue, class and tag. The text is
//! `examples/bank-1999/policy.toml`, for people to read and change.
//!
//! It refuses to know: how entries reach a machine, ids of a channel, when anybody acts ([`super::Script`] does).

use super::{Intent, PlannedAgent, PlannedContact};
use tidegate_core::policy::{PolicyErrors, parse};
use tidegate_model::input::ContactRequest;
use tidegate_model::policy::{AccountProfile, AgentProfile, Delivery, Policy, Requirement};
use tidegate_model::{AccountId, ClassName, Level, QueueName, TagName};

/// The policy's text.
pub const POLICY_TEXT: &str = include_str!("../../../examples/bank-1999/policy.toml");

/// The policy's file, as errors name it.
pub const POLICY_FILE: &str = "examples/bank-1999/policy.toml";

/// The account on which the trace's callers come.
pub const ACCOUNT: AccountId = AccountId(1);

/// The tag of records without a caller; the policy refuses it under [`super::PHANTOM_REASON`].
pub const PHANTOM_TAG: &str = "phantom";

/// The class of customers with a head start.
pub const PRIORITY_CLASS: &str = "priority";

/// The class of all others.
pub const REGULAR_CLASS: &str = "regular";

/// The policy, read and checked.
///
/// # Errors
/// Every fault of a policy file that somebody has changed.
pub fn policy() -> Result<Policy, PolicyErrors> {
    parse(POLICY_FILE, POLICY_TEXT)
}

/// BLAKE3 of the policy's text: its version.
pub fn policy_hash() -> [u8; 32] {
    *blake3::hash(POLICY_TEXT.as_bytes()).as_bytes()
}

/// The account's profile.
pub fn account() -> AccountProfile {
    AccountProfile { name: "bank".into(), delivery: Delivery::View, weight: 1, queue: String::new() }
}

/// The roster's words about an agent of a day: one contact at a time, the skills of that day.
pub fn profile(agent: &PlannedAgent) -> AgentProfile {
    let skills = agent.skills.iter().map(|kind| Requirement { skill: kind.code().into(), level: Level(1) }).collect();
    AgentProfile { name: agent.name.to_string(), skills, units: 1, cost_ms: 0 }
}

/// What a contact asks for, in the names that a channel speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asking {
    /// The queue: the type's code.
    pub queue: &'static str,
    /// The class.
    pub class: &'static str,
    /// The tag, for phantoms.
    pub tag: Option<&'static str>,
}

impl Asking {
    /// What this contact asks for.
    pub fn of(contact: &PlannedContact) -> Self {
        let class = if contact.priority == 2 { PRIORITY_CLASS } else { REGULAR_CLASS };
        let tag = (contact.intends == Intent::Phantom).then_some(PHANTOM_TAG);
        Self { queue: contact.kind.code(), class, tag }
    }

    /// The same as the machine takes it.
    pub fn request(self) -> ContactRequest {
        let mut request =
            ContactRequest { queue: QueueName::of(self.queue), class: ClassName::of(self.class), ..ContactRequest::default() };
        request.tags[0] = self.tag.map_or(TagName::NONE, TagName::of);
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bank::PHANTOM_REASON;
    use crate::trace::ServiceType;

    #[test]
    fn the_policy_knows_every_type_and_the_phantoms() {
        let policy = policy().unwrap_or_else(|errors| panic!("{errors}"));
        for kind in ServiceType::ALL {
            assert!(policy.queues.iter().any(|queue| queue.name == kind.code()), "{kind}");
            assert!(policy.skills.iter().any(|skill| skill == kind.code()), "{kind}");
        }
        for class in [PRIORITY_CLASS, REGULAR_CLASS] {
            assert!(policy.classes.iter().any(|known| known.name == class), "{class}");
        }
        let rule = policy.refusals.iter().find(|rule| rule.tag == PHANTOM_TAG).map(|rule| rule.reason.as_str());
        assert_eq!(rule, Some(PHANTOM_REASON));
    }
}
