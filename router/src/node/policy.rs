//! Policies of a node: read, checked, activated by an entry, and their texts kept by hash.
//!
//! The log holds the compiled policy and the hash of its text; the text itself is kept beside it, content-addressed, so that
//! whoever asks for the active policy gets the very bytes that were activated, or is told that this node does not have
//! them. One activation of a tenant at a time: a second one meanwhile is a conflict, never a race. It refuses to know HTTP.

use super::NodeHandle;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidegate_core::policy::{self, PolicyErrors};
use tidegate_model::ids::TenantId;
use tidegate_model::input::{Admin, Input};
use tidegate_model::output::Outcome;
use tidegate_model::port::PortError;

/// Texts kept in memory.
const TEXTS_MAX: usize = 64;

/// A policy's text with the name by which its errors call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyText {
    /// The file's name.
    pub file: String,
    /// The TOML text.
    pub text: String,
}

/// Which policy must be active for an activation to go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfActive {
    /// Whichever.
    Any,
    /// None at all.
    None,
    /// Some policy.
    Some,
    /// The one with this hash.
    Is([u8; 32]),
}

/// An active (or checked) policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivePolicy {
    /// BLAKE3 of the text.
    pub hash: [u8; 32],
    /// The policy's name.
    pub name: String,
    /// Whether an entry activated it (a dry run does not).
    pub activated: bool,
}

/// Why a policy was not activated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActivateError {
    /// The text has faults.
    #[error("the policy cannot be used:\n{0}")]
    Invalid(PolicyErrors),
    /// Another activation of the tenant is under way.
    #[error("another activation of this tenant's policy is under way")]
    UnderWay,
    /// The condition does not hold.
    #[error("the active policy is another one than expected")]
    Changed {
        /// The active one, if any.
        active: Option<[u8; 32]>,
    },
    /// The port did not take it.
    #[error("the policy could not be brought into the log: {0:?}")]
    Port(PortError),
    /// The machine refused it.
    #[error("the tenant machine refuses the policy: {0:?}")]
    Refused(Outcome),
}

/// The texts that this node has.
pub(super) struct PolicyTexts {
    directory: Option<PathBuf>,
    recent: Mutex<VecDeque<([u8; 32], Arc<str>)>>,
    under_way: Mutex<Vec<TenantId>>,
}

impl PolicyTexts {
    pub(super) fn new(directory: Option<PathBuf>) -> Self {
        Self { directory, recent: Mutex::default(), under_way: Mutex::default() }
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<([u8; 32], Arc<str>)>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, hash: &[u8; 32]) -> Option<PathBuf> {
        Some(self.directory.as_ref()?.join(format!("{}.toml", blake3::Hash::from(*hash).to_hex())))
    }

    /// Keeps a text; called where blocking is allowed.
    fn keep(&self, hash: [u8; 32], text: &str) {
        {
            let mut recent = self.recent();
            recent.retain(|(other, _)| *other != hash);
            if recent.len() == TEXTS_MAX {
                recent.pop_front();
            }
            recent.push_back((hash, text.into()));
        }
        if let Some(path) = self.path(&hash) {
            let kept = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, text));
            if let Err(error) = kept {
                // The policy is in the log all the same; only its text cannot be shown after a restart.
                tracing::warn!(%error, "the text of a policy could not be kept");
            }
        }
    }

    /// A text by its hash; called where blocking is allowed.
    fn find(&self, hash: &[u8; 32]) -> Option<Arc<str>> {
        if let Some((_, text)) = self.recent().iter().find(|(other, _)| other == hash) {
            return Some(Arc::clone(text));
        }
        let text = std::fs::read_to_string(self.path(hash)?).ok()?;
        (blake3::hash(text.as_bytes()).as_bytes() == hash).then(|| text.into())
    }
}

/// One tenant's activation under way.
struct Activation<'n> {
    texts: &'n PolicyTexts,
    tenant: TenantId,
}

impl Drop for Activation<'_> {
    fn drop(&mut self) {
        self.texts.under_way.lock().unwrap_or_else(PoisonError::into_inner).retain(|tenant| *tenant != self.tenant);
    }
}

impl NodeHandle {
    /// The active policy's hash.
    ///
    /// # Errors
    /// As [`NodeHandle::query`].
    pub async fn policy_hash(&self, tenant: TenantId) -> Result<Option<[u8; 32]>, PortError> {
        self.query(tenant, |machine| machine.policy_hash()).await
    }

    /// The text of a policy, if this node has it.
    pub async fn policy_text(&self, hash: [u8; 32]) -> Option<Arc<str>> {
        let node = self.clone();
        self.inner.runtime.spawn_blocking(move || node.inner.texts.find(&hash)).await.ok().flatten()
    }

    /// Checks a policy and, unless it is a dry run, activates it by an entry.
    ///
    /// # Errors
    /// [`ActivateError`], by cause; nothing changed then.
    pub async fn activate(
        &self,
        tenant: TenantId,
        source: PolicyText,
        expected: IfActive,
        dry_run: bool,
    ) -> Result<ActivePolicy, ActivateError> {
        let texts = &self.inner.texts;
        let _activation = {
            let mut under_way = texts.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            if under_way.contains(&tenant) {
                return Err(ActivateError::UnderWay);
            }
            under_way.push(tenant);
            Activation { texts, tenant }
        };
        let parsed = policy::parse(&source.file, &source.text).map_err(ActivateError::Invalid)?;
        let hash = *blake3::hash(source.text.as_bytes()).as_bytes();
        let active = self.policy_hash(tenant).await.map_err(ActivateError::Port)?;
        let holds = match expected {
            IfActive::Any => true,
            IfActive::None => active.is_none(),
            IfActive::Some => active.is_some(),
            IfActive::Is(expected) => active == Some(expected),
        };
        if !holds {
            return Err(ActivateError::Changed { active });
        }
        let checked = ActivePolicy { hash, name: parsed.name.clone(), activated: !dry_run };
        if dry_run {
            return Ok(checked);
        }
        let node = self.clone();
        let text = source.text;
        // Kept first: an active policy whose text was lost in a crash between the two could not be shown.
        let _kept = self.inner.runtime.spawn_blocking(move || node.inner.texts.keep(hash, &text)).await;
        let plan = policy::encode(&parsed);
        match self.submit(tenant, &Input::Admin(Admin::Policy { hash, plan: &plan })).await {
            Ok(Outcome::Done { .. } | Outcome::Duplicate { .. }) => Ok(checked),
            Ok(outcome) => Err(ActivateError::Refused(outcome)),
            Err(error) => Err(ActivateError::Port(error)),
        }
    }
}
