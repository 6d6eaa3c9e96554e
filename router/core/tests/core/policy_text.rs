//! The policy file: each mistake gets file, line, field, what was expected and the nearest valid name.

use tidegate_core::policy::{self, check, encode, parse};
use tidegate_core::rig::{OTHER_POLICY, POLICY};
use tidegate_model::limits::STEPS_MAX;

const GOOD: &str = "name = \"p\"\ndefault_queue = \"sales\"\ndefault_class = \"regular\"\nskills = [\"sales\", \"english\"]\n\
    [[class]]\nname = \"regular\"\n[[queue]]\nname = \"sales\"\n";

#[test]
fn good_policies_are_read_and_survive_their_encoding() {
    for text in [GOOD, POLICY, OTHER_POLICY] {
        let policy = parse("p.toml", text).expect("a good policy");
        assert_eq!(check(&policy), Ok(()));
        assert_eq!(tidegate_core::payload::read_policy(&encode(&policy)), Some(policy));
    }
}

#[test]
fn mistakes_are_named_with_line_and_remedy() {
    let with = |tail: &str| format!("{GOOD}{tail}");
    let cases: Vec<(String, &str)> = vec![
        ("name = ".into(), "p.toml:1:"),
        (GOOD.replace("skills", "skils"), "did you mean \"skills\"?"),
        (
            GOOD.replace("\"sales\"\ndefault_class", "\"salse\"\ndefault_class"),
            "p.toml:2:17: default_queue: unknown name \"salse\"",
        ),
        (GOOD.replace("\"regular\"\nskills", "\"regulr\"\nskills"), "did you mean \"regular\"?"),
        (with("offer_timeout = \"20\"\n"), "p.toml:9:17: queue.offer_timeout: \"20\" is no span (write a whole number and a unit"),
        (with("offer_timeout = \"1ms\"\n"), "queue \"sales\".offer_timeout: expected 100 ms to 2147483648 ms, found 1 ms"),
        (with("weight = \"-x\"\n"), "p.toml:9:10: queue.weight"),
        (with("length_max = 0\n"), "queue \"sales\".length_max: at least 1"),
        (with("[[queue.step]]\nname = \"a\"\nrequires = { saels = 1 }\n"), "unknown name \"saels\" (valid names: sales, english)"),
        (with("[[queue.step]]\nname = \"a\"\nrequires = { english = 1, englsh = 1 }\n"), "did you mean \"english\"?"),
        (with("[[queue.step]]\nname = \"a\"\nrequires = { sales = 11 }\n"), "level of \"sales\" is 1 to 10, found 11"),
        (with("[[queue.step]]\nname = \"a\"\nlasts = \"5s\"\n"), "the last step lasts until the contact leaves"),
        (with("[[queue.step]]\nname = \"a\"\n[[queue.step]]\nname = \"b\"\n"), "every step but the last needs a span"),
        (with("[[queue.step]]\nname = \"a\"\nskip_if = \"noseat\"\n"), "did you mean \"no-seat\"?"),
        (with("[[queue]]\nname = \"sales\"\n"), "the name stands twice"),
        (with("[[class]]\nname = \"gold\"\nslope = 300\n"), "class \"gold\".slope"),
        (with("[[class]]\nname = \"gold\"\nslope = \"1e3\"\n"), "p.toml:11:9: class.slope: 1e3 is no slope"),
        (with("[[class]]\nname = \"gold\"\nslope = 2\n"), "a contact may wait for ever"),
        (with("[[class]]\nname = \"\"\n"), "a name has 1 to 64 bytes, this one has 0"),
        (with(&format!("[[class]]\nname = \"{}\"\n", "x".repeat(65))), "this one has 65"),
        (with("[[refuse]]\ntag = \"a\"\nreason = \"b\"\nwhy = \"c\"\n"), "unknown field `why`"),
        (format!("selection = \"longest\"\n{GOOD}"), "valid names: longest-idle, best-skilled"),
        (format!("selection = \"best-skiled\"\n{GOOD}"), "did you mean \"best-skilled\"?"),
        (format!("idle_close_after = \"1ms\"\n{GOOD}"), "idle_close_after: expected 1000 ms"),
        (GOOD.replace("[[queue]]\nname = \"sales\"\n", ""), "default_queue"),
    ];
    for (text, expected) in cases {
        let errors = parse("p.toml", &text).expect_err(&text).to_string();
        assert!(errors.contains(expected), "\n{text}\n expected: {expected}\n found:    {errors}");
        assert!(errors.starts_with("p.toml:"), "{errors}");
    }
}

