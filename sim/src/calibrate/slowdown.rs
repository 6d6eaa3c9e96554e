//! How much slower each of several contacts goes that an agent has at once: the slow-down curve, from start and end times alone.
//!
//! The model: a contact needs an amount of work of unknown distribution; with k contacts at once each proceeds at rate r(k),
//! r(1) = 1. Contacts of an agent share the levels through which they pass, so every contact is a row of (level, time) segments.
//! The hazard of finishing, as a function of work done, is a step function h over bins; then the likelihood of everything is that
//! of a piecewise exponential model, and its maximum is found by turns: given r, h is finishes over work done in each bin;
//! given h, r(k) is finishes at level k over the hazard met there. No family of distributions is assumed, so that long contacts
//! (which live through more levels) bias nothing. It is the accelerated-failure-time model with a time-varying covariate (Robins
//! & Tsiatis 1992, Biometrika 79), made discrete. Intervals: a jackknife over [`GROUPS`] groups of agent-days.
//!
//! It refuses to know messages: with their times the curve could be had from fewer contacts.

use super::contact::Service;
use super::stats::Estimate;
use serde::Serialize;

/// Levels that are told apart; more at once count as this many.
pub const MAX_LEVEL: usize = 25;
/// Contacts that are kept for the curve; later ones are left out, and said to be.
pub const MAX_KEPT: usize = 400_000;
/// Finishes at a level without which its rate is not told.
pub const MIN_FINISHES: u64 = 50;
/// Share of served time at two or more at once below which the record is taken for one contact at a time.
pub const MIN_SHARED: f64 = 0.05;
const GROUPS: usize = 20;
const BINS: usize = 60;
const TURNS: usize = 200;

/// Contacts as segments.
#[derive(Clone, Debug, Default)]
pub struct Trails {
    /// Level and milliseconds, contact after contact.
    segments: Vec<(u8, u32)>,
    /// Where each contact's segments end, its group, and the tag that came with it.
    ends: Vec<(usize, u8, u32)>,
    blocks: u64,
    /// Milliseconds of contacts alone and in company.
    alone_ms: f64,
    shared_ms: f64,
    left_out: u64,
}

/// The fitted curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SlowDown {
    /// Contacts used.
    pub contacts: u64,
    /// Contacts past [`MAX_KEPT`], left out.
    pub left_out: u64,
    /// Share of served time with two or more at once.
    pub shared: f64,
    /// Level by level from 1.
    pub levels: Vec<LevelRate>,
}

/// One level of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LevelRate {
    /// Contacts at once.
    pub level: usize,
    /// By how much longer a contact takes than alone.
    pub slower: Estimate,
    /// Contacts that finished there.
    pub finishes: u64,
    /// Share of served time spent there.
    pub share: f64,
}

impl Trails {
    /// Adds one agent's day of contacts, each with a tag that comes back with its work.
    pub fn add(&mut self, services: &[(Service, u32)]) {
        let mut edges: Vec<i64> = services.iter().flat_map(|(service, _)| [service.from.0, service.until.0]).collect();
        edges.sort_unstable();
        edges.dedup();
        // Contacts present between two neighbouring edges.
        let mut levels = vec![0_u32; edges.len()];
        let place = |at: i64| edges.partition_point(|edge| *edge < at);
        for (service, _) in services {
            for level in &mut levels[place(service.from.0)..place(service.until.0)] {
                *level += 1;
            }
        }
        let group = (self.blocks % GROUPS as u64) as u8;
        self.blocks += 1;
        for (service, tag) in services {
            if self.ends.len() == MAX_KEPT {
                self.left_out += 1;
                continue;
            }
            let within = place(service.from.0)..place(service.until.0);
            for at in within {
                let ms = edges[at + 1] - edges[at];
                let level = (levels[at] as usize).min(MAX_LEVEL) as u8;
                if level > 1 {
                    self.shared_ms += ms as f64;
                } else {
                    self.alone_ms += ms as f64;
                }
                let first = self.ends.last().map_or(0, |(end, ..)| *end);
                match self.segments[first..].last_mut() {
                    Some((last, length)) if *last == level => *length = length.saturating_add(ms as u32),
                    _ => self.segments.push((level, u32::try_from(ms).unwrap_or(u32::MAX))),
                }
            }
            self.ends.push((self.segments.len(), group, *tag));
        }
    }

    /// Share of served time with two or more at once.
    pub fn shared(&self) -> f64 {
        self.shared_ms / (self.shared_ms + self.alone_ms).max(1.0)
    }

    /// The curve; `None` when contacts came one at a time. O(turns · segments · groups).
    pub fn fit(&self) -> Option<SlowDown> {
        if self.ends.is_empty() || self.shared() < MIN_SHARED {
            return None;
        }
        let whole = self.rates(None, [1.0; MAX_LEVEL]);
        let parts: Vec<Solution> = (0..GROUPS).map(|group| self.rates(Some(group as u8), whole.rates)).collect();
        let total = self.shared_ms + self.alone_ms;
        let levels = (0..MAX_LEVEL)
            .filter(|at| whole.finishes[*at] >= MIN_FINISHES)
            .map(|at| {
                let value = 1.0 / whole.rates[at];
                let logs: Vec<f64> = parts.iter().map(|part| libm::log(1.0 / part.rates[at])).collect();
                let mean = logs.iter().sum::<f64>() / GROUPS as f64;
                let squares: f64 = logs.iter().map(|log| (log - mean) * (log - mean)).sum();
                let error = (squares * (GROUPS - 1) as f64 / GROUPS as f64).sqrt();
                // Student's quantile with 19 degrees of freedom.
                let width = libm::exp(2.093_024 * error);
                let slower = Estimate { value, ci95: [value / width, value * width], n: whole.finishes[at] };
                LevelRate { level: at + 1, slower, finishes: whole.finishes[at], share: whole.time[at] / total }
            })
            .collect();
        Some(SlowDown { contacts: self.ends.len() as u64, left_out: self.left_out, shared: self.shared(), levels })
    }

