//! Times, rates and goals as people write them: what is read, what is refused, and in which words.

use tidegate_sim::erlang::units::{Goal, LENGTH_MAX, SECONDS_MAX, goal, rate, share, span};

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-15 * expected.abs(), "{found} is not {expected}");
}

#[test]
fn times() {
    for (text, seconds) in [
        ("20s", 20.0),
        ("2min", 120.0),
        ("2 min", 120.0),
        ("1.5h", 5_400.0),
        ("1h30m", 5_400.0),
        ("1h 30min 5s", 5_405.0),
        ("0s", 0.0),
        ("3D", 259_200.0),
        ("250ms", 0.25),
        ("2分钟", 120.0),
        ("1小时30分", 5_400.0),
    ] {
        near(span(text).unwrap_or_else(|error| panic!("{text}: {error}")), seconds);
    }
}

#[test]
fn rates() {
    for (text, a_second) in [
        ("4.2/min", 4.2 / 60.0),
        ("250/h", 250.0 / 3_600.0),
        ("100/30min", 100.0 / 1_800.0),
        ("3 per hour", 3.0 / 3_600.0),
        ("0.5/s", 0.5),
    ] {
        near(rate(text).unwrap_or_else(|error| panic!("{text}: {error}")), a_second);
    }
}

#[test]
fn goals_and_shares() {
    for text in ["80/20s", "80%/20s", "0.8/20s", "80 / 20 s"] {
        assert_eq!(goal(text), Ok(Goal { share: 0.8, within_s: 20.0 }), "{text}");
    }
    assert_eq!(goal("1/1min"), Ok(Goal { share: 1.0, within_s: 60.0 }));
    assert_eq!((share("5%"), share("0.05"), share("100%")), (Ok(0.05), Ok(0.05), Ok(1.0)));
}

/// Every refusal names what is wrong and what would be right.
#[test]
fn refusals() {
    let says = |found: Result<f64, tidegate_sim::erlang::units::UnitError>, words: &[&str]| {
        let text = found.expect_err("refused").to_string();
        for word in words {
            assert!(text.contains(word), "{text:?} lacks {word:?}");
        }
    };
    says(span(""), &["nothing is written", "20s"]);
    says(span("2"), &["2 of what", "a unit", "2min"]);
    says(span("2 fortnights"), &["\"fortnights\" is no unit", "s, min, h or d"]);
    says(span("-2min"), &["\"-2min\" is no number"]);
    says(span("1.2.3s"), &["is no number"]);
    says(span("infs"), &["is no number"]);
    says(span("nans"), &["is no number"]);
    says(span("1:30"), &["\":\" is no unit"]);
    says(rate("4.2"), &["4.2 of what", "4.2/min"]);
    says(rate("4.2/"), &["4.2 of what"]);
    says(rate("4.2 min"), &["\"min\" is no unit", "4.2/min"]);
    says(rate("4/0s"), &["past the largest, a million a second"]);
    says(share("5"), &["5 is no share", "5%", "0 to 1"].map(|word| if word == "5%" { "100%" } else { word }));
    says(share("101%"), &["no share"]);
    says(goal("80").map(|goal| goal.share), &["80 of what", "80/20s"]);
    says(goal("120/20s").map(|goal| goal.share), &["120 is no share"]);
    says(goal("80/20").map(|goal| goal.share), &["20 of what"]);
}

/// Each limit: at it, one above, ten times above.
#[test]
fn limits() {
    let days = SECONDS_MAX / 86_400.0;
    near(span(&format!("{days}d")).expect("at the limit"), SECONDS_MAX);
    for days in [days + 1.0, days * 10.0] {
        assert!(span(&format!("{days}d")).unwrap_err().to_string().contains("ten years"));
    }
    near(rate("1000000/s").expect("at the limit"), 1e6);
    for past in ["1000001/s", "10000000/s"] {
        assert!(rate(past).unwrap_err().to_string().contains("a million a second"));
    }
    let long = |length: usize| format!("{}1s", "0".repeat(length - 2));
    near(span(&long(LENGTH_MAX)).expect("at the limit"), 1.0);
    for length in [LENGTH_MAX + 1, LENGTH_MAX * 10] {
        assert!(span(&long(length)).unwrap_err().to_string().contains("longer than 64 bytes"));
    }
}
