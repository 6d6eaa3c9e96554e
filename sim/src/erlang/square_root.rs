//! Square-root staffing: load + β √load, and the probability of waiting that β buys.
//!
//! With many agents the probability of waiting depends on the size of the pool only through β (Halfin and Whitt without
//! abandonment, Garnett, Mandelbaum and Reiman with it). The rule explains a number, and starts a search; the exact formulas
//! decide. It is an approximation: off by about 1/√load, which the tests measure.
//!
//! Sources: S. Halfin, W. Whitt, Operations Research 29 (1981) 567-588; O. Garnett, A. Mandelbaum, M. Reiman, Manufacturing &
//! Service Operations Management 4 (2002) 208-227.

use super::demand::{Demand, ErlangError, Patience, share};
use super::waiting::abandonment_rate;

/// β is looked for within ± this.
const BETA_MAX: f64 = 30.0;

/// Density of the standard normal law over its upper tail: the hazard rate. For x below −30 it is as good as 0.
fn hazard(x: f64) -> f64 {
    if x > 25.0 {
        // The continued fraction of Mills' ratio, four levels: relative error below 10⁻⁷ from here on, and vanishing.
        return x + 1.0 / (x + 2.0 / (x + 3.0 / (x + 4.0 / x)));
    }
    let density = libm::exp(-x * x / 2.0) / libm::sqrt(2.0 * std::f64::consts::PI);
    density / (libm::erfc(x / std::f64::consts::SQRT_2) / 2.0)
}

/// Probability of waiting with load + β √load agents, when each waiting contact leaves `abandonment` times in a handle time
/// (0: never, and then β must be positive, else everybody waits).
pub fn wait_by_beta(beta: f64, abandonment: f64) -> f64 {
    if abandonment <= 0.0 {
        if beta <= 0.0 {
            return 1.0;
        }
        return 1.0 / (1.0 + beta / hazard(-beta));
    }
    let root = libm::sqrt(abandonment);
    // (1 + √(θ/μ) h(β √(μ/θ)) / h(−β))⁻¹
    1.0 / (1.0 + root * hazard(beta / root) / hazard(-beta))
}

/// The β with which a share `p_wait` of contacts waits.
///
/// # Errors
/// [`ErlangError`] unless 0 < `p_wait` < 1 and the patience is in range.
pub fn beta_for(p_wait: f64, demand: Demand, patience: Patience) -> Result<f64, ErlangError> {
    share("target probability of waiting", p_wait)?;
    let abandonment = abandonment_rate(patience, demand.handle_time())?;
    let (mut low, mut high) = (if abandonment > 0.0 { -BETA_MAX } else { 0.0 }, BETA_MAX);
    // The probability falls in β; 80 halvings are past what doubles tell apart.
    for _ in 0..80 {
        let middle = (low + high) / 2.0;
        if wait_by_beta(middle, abandonment) > p_wait { low = middle } else { high = middle }
    }
    Ok(high)
}

/// Agents by the square-root rule for a probability of waiting: load + β √load, not rounded.
///
/// # Errors
/// As [`beta_for`].
///
/// ```
/// use tidegate_sim::erlang::{Demand, Patience, square_root_agents};
///
/// let agents = square_root_agents(0.5, Demand::new(100.0, 1.0)?, Patience::Endless)?;
/// assert!((agents - 105.06).abs() < 0.01);
/// # Ok::<(), tidegate_sim::erlang::ErlangError>(())
/// ```
pub fn square_root_agents(p_wait: f64, demand: Demand, patience: Patience) -> Result<f64, ErlangError> {
    let beta = beta_for(p_wait, demand, patience)?;
    Ok(libm::fmax(0.0, demand.load() + beta * libm::sqrt(demand.load())))
}
