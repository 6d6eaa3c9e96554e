//! AI pools: capacity that takes contacts first, ends some by itself and hands over the rest.
//!
//! A contact that finds no free place, or a pool that is away, goes to people at once. What is handed over takes people longer
//! (`residual_handle`); a share of what was contained comes again, straight to people. A failing pool hands over all it has, in
//! the order of coming.

use super::contact::State;
use super::play::{Floor, kind};
use crate::workload::whole_ms;
use tidegate_model::Timestamp;
use tidegate_model::record::Exit;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pool {
    pub used: u32,
    /// Outages going on.
    pub away: u32,
}

impl Floor<'_> {
    /// Gives a contact to its pool, if that takes it.
    pub(super) fn bot_takes(&mut self, slot: u32, now: u64) -> bool {
        let contact = &self.contacts[slot as usize];
        let Some((p, _)) = self.setup.demands[usize::from(contact.demand)].pool else { return false };
        let (pool, setup) = (&mut self.pools[p], &self.setup.pools[p]);
        if contact.straight || pool.away > 0 || pool.used >= setup.slots {
            return false;
        }
        pool.used += 1;
        let spread = if contact.fate.contained { &setup.latency } else { &setup.hand_over_after };
        let lasts = whole_ms(spread.sample(&mut self.latency));
        let contact = &mut self.contacts[slot as usize];
        contact.state = State::Bot;
        contact.straight = true;
        contact.entry = self.agenda.schedule(Timestamp(now.saturating_add(lasts)), kind::BOT, slot);
        true
    }

    pub(super) fn bot_ends(&mut self, slot: u32, now: u64) {
        let contact = self.contacts[slot as usize];
        let Some((p, _)) = self.setup.demands[usize::from(contact.demand)].pool else { return };
        self.pools[p].used -= 1;
        if !contact.fate.contained {
            return self.is_handed_over(slot, now);
        }
        if self.is_counted(contact.arrived) {
            self.demands[usize::from(contact.came_as)].contained += 1;
        }
        self.exits(slot, Exit::Served, now);
        let after = whole_ms(self.setup.pools[p].repeats_after.sample(&mut self.redial));
        if contact.fate.repeats_after_ai && self.schedule_again(slot, after, now) {
            if self.is_counted(contact.arrived) {
                self.demands[usize::from(contact.came_as)].repeats += 1;
            }
            return;
        }
        self.forget(slot);
    }

    fn is_handed_over(&mut self, slot: u32, now: u64) {
        let contact = &mut self.contacts[slot as usize];
        if let Some((p, _)) = self.setup.demands[usize::from(contact.demand)].pool {
            contact.work *= self.setup.pools[p].residual_handle;
        }
        self.asks(slot, None, now);
    }

    /// An outage begins.
    pub(super) fn pool_fails(&mut self, p: usize, now: u64) {
        self.pools[p].away += 1;
        let setup = self.setup;
        let here = |demand: u16| setup.demands[usize::from(demand)].pool.is_some_and(|(pool, _)| pool == p);
        let with_bot = self.contacts.iter().enumerate().filter(|(_, c)| c.state == State::Bot && here(c.demand));
        let mut with_bot: Vec<(u64, u32)> = with_bot.map(|(slot, c)| (c.number, slot as u32)).collect();
        with_bot.sort_unstable();
        for (_, slot) in with_bot {
            self.pools[p].used -= 1;
            self.contacts[slot as usize].entry = crate::kernel::EntryId::NONE;
            self.is_handed_over(slot, now);
        }
    }
}
