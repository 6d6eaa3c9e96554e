//! Arrivals of one demand: a rate that is constant in pieces, and the moments that come of it.
//!
//! Moments are found through the cumulated rate: a sum of unit exponentials, carried over the pieces. So a piece's rate changes
//! the moments and no draw, thinning is never needed, and a piece of rate 0 costs one step. Recorded moments are given as they
//! are. A stream holds one moment ahead and nothing else: memory does not grow with the day.

use super::busyness::BusyDay;
use crate::kernel::Stream;
use crate::kernel::sample::{Uniform, standard_exponential};
use crate::scenario::Arrivals;

/// A rate by time, constant in pieces.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Intensity {
    /// (end of the piece in milliseconds, contacts a millisecond), ends rising; nothing comes after the last.
    pieces: Vec<(f64, f64)>,
}

impl Intensity {
    /// The rate of these arrivals on this day; without pieces for recorded ones.
    pub fn new(arrivals: &Arrivals, length_ms: f64, day: &BusyDay) -> Self {
        if arrivals.recorded.is_some() {
            return Self::default();
        }
        let mut ends = vec![length_ms];
        let mut cut = |at: f64| {
            if at > 0.0 && at < length_ms {
                ends.push(at);
            }
        };
        let grid = arrivals.grid.map_or(f64::INFINITY, |grid| grid.ms());
        let intervals = arrivals.contacts.as_ref().map_or(0, Vec::len);
        (1..intervals).for_each(|i| cut(i as f64 * grid));
        (1..day.factors.len()).for_each(|i| cut(i as f64 * day.every_ms));
        for phase in &arrivals.phase {
            cut(phase.from.ms());
            cut(phase.from.ms() + phase.lasts.ms());
        }
        ends.sort_by(f64::total_cmp);
        ends.dedup_by(|next, kept| *next - *kept < 1e-6);
        let mut from = 0.0;
        let pieces = ends.into_iter().map(|end| {
            let middle = 0.5 * (from + end);
            from = end;
            let base = match (&arrivals.contacts, arrivals.rate) {
                (Some(contacts), _) => contacts.get((middle / grid) as usize).map_or(0.0, |n| n / grid),
                (None, Some(rate)) => rate.in_a_second() / 1_000.0,
                (None, None) => 0.0,
            };
            let mut factor = day.at(middle);
            let mut more = 0.0;
            for phase in &arrivals.phase {
                if (phase.from.ms()..phase.from.ms() + phase.lasts.ms()).contains(&middle) {
                    factor *= phase.factor;
                    more += phase.contacts / phase.lasts.ms();
                }
            }
            (end, base * factor + more)
        });
        Self { pieces: pieces.collect() }
    }

    /// Expected contacts in all.
    pub fn expected(&self) -> f64 {
        let mut from = 0.0;
        self.pieces.iter().map(|(end, rate)| rate * (end - std::mem::replace(&mut from, *end))).sum()
    }
}

/// The moments of one demand in one replication, in milliseconds.
#[derive(Clone, Debug)]
pub struct ArrivalStream {
    intensity: Intensity,
    recorded: Vec<u64>,
    piece: usize,
    at_ms: f64,
    given: usize,
    stream: Stream,
}

impl ArrivalStream {
    /// A stream of moments; `recorded` ones instead of the intensity's where there are any.
    pub fn new(intensity: Intensity, recorded: Vec<u64>, stream: Stream) -> Self {
        Self { intensity, recorded, piece: 0, at_ms: 0.0, given: 0, stream }
    }

    /// The next moment, not before the last; `None` when nobody comes any more.
    #[inline]
    pub fn next_ms(&mut self) -> Option<u64> {
        if !self.recorded.is_empty() {
            let at = self.recorded.get(self.given).copied();
            self.given += 1;
            return at;
        }
        let mut ahead = standard_exponential(self.stream.next_u01());
        loop {
            let (end, rate) = *self.intensity.pieces.get(self.piece)?;
            let room = rate * (end - self.at_ms);
            if ahead < room {
                self.at_ms += ahead / rate;
                return Some(self.at_ms as u64);
            }
            ahead -= room;
            self.at_ms = end;
            self.piece += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Mrg32k3a;
    use crate::scenario::{Phase, Rate, Span};

    fn seconds(n: f64) -> Span {
        Span::from_seconds(n).expect("a span")
    }

    #[test]
    fn each_piece_gets_what_it_expects() {
        let phase = Phase { name: "rush".into(), from: seconds(90.0), lasts: seconds(30.0), factor: 3.0, contacts: 600.0 };
        let arrivals = Arrivals {
            contacts: Some(vec![600.0, 0.0, 1200.0]),
            grid: Some(seconds(60.0)),
            phase: vec![Phase { from: seconds(150.0), ..phase.clone() }, phase],
            ..Arrivals::default()
        };
        let intensity = Intensity::new(&arrivals, 180_000.0, &BusyDay::usual());
        // 600 + (an empty interval's rush of 600) + 600 + 3 x 600 + 600.
        assert!((intensity.expected() - 4_200.0).abs() < 1e-6, "{}", intensity.expected());
        let mut by_half_minute = [0_u32; 6];
        for day in 0..50 {
            let mut stream = ArrivalStream::new(intensity.clone(), Vec::new(), Stream::new(Mrg32k3a::from_seed(day), false));
            let mut last = 0;
            while let Some(at) = stream.next_ms() {
                assert!(at >= last, "moments do not fall");
                last = at;
                by_half_minute[(at / 30_000) as usize] += 1;
            }
        }
        for (found, expected) in by_half_minute.into_iter().zip([300.0, 300.0, 0.0, 600.0, 600.0, 2_400.0]) {
            let (found, expected) = (f64::from(found), 50.0 * expected);
            assert!((found - expected).abs() <= 5.0 * f64::sqrt(expected), "{found} for {expected}");
        }
    }

    #[test]
    fn recorded_moments_are_given_as_they_are() {
        let stream = Stream::new(Mrg32k3a::from_seed(1), false);
        let mut arrivals = ArrivalStream::new(Intensity::default(), vec![3, 3, 9], stream);
        assert_eq!(std::iter::from_fn(|| arrivals.next_ms()).collect::<Vec<_>>(), [3, 3, 9]);
    }

    #[test]
    fn a_rate_of_nothing_ends() {
        let arrivals = Arrivals { rate: Rate::per_second(0.0), ..Arrivals::default() };
        let intensity = Intensity::new(&arrivals, 1_000.0, &BusyDay::usual());
        let mut stream = ArrivalStream::new(intensity, Vec::new(), Stream::new(Mrg32k3a::from_seed(1), false));
        assert_eq!(stream.next_ms(), None);
    }
}
