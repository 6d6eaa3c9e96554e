//! Deadlines that came: relaxation, reservations, the overdue tier, giving up, expired offers, ended wrap-ups, idle threads.
//!
//! One deadline a record; what is due is read from the record when it fires, in a fixed order. Each fire is planned on an
//! untouched state like any input.

use super::state::{Owner, Stage, Step};
use super::{Delta, Tenant};
use crate::policy::wait::{self, WaitDue};
use crate::timers::Timed;
use tidegate_model::output::Rescind;
use tidegate_model::record::Exit;
use tidegate_model::{EffectId, Millis, Timestamp};

#[derive(Debug)]
pub(super) enum Change {
    Nothing,
    Rearm { conversation: u32 },
    Forget { conversation: u32 },
    Exit { conversation: u32, exit: Exit },
    SegmentTimedOut { conversation: u32, engagement: u32 },
    FreeReservation { conversation: u32 },
    Overdue { conversation: u32 },
    NextStep { conversation: u32, step: u8 },
    OfferExpired { engagement: u32 },
    WrapUpOver { engagement: u32 },
    EffectInDoubt { effect: u32 },
}

impl Tenant {
    pub(super) fn plan_conversation_due(&self, slot: u32) -> Delta {
        Delta::Timed(self.conversation_due(slot))
    }

    fn conversation_due(&self, slot: u32) -> Change {
        let Some(c) = self.conversations.get(slot) else { return Change::Nothing };
        let Some(plan) = &self.plan else { return Change::Nothing };
        self.probe(c.id);
        let conversation = slot;
        let idle = c.last_event_at + plan.policy.idle_close_after <= self.at;
        match c.owner {
            Owner::Nobody if idle => Change::Forget { conversation },
            Owner::Bot if idle => Change::Exit { conversation, exit: Exit::TimedOut },
            Owner::Manual if idle => Change::Exit { conversation, exit: Exit::Failed },
            Owner::Seat if idle => Change::SegmentTimedOut { conversation, engagement: c.engagement },
            Owner::Lane => {
                let queue = &plan.queues[usize::from(c.queue)];
                match wait::due(queue, &c.wait(), self.at) {
                    WaitDue::GiveUp => Change::Exit { conversation, exit: Exit::TimedOut },
                    _ if idle => Change::Exit { conversation, exit: Exit::TimedOut },
                    WaitDue::FreeReservation => Change::FreeReservation { conversation },
                    WaitDue::Overdue => Change::Overdue { conversation },
                    WaitDue::NextStep(step) => Change::NextStep { conversation, step },
                    WaitDue::Nothing => Change::Rearm { conversation },
                }
            }
            _ => Change::Rearm { conversation },
        }
    }

    pub(super) fn plan_engagement_due(&self, slot: u32) -> Delta {
        Delta::Timed(match self.engagements.get(slot).map(|e| e.stage) {
            Some(Stage::Offered) => Change::OfferExpired { engagement: slot },
            Some(Stage::WrapUp) => Change::WrapUpOver { engagement: slot },
            Some(Stage::Active) | None => Change::Nothing,
        })
    }

    pub(super) fn commit_timed(&mut self, change: Change) {
        match change {
            Change::Nothing => {}
            Change::Rearm { conversation } => self.rearm(conversation),
            Change::Forget { conversation } => self.forget(conversation),
            Change::Exit { conversation, exit } => self.exit(conversation, exit),
            Change::SegmentTimedOut { conversation, engagement } => {
                self.exit(conversation, Exit::TimedOut);
                self.end_segment(engagement);
            }
            Change::FreeReservation { conversation } => self.free_reservation(conversation),
            Change::Overdue { conversation } => {
                let Some(c) = self.conversations.get_mut(conversation) else { return };
                c.overdue = true;
                let contact = c.contact;
                self.dirty_conversations.mark(conversation);
                self.settle_lane(conversation);
                self.rearm(conversation);
                self.steps.push_back(Step::FindSeat { conversation, contact });
            }
            Change::NextStep { conversation, step } => {
                self.enter_step(conversation, step);
                if let Some(c) = self.conversations.get(conversation) {
                    let contact = c.contact;
                    self.steps.push_back(Step::FindSeat { conversation, contact });
                }
            }
            Change::OfferExpired { engagement } => self.return_offer(engagement, Rescind::Expired),
            Change::WrapUpOver { engagement } => self.release(engagement),
            Change::EffectInDoubt { effect } => {
                let id = self.effects.get(effect).map_or(EffectId::NONE, |row| row.id);
                self.close_effect(id);
            }
        }
    }

    /// Nobody led for `gap`: open offers live longer by it. O(engagements), once a term.
    pub(super) fn lengthen(&mut self, gap: Millis) {
        if gap.0 == 0 {
            return;
        }
        for slot in 0..self.engagements.end() {
            let Some(engagement) = self.engagements.get_mut(slot) else { continue };
            if engagement.stage != Stage::Offered {
                continue;
            }
            let deadline = engagement.timer.deadline + gap;
            self.timers.set(&mut engagement.timer, Timed::Engagement(slot), deadline);
            self.dirty_engagements.mark(slot);
            let effect = (engagement.effect.0 & 0xff_ffff) as u32;
            if let Some(row) = self.effects.get_mut(effect) {
                row.valid_until = deadline;
            }
        }
    }

    /// Log time of an engagement's expiry, for views.
    pub(super) fn engagement_deadline(&self, slot: u32) -> Timestamp {
        self.engagements.get(slot).map_or(Timestamp::NEVER, |e| e.timer.deadline)
    }
}
