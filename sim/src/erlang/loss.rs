//! Erlang B: what share of contacts finds every agent taken when nobody can wait.
//!
//! The recursion is run on the inverse, 1/B(s) = 1 + (s/a)/B(s−1), unrolled as a sum of falling products that stops as soon as
//! its terms no longer count: O(min(s, what counts)), every term positive, in double-double. For a fraction of an agent the
//! sum ends at 1/B(f, a), 0 < f < 1, the incomplete gamma function by its continued fraction or series.
//!
//! Sources: A. K. Erlang 1917; D. L. Jagerman, "Some properties of the Erlang loss function", Bell Syst. Tech. J. 53 (1974)
//! 525-551 (continuous extension); W. Gautschi, "A computational procedure for incomplete gamma functions" (1979).

use super::dd::Dd;
use super::demand::{Agents, Demand};
use super::room::WEIGHT_MAX;

/// Probability that all agents are taken, in M/G/s/s; 0 when it is below 10⁻²⁸⁵.
///
/// ```
/// use tidegate_sim::erlang::{Agents, Demand, blocking};
///
/// let blocked = blocking(Agents::new(3.0)?, Demand::new(2.0, 1.0)?);
/// assert!((blocked - 4.0 / 19.0).abs() < 1e-16);
/// # Ok::<(), tidegate_sim::erlang::ErlangError>(())
/// ```
pub fn blocking(agents: Agents, demand: Demand) -> f64 {
    let inverse = inverse_blocking(agents.count(), demand.load());
    if inverse.hi < WEIGHT_MAX { (Dd::ONE / inverse).value() } else { 0.0 }
}

/// 1/B; [`WEIGHT_MAX`] when it is larger.
pub(crate) fn inverse_blocking(agents: f64, load: f64) -> Dd {
    let whole = libm::floor(agents);
    let fraction = agents - whole;
    let load_dd = Dd::from(load);
    let (mut sum, mut term, mut taken) = (Dd::ZERO, Dd::ONE, 0.0);
    while taken < whole {
        sum = sum + term;
        if sum.hi > WEIGHT_MAX {
            return Dd::from(WEIGHT_MAX);
        }
        let left = agents - taken;
        // Only once the terms fall may they be dropped.
        if left < load && term.hi < 1e-36 * sum.hi * (1.0 - left / load) {
            return sum;
        }
        term = term * Dd::from(left) / load_dd;
        taken += 1.0;
    }
    let end = if fraction > 0.0 { Dd::from(inverse_of_fraction(fraction, load)) } else { Dd::ONE };
    let all = sum + term * end;
    if all.hi > WEIGHT_MAX { Dd::from(WEIGHT_MAX) } else { all }
}

/// 1/B(f, a) = e^a a^(−f) Γ(1+f, a) for 0 < f < 1, to about 10⁻¹⁵.
fn inverse_of_fraction(f: f64, a: f64) -> f64 {
    if a < 1.0 {
        // Γ(1+f, a) = Γ(1+f) − γ(1+f, a), the latter by its series of positive terms.
        let (mut term, mut sum, mut n) = (1.0 / (1.0 + f), 1.0 / (1.0 + f), 1.0);
        while term > 1e-17 * sum {
            term *= a / (1.0 + f + n);
            sum += term;
            n += 1.0;
        }
        return libm::exp(a) * libm::pow(a, -f) * libm::tgamma(1.0 + f) - a * sum;
    }
    // One step of the recursion down to f − 1 < 0, where Legendre's continued fraction has positive terms only.
    // Evaluated by Lentz's method.
    let mut b = a + 1.0 - f;
    let mut c = 1e300;
    let mut d = 1.0 / b;
    let mut fraction = d;
    let mut k = 1.0;
    while k < 10_000.0 {
        let numerator = -k * (k - f);
        b += 2.0;
        d = 1.0 / (numerator * d + b);
        c = b + numerator / c;
        let step = d * c;
        fraction *= step;
        if libm::fabs(step - 1.0) < 1e-16 {
            break;
        }
        k += 1.0;
    }
    1.0 + f * fraction
}
