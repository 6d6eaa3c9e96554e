//! The waiting room behind a full desk: everything that happens once all capacity is taken.
//!
//! With all capacity taken, contacts arrive at rate λ, are served at one full rate M and leave at rate θ each. Which system stands
//! in front of the room (a pool of agents, chats shared among them) enters by one number, the weight of the states with room
//! to spare relative to the first state without. Time is in units that the caller chooses; a [`Room`] knows no agents.
//!
//! Weights of the waiting states are a birth-death product, λ/(M+θ) · λ/(M+2θ) …, anchored at their largest and summed in
//! double-double, so that neither a long product nor a long sum costs digits. A contact that finds j others waiting is served
//! after a sum of exponentials of rates M, M+θ, … M+jθ; e^(−θ·that) is Beta(M/θ, j+1), so "longer than T" is a sum of
//! j+1 negative binomial terms, all positive. With θ = 0 the weights are geometric and waits exponential: closed forms.
//!
//! Sources: F. Baccelli, G. Hebuterne, "On queues with impatient customers", Performance '81, 159-179; A. Mandelbaum,
//! S. Zeltyn, "Service engineering in action: the Palm/Erlang-A queue", 2007. The Beta form of the sums is derived here.

use super::dd::{Dd, product};

/// Terms below this share of the sum are left out.
const NEGLIGIBLE: f64 = 1e-35;
/// Weights of states below capacity, relative to saturation, past which waiting is as good as impossible.
pub(crate) const WEIGHT_MAX: f64 = 1e285;
/// One step of the scale that keeps e^(−MT) in range: 2⁻⁶⁰⁰.
const SCALE_BITS: i64 = 600;
/// Beyond this place the sum of mean remaining waits is taken by Euler and Maclaurin's formula.
const SUMMED_PLACES: f64 = 1e5;
/// Expected departures up to which their number is followed from none.
const FEW_GONE: f64 = 1e4;

/// Rates once all capacity is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rates {
    pub arrivals: f64,
    /// Contacts served per unit of time by the whole desk.
    pub service: Dd,
    /// Of each waiting contact; 0 when nobody leaves.
    pub abandonment: f64,
}

/// A solved room. All probabilities are over all arriving contacts.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    rates: Rates,
    /// Probability of capacity to spare.
    spare: Dd,
    /// Probability that all capacity is taken: an arriving contact waits.
    full: Dd,
    /// First moment of the number waiting.
    waiting: Dd,
    /// With abandonment: probabilities of j waiting for j from `first`.
    places: Vec<Dd>,
    first: f64,
}

/// Shares of all arriving contacts at one time T.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct At {
    /// Still waiting after T.
    pub waits_longer: f64,
    /// Left the queue within T, served or not: the complement, without its cancellation.
    pub left_within: f64,
    /// Served within T.
    pub served_within: f64,
}

impl Room {
    /// Solves for `below`, the weight of all states with capacity to spare relative to the state that is just full. None when
    /// nobody leaves and more arrive than are served.
    pub fn solve(rates: Rates, below: Dd) -> Option<Self> {
        if rates.abandonment > 0.0 { Some(Self::with_abandonment(rates, below)) } else { Self::without(rates, below) }
    }

    fn without(rates: Rates, below: Dd) -> Option<Self> {
        let margin = rates.service - Dd::from(rates.arrivals);
        if margin.value() <= 0.0 {
            return None;
        }
        let above = rates.service / margin;
        let total = below + above;
        let full = above / total;
        let waiting = full * Dd::from(rates.arrivals) / margin;
        Some(Self { rates, spare: below / total, full, waiting, places: Vec::new(), first: 0.0 })
    }