    /// Each contact's work in milliseconds under a curve, with its tag.
    pub fn work<'a>(&'a self, curve: &'a SlowDown) -> impl Iterator<Item = (u32, u64)> + 'a {
        let mut rates = [1.0; MAX_LEVEL];
        let mut last = 1.0;
        for at in 0..MAX_LEVEL {
            if let Some(level) = curve.levels.iter().find(|level| level.level == at + 1) {
                last = 1.0 / level.slower.value;
            }
            rates[at] = last;
        }
        self.trails().map(move |(segments, _, tag)| {
            let work: f64 = segments.iter().map(|(level, ms)| rates[usize::from(*level) - 1] * f64::from(*ms)).sum();
            (tag, (work as u64).max(1))
        })
    }

    fn trails(&self) -> impl Iterator<Item = (&[(u8, u32)], u8, u32)> {
        let begins = std::iter::once(0).chain(self.ends.iter().map(|(end, ..)| *end));
        begins.zip(&self.ends).map(|(begin, (end, group, tag))| (&self.segments[begin..*end], *group, *tag))
    }

    fn rates(&self, without: Option<u8>, start: [f64; MAX_LEVEL]) -> Solution {
        let used = || self.trails().filter(|(segments, group, _)| Some(*group) != without && !segments.is_empty());
        let mut rates = start;
        let mut finishes = [0_u64; MAX_LEVEL];
        let mut time = [0.0; MAX_LEVEL];
        for (segments, ..) in used() {
            if let Some((level, _)) = segments.last() {
                finishes[usize::from(*level) - 1] += 1;
            }
            for (level, ms) in segments {
                time[usize::from(*level) - 1] += f64::from(*ms);
            }
        }
        for _ in 0..TURNS {
            let edges = self.edges(&rates, without);
            // Finishes by bin; time (not work) by bin and level.
            let mut done = vec![0.0; BINS];
            let mut met = vec![[0.0; MAX_LEVEL]; BINS];
            for (segments, ..) in used() {
                let (mut work, mut bin) = (0.0, 0);
                for (level, ms) in segments {
                    let at = usize::from(*level) - 1;
                    let mut left = f64::from(*ms) * rates[at];
                    while left > 0.0 {
                        let room = if bin + 1 < BINS { edges[bin] - work } else { f64::INFINITY };
                        if room <= 0.0 {
                            bin += 1;
                            continue;
                        }
                        let step = left.min(room);
                        met[bin][at] += step / rates[at];
                        work += step;
                        left -= step;
                    }
                }
                done[bin] += 1.0;
            }
            let hazard: Vec<f64> = met
                .iter()
                .zip(&done)
                .map(|(met, done)| {
                    let work: f64 = met.iter().zip(&rates).map(|(time, rate)| time * rate).sum();
                    if work > 0.0 { done / work } else { 0.0 }
                })
                .collect();
            let mut next = rates;
            for at in 0..MAX_LEVEL {
                let faced: f64 = met.iter().zip(&hazard).map(|(met, hazard)| met[at] * hazard).sum();
                if finishes[at] > 0 && faced > 0.0 {
                    next[at] = finishes[at] as f64 / faced;
                }
            }
            // Alone is the measure; where nobody was ever alone, the least level is.
            let unit = (0..MAX_LEVEL).find(|at| finishes[*at] >= MIN_FINISHES).map_or(1.0, |at| next[at]);
            for rate in &mut next {
                *rate /= unit;
            }
            let moved = next.iter().zip(&rates).zip(&finishes).filter(|(_, n)| **n >= MIN_FINISHES);
            let moved = moved.map(|((next, rate), _)| (next / rate - 1.0).abs()).fold(0.0, f64::max);
            rates = next;
            if moved < 1e-6 {
                break;
            }
        }
        Solution { rates, finishes, time }
    }

    /// Upper edges of the bins: quantiles of work under these rates, from every so many contacts.
    fn edges(&self, rates: &[f64; MAX_LEVEL], without: Option<u8>) -> Vec<f64> {
        let every = (self.ends.len() / 20_000).max(1);
        let mut works: Vec<f64> = self
            .trails()
            .step_by(every)
            .filter(|(_, group, _)| Some(*group) != without)
            .map(|(segments, ..)| segments.iter().map(|(level, ms)| rates[usize::from(*level) - 1] * f64::from(*ms)).sum())
            .collect();
        works.sort_by(f64::total_cmp);
        (1..BINS).map(|bin| works.get(works.len() * bin / BINS).copied().unwrap_or(f64::MAX)).collect()
    }
}

struct Solution {
    rates: [f64; MAX_LEVEL],
    finishes: [u64; MAX_LEVEL],
    time: [f64; MAX_LEVEL],
}
