//! Who comes and goes when: staffing and shifts as changes in time order, and absences drawn a replication.
//!
//! Agents are numbered group by group. Changes that do not depend on a draw are made once with the setup; absences are drawn for
//! each replication from a stream an agent, so that one agent more moves nobody's absences. Nothing here knows seats or contacts.

use super::setup::SetupError;
use crate::kernel::sample::{Uniform, standard_exponential};
use crate::kernel::{Purpose, Stream, Streams};
use crate::scenario::{AtEnd, Group, Scenario, Shift};
use crate::workload::{Sampler, whole_ms};

/// A change of the floor by the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Change {
    /// So many of a group shall be there.
    Staff {
        group: u32,
        agents: u32,
    },
    /// An agent's shift begins, or ends.
    Comes {
        agent: u32,
    },
    Goes {
        agent: u32,
    },
    /// An agent is away for a while.
    Away {
        agent: u32,
    },
    Back {
        agent: u32,
    },
    /// An AI pool fails, or works again.
    Fails {
        pool: u32,
    },
    Works {
        pool: u32,
    },
    /// The counted part begins.
    Count,
    /// An interval of the grid ends; the counted part ends.
    Tick,
    CountEnds,
}

#[derive(Clone, Debug)]
struct Absence {
    share: f64,
    spell: Option<Sampler>,
}

#[derive(Clone, Debug)]
pub(super) struct Roster {
    /// First agent of each group; one more entry for the end.
    pub first: Vec<u32>,
    /// Sorted by time; order of one moment as made.
    changes: Vec<(u64, Change)>,
    absences: Vec<Vec<Absence>>,
    length_ms: u64,
}

impl Roster {
    pub(super) fn new(scenario: &Scenario) -> Result<Self, SetupError> {
        let length_ms = scenario.length.whole_ms();
        let (mut first, mut changes, mut absences) = (vec![0], Vec::new(), Vec::new());
        let from = scenario.warm_up.whole_ms();
        changes.push((from, Change::Count));
        for (g, group) in scenario.group.iter().enumerate() {
            let start = first[g];
            let agents = staff(g as u32, start, group, &mut changes);
            first.push(start + agents);
            let mut list = Vec::new();
            for (i, shrinkage) in group.shrinkage.iter().enumerate() {
                let spell = shrinkage.spell.as_ref().map(|spell| {
                    let field = format!("group[{g}].shrinkage[{i}].spell");
                    Sampler::new(spell).map_err(|cause| SetupError::Spread { field, cause })
                });
                list.push(Absence { share: shrinkage.share, spell: spell.transpose()? });
            }
            absences.push(list);
        }
        for (p, pool) in scenario.ai.iter().enumerate() {
            for outage in &pool.outage {
                changes.push((outage.from.whole_ms(), Change::Fails { pool: p as u32 }));
                changes.push((outage.from.whole_ms() + outage.lasts.whole_ms(), Change::Works { pool: p as u32 }));
            }
        }
        // Who is there when nobody comes any more stays until all are served.
        if scenario.at_end == AtEnd::Finish {
            changes.retain(|(at, _)| *at < length_ms);
        }
        let grid_ms = scenario.grid.whole_ms();
        changes.extend((1..=length_ms / grid_ms).map(|i| (i * grid_ms, Change::Tick)));
        let cool = scenario.cool_down.whole_ms();
        if cool > 0 || scenario.at_end == AtEnd::Stop {
            changes.push((length_ms - cool.min(length_ms), Change::CountEnds));
        }
        changes.sort_by_key(|(at, _)| *at);
        Ok(Self { first, changes, absences, length_ms })
    }

    /// Agents in all.
    pub(super) fn agents(&self) -> usize {
        self.first.last().map_or(0, |end| *end as usize)
    }

    /// The changes of one replication, absences drawn.
    pub(super) fn changes(&self, streams: &Streams, mirrored: bool) -> Vec<(u64, Change)> {
        let mut changes = self.changes.clone();
        if self.absences.iter().all(Vec::is_empty) {
            return changes;
        }
        for (g, absences) in self.absences.iter().enumerate() {
            for agent in self.first[g]..self.first[g + 1] {
                let mut stream = Stream::new(streams.for_(Purpose::Shrinkage, u64::from(agent)), mirrored);
                for absence in absences {
                    self.absent(agent, absence, &mut stream, &mut changes);
                }
            }
        }
        changes.sort_by_key(|(at, _)| *at);
        changes
    }

    fn absent(&self, agent: u32, absence: &Absence, stream: &mut Stream, changes: &mut Vec<(u64, Change)>) {
        let Absence { share, spell } = absence;
        let Some(spell) = spell else {
            if stream.next_u01() < *share {
                changes.push((0, Change::Away { agent }));
            }
            return;
        };
        if *share <= 0.0 {
            return;
        }
        // Spells and the times between them alternate; their means are as the shares. It begins in a spell as often as it would
        // be met in one; the rest of that spell is drawn as a whole one.
        let mut away = stream.next_u01() < *share;
        let mut at = 0.0;
        let length = self.length_ms as f64;
        while at < length {
            let lasts = spell.sample(stream).max(1.0);
            if away {
                changes.push((whole_ms(at), Change::Away { agent }));
                changes.push((whole_ms(at + lasts), Change::Back { agent }));
                at += lasts;
            } else {
                at += lasts * standard_exponential(stream.next_u01()) * (1.0 - share) / share;
            }
            away = !away;
        }
    }
}

/// Adds the changes of a group; how many agents it has.
fn staff(g: u32, start: u32, group: &Group, changes: &mut Vec<(u64, Change)>) -> u32 {
    let staffing = &group.staffing;
    if let Some(agents) = staffing.agents {
        changes.push((0, Change::Staff { group: g, agents }));
        return agents;
    }
    if let (Some(counts), Some(grid)) = (&staffing.by_interval, staffing.grid) {
        let at = |i: usize| i as u64 * grid.whole_ms();
        changes.extend(counts.iter().enumerate().map(|(i, agents)| (at(i), Change::Staff { group: g, agents: *agents })));
        return counts.iter().copied().max().unwrap_or(0);
    }
    let mut next = start;
    for shift in &staffing.shift {
        for i in 0..shift.agents {
            work_shift(next, i, shift, changes);
            next += 1;
        }
    }
    next - start
}

fn work_shift(agent: u32, i: u32, shift: &Shift, changes: &mut Vec<(u64, Change)>) {
    let from = shift.from.whole_ms();
    let until = from + shift.lasts.whole_ms() - shift.hand_over.whole_ms();
    changes.push((from, Change::Comes { agent }));
    for pause in &shift.pauses {
        let moved = pause.stagger.whole_ms() * u64::from(i) / u64::from(shift.agents.max(1));
        let begins = from + pause.after.whole_ms() + moved;
        changes.push((begins, Change::Away { agent }));
        changes.push((begins + pause.lasts.whole_ms(), Change::Back { agent }));
    }
    changes.push((until, Change::Goes { agent }));
}