    fn with_abandonment(rates: Rates, below: Dd) -> Self {
        let Rates { arrivals, service, abandonment } = rates;
        // The largest weight stands where arrivals equal departures.
        let mode = libm::fmax(0.0, libm::floor((arrivals - service.value()) / abandonment));
        let departures = |place: f64| service + product(place, abandonment);
        let arrivals = Dd::from(arrivals);
        let mut sum = Dd::ONE;
        let (mut down, mut place, mut weight) = (Vec::new(), mode, Dd::ONE);
        while place > 0.0 && weight.hi > NEGLIGIBLE * sum.hi {
            weight = weight * departures(place) / arrivals;
            place -= 1.0;
            sum = sum + weight;
            down.push(weight);
        }
        // A just-full state that is not even reached by the loop has no weight to speak of, and what lies below it neither.
        let just_full = if place > 0.0 { Dd::ZERO } else { weight };
        let first = place;
        let mut places: Vec<Dd> = down.into_iter().rev().chain([Dd::ONE]).collect();
        let (mut place, mut weight) = (mode, Dd::ONE);
        while weight.hi > NEGLIGIBLE * sum.hi {
            place += 1.0;
            weight = weight * arrivals / departures(place);
            sum = sum + weight;
            places.push(weight);
        }
        let below = just_full * below;
        let total = below + sum;
        let mut waiting = Dd::ZERO;
        for (at, weight) in places.iter_mut().enumerate() {
            *weight = *weight / total;
            waiting = waiting + *weight * Dd::from(first + at as f64);
        }
        Self { rates, spare: below / total, full: sum / total, waiting, places, first }
    }

    /// Probability that an arriving contact finds all capacity taken.
    pub fn full(&self) -> f64 {
        self.full.value()
    }

    /// Mean number waiting.
    pub fn waiting(&self) -> f64 {
        self.waiting.value()
    }

    /// Share of contacts that leave unserved.
    pub fn abandoned(&self) -> Dd {
        self.waiting * Dd::from(self.rates.abandonment) / Dd::from(self.rates.arrivals)
    }

    /// Mean wait over all contacts, whether served or not.
    pub fn mean_wait(&self) -> f64 {
        (self.waiting / Dd::from(self.rates.arrivals)).value()
    }

    /// Mean wait of the served, and of those who left: none when nobody leaves.
    pub fn mean_waits_by_end(&self) -> (f64, Option<f64>) {
        let Rates { arrivals, service, abandonment } = self.rates;
        let all = self.waiting / Dd::from(arrivals);
        if abandonment <= 0.0 {
            return (all.value(), None);
        }
        let mut served = Dd::ZERO;
        let mut remaining = self.remaining_before(self.first);
        for (at, weight) in self.places.iter().enumerate() {
            let rate = service + product(self.first + at as f64 + 1.0, abandonment);
            remaining = remaining + Dd::ONE / rate;
            served = served + *weight * (service / rate) * remaining;
        }
        let abandoned = self.abandoned();
        let of_abandoned = (abandoned.hi > 0.0).then(|| ((all - served) / abandoned).value());
        ((served / (Dd::ONE - abandoned)).value(), of_abandoned)
    }

    /// Σ 1/(M + iθ) for i = 1 … `place`.
    fn remaining_before(&self, place: f64) -> Dd {
        let Rates { service, abandonment, .. } = self.rates;
        let summed = libm::fmin(place, SUMMED_PLACES);
        let (mut sum, mut at) = (Dd::ZERO, 1.0);
        while at <= summed {
            sum = sum + Dd::ONE / (service + product(at, abandonment));
            at += 1.0;
        }
        if place > summed {
            // Euler-Maclaurin over (summed, place]; the next term is below 10⁻²⁰ of the sum.
            let (from, to) = ((service + product(summed, abandonment)).value(), (service + product(place, abandonment)).value());
            let integral = libm::log1p((place - summed) * abandonment / from) / abandonment;
            let ends = (1.0 / to - 1.0 / from) / 2.0;
            let slopes = abandonment / 12.0 * (1.0 / (from * from) - 1.0 / (to * to));
            sum = sum + Dd::from(integral + ends + slopes);
        }
        sum
    }

    /// Shares at time `t` ≥ 0.
    pub fn at(&self, t: f64) -> At {
        if self.rates.abandonment > 0.0 { self.at_with_abandonment(t) } else { self.at_without(t) }
    }

    fn at_without(&self, t: f64) -> At {
        let decay = (self.rates.service - Dd::from(self.rates.arrivals)).value() * t;
        let full = self.full.value();
        let within = self.spare.value() - full * libm::expm1(-decay);
        At { waits_longer: full * libm::exp(-decay), left_within: within, served_within: within }
    }

