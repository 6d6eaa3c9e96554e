//! The outbox: messages that a provider must be called for, as rows that stay open until a result closes them.
//!
//! Accounts whose customers read the numbered transcript (web) open no rows. A row is Queued while open; it leaves as Sent,
//! Failed, or InDoubt when the right to attempt it runs out unanswered. The promise is at most one open row a message, emitted
//! again after a restart until it is closed.

use super::{Delta, Tenant};
use tidegate_model::codec::{self};
use tidegate_model::input::EffectResults;
use tidegate_model::limits::EFFECT_RESULTS_MAX;
use tidegate_model::output::{Effect, Refusal};
use tidegate_model::policy::Delivery;
use tidegate_model::{AccountId, ConversationId, Millis};

/// How long an attempt may stay unanswered, in log time.
const ATTEMPT: Millis = Millis(60_000);

impl Tenant {
    pub(super) fn plan_effects(&self, results: &EffectResults<'_>) -> Delta {
        let mut count = 0;
        for result in codec::effect_results(results.packed) {
            count += 1;
            if result.is_err() || count > EFFECT_RESULTS_MAX {
                return Delta::Refuse(Refusal::Malformed);
            }
        }
        Delta::Effects
    }

    pub(super) fn commit_effects(&mut self, results: &EffectResults<'_>) {
        for result in codec::effect_results(results.packed).flatten() {
            let slot = (result.effect.0 & 0xff_ffff) as u32;
            // An offer's row is closed by its answer alone: a result for it is late or forged and changes nothing.
            let delivery = self.effects.get(slot).is_some_and(|row| matches!(row.effect, Effect::Deliver { .. }));
            if delivery {
                self.close_effect(result.effect);
            }
        }
    }

    /// A message to the customer leaves by its account's provider, if the account has one.
    pub(super) fn open_delivery(&mut self, account: AccountId, conversation: ConversationId, n: u32) {
        if self.account(account).is_some_and(|a| a.delivery == Delivery::Push) {
            let effect = Effect::Deliver { account, conversation, n, seq: self.seq };
            self.open_effect(effect, self.at + ATTEMPT, true);
        }
    }
}
