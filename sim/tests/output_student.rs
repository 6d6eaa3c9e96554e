//! Student's t, the incomplete beta function and the binomial against mpmath.

use tidegate_sim::output::student::{binomial_distribution, incomplete_beta, t_distribution, t_quantile};

#[track_caller]
fn near(found: f64, expected: f64, relative: f64) {
    assert!((found - expected).abs() <= relative * expected.abs(), "{found} is not {expected}");
}

#[test]
fn quantiles_to_twelve_digits() {
    for (p, freedom, t) in [
        (0.975, 1.0, 12.706_204_736_174_693),
        (0.975, 2.0, 4.302_652_729_749_462),
        (0.995, 3.0, 5.840_909_309_733_355),
        (0.95, 4.5, 2.065_575_888_878_524),
        (0.975, 9.0, 2.262_157_162_798_205),
        (0.995, 29.0, 2.756_385_903_670_605),
        (0.9, 120.0, 1.288_646_233_656_378),
        (0.9995, 999.0, 3.300_292_440_398_766_7),
        (0.975, 1e5, 1.959_987_707_534_609_3),
        (0.6, 7.0, 0.263_166_861_352_022_8),
        (0.999_999, 1.5, 5_219.469_324_606_886),
        // The normal law itself.
        (0.975, 1e12, 1.959_963_984_540_054),
    ] {
        // 1 − p has lost digits where p is close to 1: what is asked is as far off as that.
        let asked = 3e-17 / (1.0 - p);
        near(t_quantile(p, freedom), t, 1e-12 + asked);
        near(t_quantile(1.0 - p, freedom), -t, 1e-12 + asked);
        near(t_distribution(t_quantile(p, freedom), freedom), p, 1e-13);
    }
    near(t_quantile(0.5, 3.0), 0.0, 0.0);
    assert_eq!((t_quantile(0.0, 3.0), t_quantile(1.0, 3.0)), (f64::NEG_INFINITY, f64::INFINITY));
}

#[test]
fn beta_and_binomial() {
    near(incomplete_beta(2.5, 3.5, 0.3), 0.296_752_989_295_666_4, 1e-13);
    near(incomplete_beta(500.0, 700.0, 0.43), 0.825_684_920_994_432_9, 1e-12);
    near(incomplete_beta(0.5, 0.5, 0.01), 0.063_768_560_858_519_85, 1e-13);
    // 99 coins: 40 to 59 heads.
    near(binomial_distribution(59, 99, 0.5) - binomial_distribution(39, 99, 0.5), 0.956_124_706_412_984_8, 1e-12);
    assert_eq!((binomial_distribution(5, 5, 0.3), incomplete_beta(1.0, 1.0, 0.0), incomplete_beta(1.0, 1.0, 1.0)), (1.0, 0.0, 1.0));
    near(binomial_distribution(0, 10, 0.25), libm::pow(0.75, 10.0), 1e-13);
}
