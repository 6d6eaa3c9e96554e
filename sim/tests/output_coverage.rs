//! Intervals cover what they say they cover: many seeds, known truths, nominal rates.
//!
//! Each test counts how often intervals cover, and holds the count against the binomial: at a true coverage of the level it fails once in a
//! million seeds, and seeds are fixed. The closed forms are the truth of the queue's tests; `pool` is not the simulator but a
//! loop that shares nothing with the formulas. Full counts nightly.

#[path = "support/pool.rs"]
mod pool;

use pool::{Met, Pool, contacts};
use std::convert::Infallible;
use tidegate_sim::erlang::{Agents, Demand, Patience, ServiceLevelKind, Waiting};
use tidegate_sim::kernel::sample::{normal_quantile, standard_exponential};
use tidegate_sim::kernel::{Mrg32k3a, Purpose, Streams};
use tidegate_sim::output::student::binomial_distribution;
use tidegate_sim::output::{
    Interval, Kn, Moments, OutputError, RatioMoments, Stopping, Verdict, WarmUp, batch_means, bonferroni, control, holm,
    mean_interval, mser5, ocba, paired, quantile_interval, ratio_delta, ratio_jackknife, select_kn, welch,
};

fn seed() -> u64 {
    std::env::var("TIDEGATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(618)
}

fn runs(few: u64) -> u64 {
    if std::env::var("TIDEGATE_NIGHTLY").is_ok_and(|value| value == "1") { 1_000.max(few) } else { few }
}

fn stream(run: u64) -> Mrg32k3a {
    Streams::new(Mrg32k3a::from_seed(seed()), run).for_(Purpose::Resampling, 0)
}

fn exponentials(stream: &mut Mrg32k3a, count: usize) -> Vec<f64> {
    (0..count).map(|_| standard_exponential(stream.next_u01_53())).collect()
}

fn normals(stream: &mut Mrg32k3a, count: usize) -> Vec<f64> {
    (0..count).map(|_| normal_quantile(stream.next_u01_53())).collect()
}

/// Holds a count of covering intervals against a range of true coverage: each side may be missed once in a million.
#[track_caller]
fn covered(name: &str, covering: u64, of: u64, least: f64, most: f64) {
    println!("{name}: {covering} of {of}");
    assert!(binomial_distribution(covering, of, least) > 1e-6, "{name}: {covering} of {of} is too few for {least}");
    let at_least = if covering == 0 { 1.0 } else { 1.0 - binomial_distribution(covering - 1, of, most) };
    assert!(at_least > 1e-6, "{name}: {covering} of {of} is too many for {most}");
}

fn count(of: u64, mut covers: impl FnMut(u64) -> bool) -> u64 {
    (0..of).filter(|run| covers(*run)).count() as u64
}

fn moments(values: impl IntoIterator<Item = f64>) -> Moments {
    Moments::of(values).expect("finite")
}

#[test]
fn means() {
    let of = runs(1_000);
    for (level, name) in [(0.9, "normal mean, 90 %"), (0.99, "normal mean, 99 %")] {
        let covering =
            count(of, |run| mean_interval(&moments(normals(&mut stream(run), 5)), level).expect("an interval").covers(0.0));
        covered(name, covering, of, level, level);
    }
    // Skewed: Student's interval is honest once there are many.
    let covering = count(of, |run| mean_interval(&moments(exponentials(&mut stream(run), 200)), 0.95).expect("one").covers(1.0));
    covered("exponential mean of 200", covering, of, 0.93, 0.96);
}

/// A wrong interval must be caught: a normal factor in place of Student's with five observations covers 88 % instead of 95 %.
#[test]
fn a_planted_mistake_is_caught() {
    let of = 1_000;
    let covering = count(of, |run| {
        let moments = moments(normals(&mut stream(run), 5));
        let half = 1.96 * (moments.variance().expect("five") / 5.0).sqrt();
        moments.mean().expect("five").abs() <= half
    });
    assert!(binomial_distribution(covering, of, 0.95) < 1e-6, "{covering} of {of} passes for 95 %");
}

/// Days of Poisson-like volume and a share of them: the truth is 0.2.
fn days(stream: &mut Mrg32k3a, count: usize) -> Vec<(f64, f64)> {
    (0..count)
        .map(|_| {
            let offered = 50.0 + 100.0 * stream.next_u01();
            // Noise in proportion, and no mean of its own.
            (offered * 0.2 + offered * 0.1 * normal_quantile(stream.next_u01_53()), offered)
        })
        .collect()
}

#[test]
fn ratios() {
    let of = runs(1_000);
    let delta = count(of, |run| {
        ratio_delta(&RatioMoments::of(days(&mut stream(run), 40)).expect("finite"), 0.95).expect("one").covers(0.2)
    });
    covered("ratio, delta", delta, of, 0.93, 0.96);
    let jackknife = count(of, |run| ratio_jackknife(&days(&mut stream(run), 40), 0.95).expect("one").covers(0.2));
    covered("ratio, jackknife", jackknife, of, 0.93, 0.965);
    // The mean of ratios of few, skewed denominators is biased; the jackknife takes the first order of it away.
    let pairs = [(1.0, 2.0), (3.0, 1.0), (2.0, 4.0)];
    let all = 6.0 / 7.0;
    let left_out = [(5.0, 5.0), (3.0, 6.0), (4.0, 3.0)].map(|(over, under): (f64, f64)| over / under);
    let by_hand = 3.0 * all - 2.0 * left_out.iter().sum::<f64>() / 3.0;
    let found = ratio_jackknife(&pairs, 0.9).expect("one").estimate;
    assert!((found - by_hand).abs() < 1e-14, "{found} {by_hand}");
    assert_eq!(ratio_jackknife(&[(1.0, 0.0), (1.0, 0.0)], 0.9), Err(OutputError::NoDenominator));
    assert!(matches!(ratio_jackknife(&[(1.0, 1.0)], 0.9), Err(OutputError::TooFew { found: 1, least: 2 })));
}

#[test]
fn quantiles() {
    let of = runs(1_000);
    for (q, n) in [(0.5, 60), (0.9, 120), (0.99, 700)] {
        let truth = -libm::log(1.0 - q);
        let mut reached: f64 = 1.0;
        let covering = count(of, |run| {
            let interval = quantile_interval(exponentials(&mut stream(run), n), q, 0.95).expect("one");
            reached = interval.level;
            interval.covers(truth)
        });
        // Order statistics are discrete: the level reached is at least the one asked for, and known.
        assert!((0.95..0.99).contains(&reached), "{reached}");
        covered("quantile", covering, of, reached, reached);
    }
    let few = quantile_interval(vec![1.0; 50], 0.99, 0.95).expect_err("fifty say nothing of the last hundredth");
    assert_eq!(few, OutputError::TooFew { found: 50, least: 368 });
    let enough = |n: u64| quantile_interval(vec![1.0; n as usize], 0.99, 0.95).is_ok();
    assert!(enough(368) && !enough(366));
}

#[test]
fn one_long_run() {
    // An autoregressive run of memory 5, from far away: MSER-5 cuts its beginning, batch means cover its mean of 0.
    let of = runs(300);
    let (mut cut_enough, mut cuts) = (0, 0);
    let covering = count(of, |run| {
        let mut value = 30.0;
        let noise = normals(&mut stream(run), 6_000);
        let observations: Vec<f64> = noise
            .into_iter()
            .map(|noise| {
                value = 0.8 * value + noise;
                value
            })
            .collect();
        let WarmUp::Ends(cut) = mser5(&observations).expect("long enough") else { return false };
        // 30 · 0.8^n is below one standard deviation from the 13th on.
        cut_enough += u64::from(cut >= 10);
        cuts += cut;
        batch_means(&observations[cut..], 20, 0.95).expect("an interval").covers(0.0)
    });
    covered("batch means after MSER-5", covering, of, 0.92, 0.96);
    assert!(cut_enough >= of * 98 / 100 && cuts / (of as usize) < 600, "{cut_enough} of {of}, {cuts} in all");
    let climbing: Vec<f64> = (0..1_000).map(f64::from).collect();
    assert_eq!(mser5(&climbing), Ok(WarmUp::NotSeen));
    assert!(matches!(mser5(&climbing[..24]), Err(OutputError::TooFew { found: 24, least: 25 })));
    assert!(batch_means(&climbing[..19], 20, 0.9).is_err() && batch_means(&climbing, 1, 0.9).is_err());
}

#[test]
fn stopping_keeps_its_promise() {
    let of = runs(300);
    let rule = Stopping { relative: Some(0.05), absolute: None, level: 0.95, least: 20, most: 100_000 };
    let (mut close, mut used) = (0, 0);
    let covering = count(of, |run| {
        let mut stream = stream(run);
        let mut so_far = Moments::default();
        loop {
            so_far.add(5.0 + standard_exponential(stream.next_u01_53())).expect("finite");
            match rule.judge(&so_far).expect("a level") {
                Verdict::GoOn { expected } => assert!(expected > so_far.count() || so_far.count() < 20),
                Verdict::Enough(interval) => {
                    close += u64::from((interval.estimate - 6.0).abs() <= 0.05 * 6.0);
                    used += interval.count;
                    return interval.covers(6.0);
                }
                Verdict::Spent(_) => return false,
            }
        }
    });
    // Some 47 replications: sequential looking costs a few points.
    covered("sequential stopping", covering, of, 0.90, 0.96);
    covered("within the promised 5 %", close, of, 0.90, 0.99);
    assert!((35..60).contains(&(used / of)), "{used} in {of}");
    let absolute = Stopping { relative: None, absolute: Some(0.5), most: 20, ..rule };
    let spread = moments((0..20).map(f64::from));
    assert!(matches!(absolute.judge(&spread), Ok(Verdict::Spent(_))));
    let narrow = moments(std::iter::repeat_n(1.0, 20));
    assert!(matches!(absolute.judge(&narrow), Ok(Verdict::Enough(_))));
    Stopping { level: 1.0, ..rule }.judge(&narrow).expect_err("no level");
}

/// Two pools that see the same customers; what the second one's formula says of itself tells what the first one's luck was.
#[test]
fn erlang_controls_take_noise_away_and_stay_honest() {
    let of = runs(60);
    let (figure, known) =
        (Pool { agents: 12, load: 10.0, patience: Some(2.0) }, Pool { agents: 11, load: 10.0, patience: Some(2.0) });
    let (truth, known_mean) = (formula(figure).mean_wait(), formula(known).mean_wait());
    let (mut plain_width, mut controlled_width, mut explained) = (0.0, 0.0, 0.0);
    let covering = count(of, |run| {
        let mean = |pool, at| {
            let met = contacts(pool, seed(), run * 32 + at, 100, 400);
            met.iter().map(|met| met.wait).sum::<f64>() / met.len() as f64
        };
        let (figures, controls): (Vec<f64>, Vec<f64>) = (0..25).map(|at| (mean(figure, at), mean(known, at))).unzip();
        let plain = mean_interval(&moments(figures.iter().copied()), 0.95).expect("one");
        let controlled = control(&figures, &[(&controls, known_mean)], 0.95).expect("one");
        plain_width += plain.half_width();
        controlled_width += controlled.interval.half_width();
        explained += controlled.explained / of as f64;
        controlled.interval.covers(truth)
    });
    println!("half-width {:.5} with the control, {:.5} without; {explained:.3} explained", controlled_width, plain_width);
    assert!(controlled_width < 0.4 * plain_width && explained > 0.85);
    covered("control variate", covering, of, 0.90, 0.97);
    // One that explains nothing costs a little; one that repeats another is named.
    let (noise, twice) = (normals(&mut stream(1), 30), normals(&mut stream(2), 30));
    assert_eq!(control(&noise, &[(&twice, 0.0), (&twice, 0.0)], 0.9), Err(OutputError::Collinear { index: 1 }));
    assert!(control(&noise, &[(&twice, 0.0)], 0.9).expect("one").explained < 0.3);
    assert_eq!(control(&noise, &[(&twice[1..], 0.0)], 0.9), Err(OutputError::Unequal { found: 29, expected: 30 }));
    assert_eq!(control(&noise[..3], &[(&twice[..3], 0.0)], 0.9), Err(OutputError::TooFew { found: 3, least: 4 }));
}

fn formula(pool: Pool) -> Waiting {
    let patience = pool.patience.map_or(Patience::Endless, |mean| Patience::Exponential { mean });
    let agents = Agents::new(pool.agents as f64).expect("agents");
    Waiting::new(agents, Demand::new(pool.load, 1.0).expect("a demand"), patience).expect("stable")
}

/// The same customers in both: the difference between 12 and 11 agents is seen at a fraction of the width.
#[test]
fn common_random_numbers_pay() {
    let mean = |agents, replication| {
        let met = contacts(Pool { agents, load: 10.0, patience: Some(2.0) }, seed(), replication, 200, 1_000);
        met.iter().map(|met| met.wait).sum::<f64>() / met.len() as f64
    };
    let first: Vec<f64> = (0..30).map(|at| mean(12, at)).collect();
    let same: Vec<f64> = (0..30).map(|at| mean(11, at)).collect();
    let other: Vec<f64> = (30..60).map(|at| mean(11, at)).collect();
    let with = paired(&first, &same, 0.95).expect("one");
    let without = welch(&moments(first.iter().copied()), &moments(other), 0.95).expect("one");
    let truth = formula(Pool { agents: 11, load: 10.0, patience: Some(2.0) }).mean_wait()
        - formula(Pool { agents: 12, load: 10.0, patience: Some(2.0) }).mean_wait();
    assert!(with.covers(truth) && without.covers(truth), "{truth} {with:?} {without:?}");
    assert!(with.half_width() * 2.0 < without.half_width(), "{with:?} {without:?}");
    assert_eq!(paired(&first, &same[1..], 0.9), Err(OutputError::Unequal { found: 29, expected: 30 }));
    // Welch's example worked by hand: variances 1 and 4 of 5 and 10, freedom 0.6² / (0.2²/4 + 0.4²/9) = 12.96.
    let five = moments([-1.264_911_064_067_351_8, 0.0, 0.0, 0.0, 1.264_911_064_067_351_8].map(|x| x * 1.25_f64.sqrt()));
    let ten = moments((0..10).map(|at| if at % 2 == 0 { 3.6_f64.sqrt() } else { -(3.6_f64.sqrt()) }));
    let found = welch(&five, &ten, 0.95).expect("one").half_width();
    assert!((found - 0.6_f64.sqrt() * tidegate_sim::output::student::t_quantile(0.975, 12.96)).abs() < 1e-9, "{found}");
}

#[test]
fn several_at_once() {
    let of = runs(400);
    let of_ten = |run: u64| -> Vec<Moments> {
        let mut stream = stream(run);
        (0..10).map(|_| moments(normals(&mut stream, 12))).collect()
    };
    let all = count(of, |run| bonferroni(&of_ten(run), 0.9).expect("ten").iter().all(|interval| interval.covers(0.0)));
    covered("ten intervals together", all, of, 0.9, 0.92);
    let none_wrong = count(of, |run| holm(&of_ten(run), 0.9).expect("ten").iter().all(|judged| judged.p_adjusted >= 0.1));
    covered("Holm rejects no true one of ten", none_wrong, of, 0.9, 0.92);
    // By hand: p of 0.01, 0.04, 0.03 become 0.03, 0.06, 0.06. Their t at two degrees of freedom:
    let with_t = |t: f64| moments([-1.0, 0.0, 1.0].map(|x| x + t / 3.0_f64.sqrt()));
    let t = |p: f64| tidegate_sim::output::student::t_quantile(1.0 - p / 2.0, 2.0);
    let judged = holm(&[with_t(t(0.01)), with_t(t(0.04)), with_t(t(0.03))], 0.95).expect("three");
    for (judged, (p, adjusted)) in judged.iter().zip([(0.01, 0.03), (0.04, 0.06), (0.03, 0.06)]) {
        assert!((judged.p - p).abs() < 1e-12 && (judged.p_adjusted - adjusted).abs() < 1e-12, "{judged:?}");
    }
    assert!(holm(&[moments([1.0])], 0.9).is_err());
}

#[test]
fn selection_finds_the_best() {
    let of = runs(100);
    let kn = Kn { alpha: 0.1, indifference: 0.5, first: 10, most: 10_000 };
    let mut used = 0;
    let right = count(of, |run| {
        // Five policies, the third best by just the indifference zone; a common part that common random numbers share.
        let streams = Streams::new(Mrg32k3a::from_seed(seed()), run);
        let selected = select_kn(kn, 5, |policy, replication| {
            let common = normal_quantile(streams.for_(Purpose::Arrivals, replication).next_u01_53());
            let own = normal_quantile(streams.for_(Purpose::Handle, replication * 5 + policy as u64).next_u01_53());
            Ok::<_, Infallible>(if policy == 2 { 0.5 } else { 0.0 } + common + own)
        });
        let selected = selected.expect("a selection");
        used += selected.replications.iter().sum::<u64>();
        assert_eq!(selected.left, [selected.best]);
        selected.best == 2
    });
    covered("Kim and Nelson", right, of, 0.9, 1.0);
    println!("{} replications a selection", used / of);
    // A clear case ends at once; a hopeless one at its limit, undecided.
    let clear = select_kn(kn, 3, |policy, at| Ok::<_, Infallible>(policy as f64 * 100.0 + (at % 3) as f64)).expect("one");
    assert_eq!((clear.best, &clear.replications[..]), (2, &[10, 10, 10][..]));
    let tied = select_kn(Kn { most: 40, ..kn }, 2, |_, at| Ok::<_, Infallible>((at % 3) as f64)).expect("one");
    assert_eq!((tied.left, tied.best), (vec![0, 1], 0));
    for (wrong, field) in [
        (Kn { alpha: 0.0, ..kn }, "alpha"),
        (Kn { indifference: 0.0, ..kn }, "indifference"),
        (Kn { first: 1, ..kn }, "first"),
        (Kn { most: 9, ..kn }, "first"),
    ] {
        let text = select_kn(wrong, 2, |_, _| Ok::<_, Infallible>(0.0)).expect_err(field).to_string();
        assert!(text.starts_with(field), "{text}");
    }
    select_kn(kn, 0, |_, _| Ok::<_, Infallible>(0.0)).expect_err("nobody to choose from");
    select_kn(kn, 2, |_, at| Ok::<_, Infallible>(if at > 9 { f64::NAN } else { at as f64 })).expect_err("no number");
}

#[test]
fn a_budget_goes_where_it_tells_most() {
    // By hand: means 3, 2, 1 of deviation 1: ratios 1 and ¼, the best √(1 + 1/16).
    let of = |mean: f64| moments([mean - 1.0, mean, mean + 1.0]);
    let shares = ocba(&[of(1.0), of(3.0), of(2.0)], 1_000);
    let total = 1.25 + (1.0_f64 + 1.0 / 16.0).sqrt();
    for (share, weight) in shares.iter().zip([0.25, (1.0_f64 + 1.0 / 16.0).sqrt(), 1.0]) {
        assert!((*share as f64 - 1_000.0 * weight / total).abs() <= 2.0, "{shares:?}");
    }
    assert_eq!(shares.iter().sum::<u64>(), 1_000);
    assert_eq!(ocba(&[], 10), Vec::<u64>::new());
    assert_eq!(ocba(&[of(1.0), of(1.0)], 10).iter().sum::<u64>(), 10);
}

/// 99 % intervals of independent runs against the closed forms: 98 to 100 % must cover. Printed as a table.
#[test]
fn closed_forms_are_covered() {
    let of = runs(50);
    let t = 0.1;
    for pool in [
        Pool { agents: 10, load: 8.0, patience: None },
        Pool { agents: 10, load: 10.0, patience: Some(2.0) },
        Pool { agents: 30, load: 33.0, patience: Some(0.5) },
    ] {
        let formula = formula(pool);
        let level = formula.service_level(ServiceLevelKind::ServedWithinOfOffered, t);
        let truths = [formula.p_wait(), formula.mean_wait(), level, formula.p_abandon()];
        let mut covering = [0_u64; 4];
        for run in 0..of {
            let met = contacts(pool, seed(), run, 2_000, 40_000);
            let share = |of: &dyn Fn(&Met) -> f64| -> Interval {
                batch_means(&met.iter().map(of).collect::<Vec<_>>(), 20, 0.99).expect("an interval")
            };
            let intervals = [
                share(&|met| f64::from(u8::from(met.wait > 0.0))),
                share(&|met| met.wait),
                share(&|met| f64::from(u8::from(met.served && met.wait <= t))),
                share(&|met| f64::from(u8::from(!met.served))),
            ];
            for ((count, interval), truth) in covering.iter_mut().zip(intervals).zip(truths) {
                *count += u64::from(interval.covers(truth));
            }
        }
        for (name, covering) in ["waits", "mean wait", "service level", "abandons"].iter().zip(covering) {
            println!("{pool:?} {name}: {covering} of {of}");
            // 98 % of a thousand; of a hundred as many as 98 % give but once in a million.
            assert!(if of >= 1_000 { covering * 100 >= of * 98 } else { binomial_distribution(covering, of, 0.98) > 1e-6 });
        }
    }
}
