//! Administration by entries: policies, roster, accounts, limits, version. All of it is state, none of it configuration.
//!
//! A policy becomes active in its own entry; contacts that wait are carried over in fuelled steps behind it, before any later
//! input of the tenant is looked at.

use super::state::{ACCOUNTS_MAX, Account, NOWHERE, Seat, Step, UNITS_MAX};
use super::{Delta, Tenant};
use crate::payload;
use crate::policy::plan::{Plan, rule_of};
use alloc::boxed::Box;
use tidegate_matcher::market::{SeatSlot, check_cost};
use tidegate_model::input::Admin;
use tidegate_model::limits::Limits;
use tidegate_model::output::{LimitKind, Outcome, Refusal};
use tidegate_model::policy::{AccountProfile, AgentProfile};
use tidegate_model::{AccountId, ContactId, Level, QueueName, SeatId};

#[derive(Debug)]
pub(super) enum Change {
    Policy(Box<Plan>),
    Agent { seat: SeatId, profile: AgentProfile },
    Account { account: AccountId, profile: AccountProfile },
    Limits(Limits),
    Version(u32),
}

impl Tenant {
    pub(super) fn plan_admin(&self, admin: &Admin<'_>) -> Delta {
        let change = match admin {
            Admin::Policy { hash, plan } => self.plan_policy(*hash, plan),
            Admin::Agent { seat, profile } => self.plan_agent(*seat, profile),
            Admin::Account { account, profile } => self.plan_account(*account, profile),
            Admin::Limits(limits) => self.plan_limits(limits),
            Admin::Version(version) if *version >= self.version && *version <= crate::SEM_VERSION => Ok(Change::Version(*version)),
            _ => Err(Refusal::Malformed),
        };
        change.map_or_else(Delta::Refuse, |change| Delta::Admin(Box::new(change)))
    }

    fn plan_policy(&self, hash: [u8; 32], bytes: &[u8]) -> Result<Change, Refusal> {
        let policy = payload::read_policy(bytes).ok_or(Refusal::Malformed)?;
        let plan = Plan::compile(hash, policy).map_err(|_| Refusal::Malformed)?;
        // The lanes of every combination in use must fit beside the old ones until those are drained.
        let needed: usize = self
            .lane_sets
            .iter()
            .map(|set| {
                let name = self.plan.as_ref().map_or(QueueName::NONE, |p| p.queues[usize::from(set.queue)].name);
                plan.queues[usize::from(plan.queue(name).unwrap_or(plan.default_queue))].steps.len() * 2
            })
            .sum();
        if needed > self.market.lanes_free() as usize {
            return Err(Refusal::Limit(LimitKind::Lanes));
        }
        Ok(Change::Policy(Box::new(plan)))
    }

    fn plan_agent(&self, seat: SeatId, bytes: &[u8]) -> Result<Change, Refusal> {
        let profile = payload::read_agent(bytes).ok_or(Refusal::Malformed)?;
        let levels = profile.skills.iter().all(|s| (Level(1)..=Level::MAX).contains(&s.level));
        let sound =
            levels && profile.skills.len() <= 64 && (1..=UNITS_MAX).contains(&profile.units) && check_cost(profile.cost_ms).is_ok();
        if !sound || seat.is_none() {
            return Err(Refusal::Malformed);
        }
        match self.seat_slot(seat).and_then(|s| self.seats.get(s)) {
            None if self.seats.room() == 0 => Err(Refusal::Limit(LimitKind::Seats)),
            Some(known) if known.market != NOWHERE && self.market.class_free() == 0 => Err(Refusal::Limit(LimitKind::Classes)),
            // Fewer units than are in use would break "used units never exceed the limit".
            Some(known) if known.market != NOWHERE && self.market.seat_used_units(SeatSlot(known.market)) > profile.units => {
                Err(Refusal::Limit(LimitKind::Engagements))
            }
            _ => Ok(Change::Agent { seat, profile }),
        }
    }

    fn plan_account(&self, account: AccountId, bytes: &[u8]) -> Result<Change, Refusal> {
        let profile = payload::read_account(bytes).ok_or(Refusal::Malformed)?;
        if account.is_none() || !(1..=UNITS_MAX).contains(&profile.weight) {
            return Err(Refusal::Malformed);
        }
        if self.account(account).is_none() && self.accounts.len() >= ACCOUNTS_MAX {
            return Err(Refusal::Limit(LimitKind::Accounts));
        }
        Ok(Change::Account { account, profile })
    }

    /// Limits of records may rise; those that size the market and the look-up tables are fixed when the tenant is made.
    fn plan_limits(&self, new: &Limits) -> Result<Change, Refusal> {
        let old = &self.limits;
        let fixed = |l: &Limits| (l.tickets, l.seats, l.lanes, l.classes, l.dedup_events, l.conversations, l.customers);
        let sane = new.check().is_ok();
        if fixed(new) != fixed(old) || new.engagements < old.engagements || new.effects < old.effects || !sane {
            return Err(Refusal::Malformed);
        }
        Ok(Change::Limits(*new))
    }

    pub(super) fn commit_admin(&mut self, change: Change) -> Outcome {
        match change {
            Change::Policy(plan) => self.activate(plan),
            Change::Agent { seat, profile } => self.put_agent(seat, &profile),
            Change::Account { account, profile } => {
                let row = Account {
                    id: account,
                    delivery: profile.delivery,
                    weight: profile.weight,
                    queue: QueueName::of(&profile.queue),
                };
                match self.accounts.binary_search_by_key(&account, |a| a.id) {
                    Ok(i) => self.accounts[i] = row,
                    Err(i) => self.accounts.insert(i, row),
                }
            }
            Change::Limits(limits) => {
                self.engagements.set_limit(limits.engagements);
                self.effects.set_limit(limits.effects);
                self.timers.reserve(Self::timer_room(&limits));
                self.limits = limits;
                self.place_is_free();
            }
            Change::Version(version) => self.version = version,
        }
        Outcome::Done { contact: ContactId::NONE, n: 0 }
    }

    fn activate(&mut self, plan: Box<Plan>) {
        self.market.set_rule(rule_of(&plan.policy));
        self.queue_lengths = alloc::vec![0; plan.queues.len()];
        let sets = core::mem::take(&mut self.lane_sets);
        self.lane_set_index.clear();
        let before = self.plan.replace(plan);
        self.previous = before.map(|before| Box::new((*before, sets)));
        self.steps.push_back(Step::Swap { cursor: 0, remapped: 0 });
    }

    fn put_agent(&mut self, id: SeatId, profile: &AgentProfile) {
        let Some(slot) = self.seat_slot(id) else {
            let slot = self.seats.insert(Seat::new(id, profile));
            self.seat_index.insert(u128::from(id.0), slot);
            return self.dirty_seats.mark(slot);
        };
        self.dirty_seats.mark(slot);
        let Some(seat) = self.seats.get_mut(slot) else { return };
        seat.apply(profile);
        let (market, skills, open) = (seat.market, seat.profile(), seat.open);
        if market != NOWHERE {
            self.market.seat_update(SeatSlot(market), &skills, profile.units, profile.cost_ms, self.at);
            if open {
                self.steps.push_back(Step::FindContact { seat: slot });
            }
        }
    }
}