    fn at_with_abandonment(&self, t: f64) -> At {
        let Rates { service, abandonment, .. } = self.rates;
        let left_by_t = -product(-t, abandonment).expm1_any();
        let stays = Dd::ONE - left_by_t;
        let per_rate = left_by_t / Dd::from(abandonment);
        let Gone { mut at, mut weight, mut scale } = self.gone(t, stays, per_rate);
        let rescale = libm::ldexp(1.0, -(SCALE_BITS as i32));
        // Distribution functions of the number gone: as it is, and weighted with the waiting contact's own patience.
        let (mut not_served, mut not_served_staying) = (Dd::ZERO, Dd::ZERO);
        let (mut longer, mut served) = (Dd::ZERO, Dd::ZERO);
        if at > self.first {
            // So few ahead are all gone: whoever found them was served in time, if he stayed.
            let few = libm::fmin(at - self.first, self.places.len() as f64) as usize;
            for (ahead, place) in self.places[..few].iter().enumerate() {
                served = served + *place * service / (service + product(self.first + ahead as f64 + 1.0, abandonment));
            }
        }
        let mut certain = false;
        let last = self.first + self.places.len() as f64 - 1.0;
        while at <= last {
            let rate = service + product(at, abandonment);
            if !certain && scale == 0 {
                not_served = not_served + weight;
                not_served_staying = not_served_staying + weight * stays * rate / service;
                certain = weight.hi < NEGLIGIBLE && not_served.hi > 0.5;
            }
            if at >= self.first {
                let place = self.places[(at - self.first) as usize];
                longer = longer + place * not_served;
                let next = service + product(at + 1.0, abandonment);
                let in_time = Dd::ONE - not_served_staying;
                if in_time.hi > 0.0 {
                    served = served + place * service / next * in_time;
                }
            } else if certain {
                at = self.first - 1.0;
            }
            if !certain {
                weight = weight * rate * per_rate / Dd::from(at + 1.0);
                if scale > 0 && weight.hi >= 1.0 {
                    weight = weight.scaled(rescale);
                    scale -= 1;
                }
            }
            at += 1.0;
        }
        let within = self.spare + self.full * left_by_t + stays * (self.full - longer);
        At { waits_longer: (longer * stays).value(), left_within: within.value(), served_within: (self.spare + served).value() }
    }
}

/// Where the number of those gone within T begins to have weight.
struct Gone {
    at: f64,
    weight: Dd,
    /// The weight's factor 2⁻⁶⁰⁰, so many times.
    scale: i64,
}

impl Room {
    /// How many of the departures that a contact waits for have happened after T is negative binomial, with weight
    /// e^(−MT) at none and ratio (M+iθ)/(i+1) · (1−e^(−θT))/θ. Far from none it is anchored at its mode, and normalised.
    fn gone(&self, t: f64, stays: Dd, per_rate: Dd) -> Gone {
        let Rates { service, abandonment, .. } = self.rates;
        if (service.value() * t) < FEW_GONE || abandonment * t > 5.0 {
            let (mantissa, power) = (service * Dd::from(-t)).exp();
            let scale = if power < -SCALE_BITS { -power / SCALE_BITS } else { 0 };
            let weight = mantissa.scaled(libm::ldexp(1.0, (power + scale * SCALE_BITS) as i32));
            return Gone { at: 0.0, weight, scale };
        }
        let ratio = |at: f64| (service + product(at, abandonment)) * per_rate / Dd::from(at + 1.0);
        let mode = libm::floor((service * per_rate / stays).value());
        let (mut sum, mut at, mut weight) = (Dd::ONE, mode, Dd::ONE);
        while weight.hi > NEGLIGIBLE {
            weight = weight * ratio(at);
            at += 1.0;
            sum = sum + weight;
        }
        let (mut at, mut weight) = (mode, Dd::ONE);
        while weight.hi > NEGLIGIBLE && at > 0.0 {
            at -= 1.0;
            weight = weight / ratio(at);
            sum = sum + weight;
        }
        Gone { at, weight: weight / sum, scale: 0 }
    }
}

impl Dd {
    /// e^x − 1 for any x ≤ 0.
    fn expm1_any(self) -> Self {
        if self.hi > -1.0 {
            return self.expm1();
        }
        let (mantissa, power) = self.exp();
        let power = if power < -1_000 { -1_000 } else { power as i32 };
        mantissa.scaled(libm::ldexp(1.0, power)) - Self::ONE
    }
}
