//! Sums and moments: exact, whatever the order and the split, down to their bytes.
#![expect(clippy::float_cmp, reason = "these sums are exact: any other bit is a fault")]

#[path = "support/mod.rs"]
mod support;

use proptest::collection::vec;
use proptest::prelude::{any, prop};
use proptest::strategy::Strategy;
use proptest::{prop_assert, prop_assert_eq};
use tidegate_sim::output::{ExactSum, Moments, RatioMoments, Sum, Waits};

fn exact(terms: &[f64]) -> ExactSum {
    let mut sum = ExactSum::default();
    for term in terms {
        sum.add(*term).expect("finite");
    }
    sum
}

/// Multiples of 2⁻⁴⁰ below 2⁶⁰ add up in an `i128` without rounding, and its conversion rounds to nearest, ties to even.
#[test]
fn an_exact_sum_is_the_rounded_integer_sum() {
    let terms = vec((any::<i64>().prop_map(|whole| whole >> 3), 0_u32..50), 0..60);
    support::run(300, 20_000, &terms, |terms| {
        let mut whole = 0_i128;
        let mut sum = ExactSum::default();
        for (mantissa, shift) in terms {
            // At most 53 significant bits, so that each term is a double.
            let mantissa = mantissa >> 8 >> (shift / 10);
            whole += i128::from(mantissa) << shift;
            sum.add(mantissa as f64 * (1_u64 << shift) as f64 / (1_u64 << 40) as f64).expect("finite");
        }
        prop_assert_eq!(sum.value(), whole as f64 / (1_u64 << 40) as f64);
        Ok(())
    });
}

#[test]
fn order_and_split_change_no_byte() {
    let finite = any::<f64>().prop_filter("finite, and with a finite square", |x| x.abs() < 1e140);
    support::run(200, 10_000, &(vec(finite, 1..40), any::<prop::sample::Index>(), any::<u64>()), |(terms, cut, seed)| {
        let (sum, moments) = (exact(&terms), Moments::of(terms.iter().copied()).expect("finite"));
        let mut shuffled = terms.clone();
        // A fixed-seed Fisher-Yates.
        let mut state = seed | 1;
        for at in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(at, (state >> 33) as usize % (at + 1));
        }
        let (left, right) = shuffled.split_at(cut.index(shuffled.len()));
        let (mut merged, mut merged_moments) = (exact(right), Moments::of(right.iter().copied()).expect("finite"));
        merged.merge(&exact(left));
        merged_moments.merge(&Moments::of(left.iter().copied()).expect("finite"));
        prop_assert_eq!(merged.value().to_bits(), sum.value().to_bits());
        let bytes = |value: &Moments| serde_json::to_string(value).expect("JSON");
        prop_assert_eq!(bytes(&merged_moments), bytes(&moments));
        let back: Moments = serde_json::from_str(&bytes(&moments)).expect("JSON");
        prop_assert!(back == moments && back.variance() == moments.variance());
        Ok(())
    });
}

#[test]
fn cancellation_leaves_what_is_left() {
    let terms = [1e100, 1.0, -1e100, 1e-300, f64::from_bits(1), -1.0];
    assert_eq!(exact(&terms).value(), 1e-300 + f64::from_bits(1));
    assert_eq!(exact(&[f64::MAX, f64::MAX]).value(), f64::INFINITY);
    assert_eq!(exact(&[f64::MAX, f64::MAX, -f64::MAX]).value(), f64::MAX);
    assert_eq!(exact(&[-f64::MIN_POSITIVE, f64::MIN_POSITIVE / 2.0]).value(), -f64::MIN_POSITIVE / 2.0);
    // 1 + 2⁻⁵³ is half way, and goes to the even one; a hair more goes up.
    let half = 1.0 / (1_u64 << 53) as f64;
    assert_eq!(exact(&[1.0, half]).value(), 1.0);
    assert_eq!(exact(&[1.0, half, 1e-300]).value(), 1.0 + f64::EPSILON);
    let compensated: Sum = [1.0, 1e100, 1.0, -1e100].into_iter().collect();
    assert_eq!(compensated.value(), 2.0);
    // A million tenths in a plain double are 1.3e-6 off.
    let tenths: Sum = std::iter::repeat_n(0.1, 1_000_000).collect();
    assert_eq!(tenths.value(), 100_000.0);
}

#[test]
fn a_variance_far_below_its_mean_keeps_its_digits() {
    let moments = Moments::of([1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]).expect("finite");
    assert_eq!((moments.mean(), moments.variance()), (Some(1e9 + 2.0), Some(1.0)));
    assert_eq!((moments.least(), moments.most(), moments.count()), (Some(1e9 + 1.0), Some(1e9 + 3.0), 3));
    assert_eq!((Moments::default().mean(), Moments::of([5.0]).expect("finite").variance()), (None, None));
}

#[test]
fn what_is_no_number_is_refused_and_changes_nothing() {
    for nonsense in [f64::NAN, f64::INFINITY, -f64::INFINITY] {
        let mut sum = exact(&[2.0]);
        assert!(sum.add(nonsense).expect_err("refused").to_string().contains("expected a finite number"));
        assert_eq!(sum.value(), 2.0);
    }
    let mut moments = Moments::of([2.0]).expect("finite");
    moments.add(1e140).expect_err("its square's halves are past what is exact");
    moments.add(f64::NAN).expect_err("no number");
    assert_eq!(moments, Moments::of([2.0]).expect("finite"));
    let mut ratio = RatioMoments::of([(1.0, 2.0)]).expect("finite");
    ratio.add(1.0, f64::NAN).expect_err("no number");
    assert_eq!(ratio, RatioMoments::of([(1.0, 2.0)]).expect("finite"));
    for limbs in ["[4294967296]", "[-1]"] {
        serde_json::from_str::<ExactSum>(limbs).expect_err("no canonical limb");
    }
    let long = format!("[{}0]", "0,".repeat(68));
    assert!(serde_json::from_str::<ExactSum>(&long).expect_err("too many").to_string().contains("at most 68 limbs"));
}

#[test]
fn waits_add_up_and_their_quantiles_are_a_thousandth_off_at_most() {
    let (mut all, mut odd, mut even) =
        (Waits::new().expect("memory"), Waits::new().expect("memory"), Waits::new().expect("memory"));
    for wait in 0..100_000_u64 {
        all.add(wait);
        if wait % 2 == 0 { even.add(wait) } else { odd.add(wait) }
    }
    even.merge(&odd);
    for q in [0.001, 0.5, 0.9, 0.999] {
        let found = all.quantile_ms(q).expect("a share").expect("waits");
        assert!((found as f64 - q * 100_000.0).abs() <= 1.0 + q * 100.0, "{q}: {found}");
        assert_eq!(even.quantile_ms(q), all.quantile_ms(q));
    }
    assert_eq!((even.count(), even.mean_ms(), even.longer()), (100_000, Some(49_999.5), 0));
    assert!(all.at_most(20_000).abs_diff(20_001) <= 20);
    all.add(u64::MAX);
    assert_eq!((all.longer(), all.count()), (1, 100_001));
    assert_eq!(Waits::new().expect("memory").quantile_ms(0.5), Ok(None));
    all.quantile_ms(1.0).expect_err("no share");
}