#[test]
fn all_mistakes_of_a_text_are_reported_in_order_of_lines() {
    let text = GOOD.replace("\"sales\"\ndefault_class", "\"no\"\ndefault_class") + "offer_timeout = \"x\"\nwrap_up = \"y\"\n";
    let errors = parse("p.toml", &text).expect_err("three mistakes").0;
    assert_eq!(errors.iter().map(|e| e.line).collect::<Vec<_>>(), [2, 9, 10]);
}

#[test]
fn limits_are_kept_at_above_and_ten_times_above() {
    let steps = |n: usize| {
        let mut text = GOOD.to_string();
        for i in 0..n {
            text += &format!("[[queue.step]]\nname = \"s{i}\"\n");
            if i + 1 < n {
                text += "lasts = \"1s\"\n";
            }
        }
        text
    };
    assert!(parse("p", &steps(STEPS_MAX)).is_ok());
    for n in [STEPS_MAX + 1, STEPS_MAX * 10] {
        assert!(parse("p", &steps(n)).expect_err("too many").to_string().contains("1 to 16 steps"));
    }
    let padded = |n: usize| format!("{GOOD}#{}", "x".repeat(n - GOOD.len() - 1));
    assert!(parse("p", &padded(128 * 1024)).is_ok());
    for n in [128 * 1024 + 1, 1280 * 1024] {
        assert!(parse("p", &padded(n)).expect_err("too long").to_string().contains("at most 131072 are read"));
    }
}

/// What the file lets through is what the market can score: activation happens where nothing may fail.
#[test]
fn score_terms_at_above_and_ten_times_above_their_bounds() {
    use tidegate_matcher::market::{AFFINITY_MAX_MS, LEVEL_SCORE_MAX_MS, WEIGHT_MAX_MS};
    use tidegate_model::input::{Admin, Input};
    use tidegate_model::policy::{Policy, Selection};
    use tidegate_model::{Seq, TenantId, Timestamp, limits::Limits};
    type Set = fn(&mut Policy, i64);
    let levels: Set = |p, v| {
        p.selection = Selection::BestSkilled;
        p.level_weight_ms = v;
    };
    // 64 skills of a level that is a byte.
    let most_level = LEVEL_SCORE_MAX_MS / (64 * 255);
    let terms: [(i64, Set); 3] =
        [(AFFINITY_MAX_MS, |p, v| p.affinity_ms = v), (WEIGHT_MAX_MS, |p, v| p.queues[0].weight_ms = v), (most_level, levels)];
    for (most, set) in terms {
        for (value, good) in [(most, true), (most + 1, false), (most * 2, false), (most * 10, false)] {
            let mut policy = parse("p.toml", GOOD).expect("a good policy");
            set(&mut policy, value);
            assert_eq!(check(&policy).is_ok(), good, "{value}");
            // Without a guard: a panic in the commit would come through.
            let mut tenant = tidegate_core::Tenant::new(TenantId(1), Limits::SMALL, tidegate_core::Guard::none());
            let plan = encode(&policy);
            tenant.handle(Timestamp(1), Seq(1), Input::Admin(Admin::Policy { hash: [1; 32], plan: &plan }));
            assert_eq!(tenant.policy_hash().is_some(), good, "{value}");
        }
    }
}

