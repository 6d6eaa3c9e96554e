//! How much slower each of several contacts goes that an agent has at once: the slow-down curve, from start and end times alone.
//!
//! The model: a contact needs an amount of work of unknown distribution; with k contacts at once each proceeds at rate r(k),
//! r(1) = 1. Contacts of an agent share the levels through which they pass, so every contact is a row of (level, time) segments.
//! The hazard of finishing, as a function of work done, is a step function h over bins: given r, it is finishes over work done in
//! each bin. The right r is the one under which as many contacts finish at each level as that hazard predicts there, one equation
//! a level, solved by Newton's method. No family of distributions is assumed, so that long contacts (which live through more
//! levels) bias nothing. It is the accelerated-failure-time model with a time-varying covariate (Robins & Tsiatis 1992,
//! Biometrika 79), made discrete. Intervals: a jackknife over `GROUPS` groups of agent-days, one step of Newton's each.
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
const BINS: usize = 40;
/// Turns of the solver, the first of them careful ones.
const TURNS: usize = 14;
const WARM: usize = 4;
/// By how much a rate's logarithm is moved for a difference: finishes fall into whole bins, so not by little.
const DIFFERENCE: f64 = 0.04;

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

    /// The curve; `None` when contacts came one at a time. O(levels · segments).
    pub fn fit(&self) -> Option<SlowDown> {
        if self.ends.is_empty() || self.shared() < MIN_SHARED {
            return None;
        }
        let known = self.known();
        let solved = self.solve(&known);
        let parts = solved.groups(&known);
        let total = self.shared_ms + self.alone_ms;
        let levels = known
            .levels
            .iter()
            .enumerate()
            .map(|(place, &at)| {
                let value = 1.0 / solved.rates[at];
                // The unit's rate is 1 by definition; the others' parts stand in the order of the levels after it.
                let error = place.checked_sub(1).map_or(0.0, |free| {
                    let squares: f64 = parts.iter().map(|part| part[free] * part[free]).sum();
                    (squares * (GROUPS - 1) as f64 / GROUPS as f64).sqrt()
                });
                // Student's quantile with 19 degrees of freedom.
                let width = libm::exp(2.093_024 * error);
                let slower = Estimate { value, ci95: [value / width, value * width], n: known.finishes[at] };
                LevelRate { level: at + 1, slower, finishes: known.finishes[at], share: known.time[at] / total }
            })
            .collect();
        Some(SlowDown { contacts: self.ends.len() as u64, left_out: self.left_out, shared: self.shared(), levels })
    }

    /// Each contact's work in milliseconds under a curve, with its tag.
    pub fn work<'a>(&'a self, curve: &'a SlowDown) -> impl Iterator<Item = (u32, u64)> + 'a {
        let mut rates = [1.0; MAX_LEVEL];
        let mut last = 1.0;
        for (at, rate) in rates.iter_mut().enumerate() {
            if let Some(level) = curve.levels.iter().find(|level| level.level == at + 1) {
                last = 1.0 / level.slower.value;
            }
            *rate = last;
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

    /// Finishes and time by level, and the levels whose rate is told: the first is the unit.
    fn known(&self) -> Known {
        let mut finishes = [0_u64; MAX_LEVEL];
        let mut time = [0.0; MAX_LEVEL];
        for (segments, ..) in self.trails() {
            if let Some((level, _)) = segments.last() {
                finishes[usize::from(*level) - 1] += 1;
            }
            for (level, ms) in segments {
                time[usize::from(*level) - 1] += f64::from(*ms);
            }
        }
        let levels = (0..MAX_LEVEL).filter(|at| finishes[*at] >= MIN_FINISHES).collect();
        Known { levels, finishes, time }
    }

    /// Newton's method on the score of the logarithms of the rates, its matrix by differences.
    fn solve(&self, known: &Known) -> Solution {
        let free = known.levels.get(1..).unwrap_or_default();
        let mut rates = [1.0; MAX_LEVEL];
        let mut matrix = vec![vec![0.0; free.len()]; free.len()];
        let mut edges = self.edges(&rates);
        for turn in 0..TURNS {
            let here = self.score(known, &rates, &edges).of(None, &rates, known);
            if turn < WARM {
                // A fixed point of the same equations, slow near its end and safe far from it.
                for (place, at) in free.iter().enumerate() {
                    let expected = known.finishes[*at] as f64 - here[place];
                    rates[*at] *= known.finishes[*at] as f64 / expected.max(1.0);
                }
                fill(&mut rates, known);
                edges = self.edges(&rates);
                continue;
            }
            for (column, at) in free.iter().enumerate() {
                let mut moved = rates;
                moved[*at] *= libm::exp(DIFFERENCE);
                let there = self.score(known, &moved, &edges).of(None, &moved, known);
                for (row, (there, here)) in there.iter().zip(&here).enumerate() {
                    matrix[row][column] = (there - here) / DIFFERENCE;
                }
            }
            let Some(step) = solved(&matrix, &here) else { break };
            let largest = step.iter().map(|step| step.abs()).fold(0.0, f64::max);
            for (at, step) in free.iter().zip(&step) {
                rates[*at] *= libm::exp(-step.clamp(-0.3, 0.3));
            }
            fill(&mut rates, known);
            if largest < 1e-4 {
                break;
            }
            if turn < WARM + 2 {
                edges = self.edges(&rates);
            }
        }
        Solution { rates, matrix, score: self.score(known, &rates, &edges) }
    }

    /// One pass: finishes by bin and level, time by bin and level, of each group.
    fn score(&self, known: &Known, rates: &[f64; MAX_LEVEL], edges: &[f64]) -> Score {
        let width = known.levels.last().map_or(1, |at| at + 1);
        let mut score = Score {
            width,
            done: vec![vec![0.0; BINS]; GROUPS],
            met: vec![vec![0.0; BINS * width]; GROUPS],
            finishes: vec![vec![0.0; width]; GROUPS],
        };
        for (segments, group, _) in self.trails() {
            let group = usize::from(group);
            let (done, met) = (&mut score.done[group], &mut score.met[group]);
            let (mut work, mut bin) = (0.0, 0);
            for (level, ms) in segments {
                let at = (usize::from(*level) - 1).min(width - 1);
                let rate = rates[at];
                let mut left = f64::from(*ms) * rate;
                while left > 0.0 {
                    let room = if bin + 1 < BINS { edges[bin] - work } else { f64::INFINITY };
                    if room <= 0.0 {
                        bin += 1;
                        continue;
                    }
                    let step = left.min(room);
                    met[bin * width + at] += step / rate;
                    work += step;
                    left -= step;
                }
            }
            if let Some((level, _)) = segments.last() {
                done[bin] += 1.0;
                score.finishes[group][(usize::from(*level) - 1).min(width - 1)] += 1.0;
            }
        }
        score
    }

    /// Upper edges of the bins: quantiles of work under these rates, from every so many contacts.
    fn edges(&self, rates: &[f64; MAX_LEVEL]) -> Vec<f64> {
        let every = (self.ends.len() / 20_000).max(1);
        let mut works: Vec<f64> = self
            .trails()
            .step_by(every)
            .map(|(segments, ..)| segments.iter().map(|(level, ms)| rates[usize::from(*level) - 1] * f64::from(*ms)).sum())
            .collect();
        works.sort_by(f64::total_cmp);
        (1..BINS).map(|bin| works.get(works.len() * bin / BINS).copied().unwrap_or(f64::MAX)).collect()
    }
}

struct Known {
    levels: Vec<usize>,
    finishes: [u64; MAX_LEVEL],
    time: [f64; MAX_LEVEL],
}

struct Solution {
    rates: [f64; MAX_LEVEL],
    /// Derivative of the score by the logarithms of the free rates.
    matrix: Vec<Vec<f64>>,
    score: Score,
}

/// Sums of one pass, by group.
struct Score {
    width: usize,
    done: Vec<Vec<f64>>,
    met: Vec<Vec<f64>>,
    finishes: Vec<Vec<f64>>,
}

impl Score {
    /// Finishes at each free level less those that the hazard predicts, of all groups but one.
    fn of(&self, without: Option<usize>, rates: &[f64; MAX_LEVEL], known: &Known) -> Vec<f64> {
        let groups = || (0..GROUPS).filter(|group| Some(*group) != without);
        let free = known.levels.get(1..).unwrap_or_default();
        let mut score: Vec<f64> = free.iter().map(|at| groups().map(|group| self.finishes[group][*at]).sum()).collect();
        for bin in 0..BINS {
            let done: f64 = groups().map(|group| self.done[group][bin]).sum();
            let time = |at: usize| groups().map(|group| self.met[group][bin * self.width + at]).sum::<f64>();
            let work: f64 = (0..self.width).map(|at| time(at) * rates[at]).sum();
            if work > 0.0 {
                for (score, at) in score.iter_mut().zip(free) {
                    *score -= done / work * time(*at) * rates[*at];
                }
            }
        }
        score
    }
}

impl Solution {
    /// By how much the logarithms of the free rates move when each group is left out: one step of Newton's from the solution.
    fn groups(&self, known: &Known) -> Vec<Vec<f64>> {
        let share = (GROUPS - 1) as f64 / GROUPS as f64;
        let scaled: Vec<Vec<f64>> = self.matrix.iter().map(|row| row.iter().map(|x| x * share).collect()).collect();
        (0..GROUPS).filter_map(|group| solved(&scaled, &self.score.of(Some(group), &self.rates, known))).collect()
    }
}

/// Levels between and beyond those that are told go as the one below.
fn fill(rates: &mut [f64; MAX_LEVEL], known: &Known) {
    for at in 1..MAX_LEVEL {
        if !known.levels.contains(&at) {
            rates[at] = rates[at - 1];
        }
    }
}

/// Solves a small system by elimination with pivots; `None` when it has no one solution.
fn solved(matrix: &[Vec<f64>], right: &[f64]) -> Option<Vec<f64>> {
    let n = right.len();
    let mut rows: Vec<Vec<f64>> =
        matrix.iter().zip(right).map(|(row, right)| row.iter().copied().chain([*right]).collect()).collect();
    for column in 0..n {
        let pivot = (column..n).max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()))?;
        if rows[pivot][column].abs() < 1e-12 {
            return None;
        }
        rows.swap(column, pivot);
        let by = rows[column].clone();
        for row in rows.iter_mut().enumerate().filter(|(place, _)| *place != column).map(|(_, row)| row) {
            let factor = row[column] / by[column];
            for (cell, taken) in row.iter_mut().zip(&by).skip(column) {
                *cell -= factor * taken;
            }
        }
    }
    Some((0..n).map(|at| rows[at][n] / rows[at][at]).collect())
}
