//! Student's t and the binomial: distribution functions and quantiles, through the incomplete beta function.
//!
//! The quantile starts from Hill's expansion and is then driven to the distribution function's own precision by Newton
//! steps inside a bracket, so its accuracy is the function's and not the expansion's. Degrees of freedom may be fractional (Welch).
//! Nothing here knows samples.
//!
//! Sources: G. W. Hill, Algorithm 396, CACM 13 (1970) 619-620; continued fraction of the incomplete beta function, DLMF 8.17.22,
//! evaluated by Lentz's method. Checked against mpmath.

use crate::kernel::sample::normal_quantile;

/// Degrees of freedom past which t is taken for normal: the difference is below 10⁻⁹.
const NORMAL_FROM: f64 = 1e10;

/// The regularised incomplete beta function I_x(a, b), for a, b > 0 and x from 0 to 1. Absolute error below 10⁻¹² for a, b up to 10³, 10⁻⁹ up to
/// 10⁶.
pub fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    beta_of_both(a, b, x, 1.0 - x)
}

/// The same with x and y = 1 − x, so that neither is lost beside the other.
fn beta_of_both(a: f64, b: f64, x: f64, y: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if y <= 0.0 {
        return 1.0;
    }
    let log = |one: f64, other: f64| if one > 0.5 { libm::log1p(-other) } else { libm::log(one) };
    let front = libm::exp(a * log(x, y) + b * log(y, x) - log_beta(a, b));
    // The continued fraction converges fast on this side of the mean.
    if x < (a + 1.0) / (a + b + 2.0) { front * fraction(a, b, x) / a } else { 1.0 - front * fraction(b, a, y) / b }
}

/// ln B(a, b), without the cancellation of three large logarithms where one argument is large.
fn log_beta(a: f64, b: f64) -> f64 {
    let (small, large) = (libm::fmin(a, b), libm::fmax(a, b));
    libm::lgamma(small) - log_gamma_step(large, small)
}

/// ln Γ(x + step) − ln Γ(x), by Stirling's series where it holds.
fn log_gamma_step(x: f64, step: f64) -> f64 {
    if x < 20.0 {
        return libm::lgamma(x + step) - libm::lgamma(x);
    }
    let rest = |x: f64| {
        let square = 1.0 / (x * x);
        (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1_260.0 - square * (1.0 / 1_680.0 - square / 1_188.0)))) / x
    };
    (x - 0.5) * libm::log1p(step / x) + step * (libm::log(x + step) - 1.0) + rest(x + step) - rest(x)
}

fn fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let off_zero = |value: f64| if libm::fabs(value) < TINY { TINY } else { value };
    let (mut c, mut d) = (1.0, 1.0 / off_zero(1.0 - (a + b) * x / (a + 1.0)));
    let mut value = d;
    let mut m = 1.0;
    while m < 100_000.0 {
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / off_zero(1.0 + even * d);
        c = off_zero(1.0 + even / c);
        value *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / off_zero(1.0 + odd * d);
        c = off_zero(1.0 + odd / c);
        let step = d * c;
        value *= step;
        if libm::fabs(step - 1.0) < 1e-16 {
            break;
        }
        m += 1.0;
    }
    value
}

/// P(T > t) for t ≥ 0 with `freedom` degrees of freedom.
fn upper_tail(t: f64, freedom: f64) -> f64 {
    if freedom >= NORMAL_FROM {
        return libm::erfc(t / std::f64::consts::SQRT_2) / 2.0;
    }
    let whole = freedom + t * t;
    beta_of_both(freedom / 2.0, 0.5, freedom / whole, t * t / whole) / 2.0
}

/// P(T ≤ t) with `freedom` > 0 degrees of freedom.
pub fn t_distribution(t: f64, freedom: f64) -> f64 {
    if t >= 0.0 { 1.0 - upper_tail(t, freedom) } else { upper_tail(-t, freedom) }
}

/// The t below which a share `p` lies, 0 < p < 1, with `freedom` > 0 degrees of freedom; infinite at the ends.
///
/// ```
/// let t = tidegate_sim::output::student::t_quantile(0.975, 9.0);
/// assert!((t - 2.262_157_162_798_205).abs() < 1e-12);
/// ```
pub fn t_quantile(p: f64, freedom: f64) -> f64 {
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if p >= 1.0 {
        return f64::INFINITY;
    }
    let tail = libm::fmin(p, 1.0 - p);
    if tail >= 0.5 {
        return 0.0;
    }
    let mut t = hill(tail, freedom);
    let (mut low, mut high) = (0.0, f64::INFINITY);
    let log_density = log_gamma_step(freedom / 2.0, 0.5) - libm::log(freedom * std::f64::consts::PI) / 2.0;
    for _ in 0..100 {
        let off = upper_tail(t, freedom) - tail;
        if off > 0.0 {
            low = t
        } else {
            high = t
        }
        let density = libm::exp(log_density - (freedom + 1.0) / 2.0 * libm::log1p(t * t / freedom));
        let newton = t + off / density;
        let inside = newton > low && newton < high;
        let next = if inside {
            newton
        } else if high.is_finite() {
            (low + high) / 2.0
        } else {
            2.0 * t + 1.0
        };
        let settled = libm::fabs(next - t) <= 1e-14 * libm::fabs(t);
        t = next;
        if settled {
            break;
        }
    }
    if p < 0.5 { -t } else { t }
}

/// Hill's expansion of the upper quantile: a start, good to a few digits from three degrees of freedom on.
fn hill(tail: f64, n: f64) -> f64 {
    let p = 2.0 * tail;
    if n <= 2.0 {
        // Between the closed forms of one and two degrees of freedom, and safely near.
        return libm::sqrt(libm::fmax(0.0, 2.0 / (p * (2.0 - p)) - 2.0));
    }
    let a = 1.0 / (n - 0.5);
    let b = 48.0 / (a * a);
    let mut c = ((20_700.0 * a / b - 98.0) * a - 16.0) * a + 96.36;
    let d = ((94.5 / (b + c) - 3.0) / b + 1.0) * libm::sqrt(a * std::f64::consts::FRAC_PI_2) * n;
    let mut y = libm::pow(d * p, 2.0 / n);
    if y > 0.05 + a {
        let x = normal_quantile(p / 2.0);
        y = x * x;
        if n < 5.0 {
            c += 0.3 * (n - 4.5) * (x + 0.6);
        }
        c += (((0.05 * d * x - 5.0) * x - 7.0) * x - 2.0) * x + b;
        y = (((((0.4 * y + 6.3) * y + 36.0) * y + 94.5) / c - y - 3.0) / b + 1.0) * x;
        y = libm::expm1(a * y * y);
    } else {
        let inner = 1.0 / (((n + 6.0) / (n * y) - 0.089 * d - 0.822) * (n + 2.0) * 3.0);
        y = ((inner + 0.5 / (n + 4.0)) * y - 1.0) * (n + 1.0) / (n + 2.0) + 1.0 / y;
    }
    libm::fmax(0.0, libm::sqrt(libm::fmax(0.0, n * y)))
}

/// P(X ≤ k) of a binomial number of `n` trials of probability `p`.
pub fn binomial_distribution(k: u64, n: u64, p: f64) -> f64 {
    if k >= n {
        return 1.0;
    }
    incomplete_beta((n - k) as f64, k as f64 + 1.0, 1.0 - p)
}