const WITH_DESK: &str = r#"
name = "shop"
default_queue = "sales"
default_class = "regular"
[[class]]
name = "regular"
[[queue]]
name = "sales"
[desk]
warn_after = "60s"
breach_after = "2min"
auto_accept = ["phone"]
pause = [{ code = "lunch", en = "Lunch", zh = "午餐" }, { code = "break", en = "Break" }]
[[desk.queue]]
name = "sales"
zh = "销售"
transfer = false
wrap_up = [{ code = "sold", en = "Sold" }]
answer_within = "30s"
answer_percent = 90
"#;

#[test]
fn the_desk_table_is_read_beside_the_rules_and_reaches_no_decision() {
    let (policy, desk) = policy::parse_whole("shop.toml", WITH_DESK).expect("a good policy");
    assert_eq!((desk.warn.0, desk.breach.0, desk.auto_accept.as_slice()), (60_000, 120_000, ["phone".to_owned()].as_slice()));
    assert_eq!((desk.pause[0].zh.as_str(), desk.pause[1].zh.as_str()), ("午餐", "Break"), "zh repeats en");
    assert_eq!((desk.queues[0].en.as_str(), desk.queues[0].zh.as_str(), desk.queues[0].transfer), ("sales", "销售", false));
    assert!(!desk.decline.is_empty() && desk.queues[0].wrap_up.as_ref().is_some_and(|codes| codes.len() == 1));
    assert_eq!((desk.queues[0].target.within.0, desk.queues[0].target.percent), (30_000, 90));
    // The compiled policy is the same with and without the table.
    let plain = WITH_DESK.split("[desk]").next().expect("a head");
    let (other, defaults) = policy::parse_whole("shop.toml", plain).expect("a good policy");
    assert_eq!(policy::encode(&policy), policy::encode(&other));
    assert_eq!((defaults.warn.0, defaults.breach.0), (100_000, 180_000));
}

#[test]
fn faults_of_the_desk_table_name_line_field_and_remedy() {
    let check = |wrong: &str, right: &str, line: u32, field: &str, remedy: &str| {
        let text = WITH_DESK.replace(right, wrong);
        let errors = policy::parse("shop.toml", &text).expect_err(wrong).0;
        let error = &errors[0];
        assert_eq!((error.line, error.field.as_str()), (line, field), "{error}");
        assert!(error.remedy.contains(remedy), "{error}");
    };
    check("name = \"sale\"\nzh", "name = \"sales\"\nzh", 15, "desk.queue.name", "did you mean \"sales\"?");
    check("warn_after = \"3min\"", "warn_after = \"60s\"", 11, "desk.breach_after", "breach_after above it");
    check("warn_after = \"soon\"", "warn_after = \"60s\"", 10, "desk.warn_after", "30s");
    check("warm_after = \"60s\"", "warn_after = \"60s\"", 10, "policy", "did you mean \"warn_after\"?");
    check("code = \"lunch\", en = \"Break\"", "code = \"break\", en = \"Break\"", 13, "desk.pause", "rename or remove");
    let percent = |value: &'static str| check(value, "answer_percent = 90", 20, "desk.queue.answer_percent", "from 1 to 100");
    percent("answer_percent = 101");
    percent("answer_percent = 1010");
    percent("answer_percent = 0");
    check("answer_within = \"0s\"", "answer_within = \"30s\"", 19, "desk.queue.answer_within", "above it");
    for (entries, good) in [(15, true), (16, false), (150, false)] {
        let list: Vec<String> = (0..entries).map(|i| format!("{{ code = \"c{i}\", en = \"C\" }}")).collect();
        let text = WITH_DESK.replace("wrap_up = [{ code = \"sold\", en = \"Sold\" }]", &format!("wrap_up = [{}]", list.join(", ")));
        assert_eq!(policy::parse("shop.toml", &text).is_ok(), good, "{entries} codes");
    }
}
