//! `tidegate erlang` as a planner meets it: figures, units, targets, mistakes, and the table check that can fail.
//!
//! What the formulas are worth is proved in `sim/tests/erlang_*`; here stand the face: keys, exit codes and words.

#[path = "support/run.rs"]
mod run;

use run::tidegate;
use serde_json::Value;
use std::path::Path;

fn table() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sim/tests/data/erlang_reference.csv")
}

#[track_caller]
fn figures(arguments: &str) -> Value {
    let ran = tidegate(arguments.split(' ').chain(["--json"])).ends(0, &[]);
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.out))
}

#[track_caller]
fn mistake(arguments: &str, code: i32, words: &[&str]) {
    let ran = tidegate(arguments.split(' ')).ends(code, words);
    assert_eq!(ran.out, "", "a mistake prints no data");
}

#[track_caller]
fn near(found: &Value, expected: f64) {
    let number = found.as_f64().unwrap_or_else(|| panic!("{found} is no number"));
    assert!((number - expected).abs() <= 1e-9 * expected.abs().max(1e-9), "{number} is not {expected}");
}

#[test]
fn json_has_the_promised_keys() {
    let a = figures("erlang a --arrivals 48/min --aht 1min --agents 50 --patience 2min --awt 20s");
    near(&a["p_wait"], 0.467_774_068_554);
    near(&a["p_abandon"], 0.030_912_249_162_2);
    near(&a["mean_queue"], 2.967_575_919_57);
    for key in ["p_block", "mean_wait_s", "occupancy"] {
        assert!(a[key].is_f64(), "{key}: {a}");
    }
    for key in ["served_within_of_offered", "served_within_of_served", "left_within_of_offered"] {
        assert!(a["service_level"][key].is_f64(), "{key}: {a}");
    }
    let c = figures("erlang c --arrivals 48/min --aht 60s --agents 50");
    near(&c["p_wait"], 0.694_455_611_197);
    near(&c["mean_wait_s"], 20.833_668_335_919);
    let b = figures("erlang b --arrivals 2/s --aht 1s --agents 3");
    near(&b["p_block"], 4.0 / 19.0);
    near(&b["service_level"]["served_within_of_offered"], 15.0 / 19.0);
}

#[test]
fn a_target_gives_its_agents_whole_and_fractional() {
    let need = figures("erlang a --arrivals 4/min --aht 5min --patience 2min --target 80/20s");
    assert_eq!((need["need"]["agents"].as_u64(), need["agents"].as_f64()), (Some(22), Some(22.0)), "{need}");
    let fraction = need["need"]["fractional"].as_f64().expect("a number");
    assert!(fraction > 21.0 && fraction <= 22.0, "{fraction}");
    assert_eq!(need["awt_s"].as_f64(), Some(20.0));
    assert!(need["service_level"]["served_within_of_offered"].as_f64() >= Some(0.8));
    let both = figures("erlang a --arrivals 4/min --aht 5min --patience 2min --target 80/20s --max-abandon 2%");
    assert!(both["need"]["agents"].as_u64() > Some(22) && both["p_abandon"].as_f64() <= Some(0.02), "{both}");
}

#[test]
fn people_read_it_in_two_languages() {
    let arguments = "erlang c --arrivals 48/min --aht 1min --target 80/20s";
    let english = tidegate(arguments.split(' ')).ends(0, &[]).out;
    assert!(english.contains("agents that the targets need") && english.contains("served_within_of_offered"), "{english}");
    let chinese = tidegate(["--lang", "zh"].into_iter().chain(arguments.split(' '))).ends(0, &[]).out;
    assert!(chinese.contains("达标所需坐席") && chinese.lines().count() == english.lines().count(), "{chinese}");
}

#[test]
fn mistakes_say_what_to_do() {
    mistake("erlang", 2, &["--arrivals <ARRIVALS>", "<MODEL>"]);
    mistake("erlang d --arrivals 1/s --aht 1s", 2, &["possible values: b, c, a"]);
    mistake("erlang c --arrivals 4.2 --aht 2min --agents 12", 2, &["4.2 of what? expected a unit", "4.2/min"]);
    mistake("erlang c --arrivals 4.2/min --aht 2 --agents 12", 2, &["2 of what?", "20s, 2min or 1h30m"]);
    mistake("erlang c --arrivals 4/min --aht 2min --target 80", 2, &["80 of what?", "80/20s"]);
    mistake("erlang a --arrivals 4/min --aht 2min --agents 12", 2, &["--patience"]);
    mistake("erlang c --arrivals 4/min --aht 2min --agents 50001", 2, &["expected 0 to 50000"]);
    mistake("erlang c --arrivals 4/min --aht 2min --agents twelve", 2, &["as in 12 or 11.4"]);
    mistake("erlang c --arrivals 4/min --aht 2min --agents 12 --check x", 2, &["cannot be used with"]);
    mistake("erlang c --arrivals 4/min --aht 2min", 3, &["--agents: nothing is given", "--target 80/20s"]);
    mistake("erlang c --arrivals 4/min --aht 2min --agents 8", 3, &["the queue grows for ever", "or a patience"]);
    mistake("erlang c --arrivals 4/min --aht 2min --agents 9 --patience 1min", 3, &["--patience: formulas b and c know none"]);
    mistake("erlang c --arrivals 4/min --aht 2min --max-abandon 5%", 3, &["--max-abandon", "ask formula a"]);
    mistake("erlang c --arrivals 0/min --aht 2min --agents 8", 3, &["arrivals is 0, expected a finite number above 0"]);
    mistake("erlang c --arrivals 500/s --aht 2min --target 80/20s", 3, &["not reached with 50000 agents", "ask for less"]);
}

#[test]
fn the_reference_table_holds_and_prints_its_worst_rows() {
    let table = table();
    let ran = tidegate(["erlang".as_ref(), "--check".as_ref(), table.as_os_str()]).ends(0, &[]);
    // Fifteen columns of three formulas, and the head.
    assert_eq!(ran.out.lines().count(), 16, "{}", ran.out);
    let json = tidegate(["erlang".as_ref(), "--json".as_ref(), "--check".as_ref(), table.as_os_str()]).ends(0, &[]).out;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((json["rows"].as_u64(), json["holds"].as_bool()), (Some(213), Some(true)));
    let worst = json["columns"].as_array().expect("columns").iter().map(|column| column["off"].as_f64().expect("a number"));
    assert!(worst.fold(0.0, f64::max) <= 1e-12);
}

#[test]
fn a_table_that_is_off_in_its_twelfth_digit_fails_and_names_the_line() {
    let text = std::fs::read_to_string(table()).expect("read");
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("off.csv");
    let line = 1 + text.lines().position(|line| line.starts_with("B,10,5,")).expect("a row");
    std::fs::write(&path, text.replace("0.0183845703366", "0.0183845703367")).expect("written");
    let ran = tidegate(["erlang".as_ref(), "--check".as_ref(), path.as_os_str()]).ends(1, &["off.csv", "further off than 1e-12"]);
    assert!(
        ran.out.lines().any(|row| row.starts_with('B') && row.contains(&format!(" {line} ")) && row.contains("OFF")),
        "{}",
        ran.out
    );
    for (broken, words) in [
        ("model,s\nB,1\n", "no column `lambda`"),
        ("", "no column `model`"),
        (&text.replace("B,10,5,1,5,", "B,10,five,1,5,")[..], "lambda is \"five\", expected a number"),
        (&text.replace("B,10,5,1,5,", "D,10,5,1,5,")[..], "model is \"D\", expected A, B or C"),
        (&text.replace("B,10,5,1,5,", "B,0,5,1,5,")[..], "agents is 0, expected a finite number above 0"),
        (&text.lines().take_while(|line| !line.starts_with("B,")).fold(String::new(), |a, line| a + line + "\n")[..], "no row"),
    ] {
        std::fs::write(&path, broken).expect("written");
        mistake(&format!("erlang --check {}", path.display()), 3, &["off.csv", words]);
    }
    mistake("erlang --check not-there.csv", 3, &["not-there.csv: cannot be read", "name a CSV file"]);
}

/// The page's transcripts: each `$` line is run, and what follows is what it printed.
#[test]
fn the_planners_page_is_what_the_command_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = root.join("docs/planner/erlang.md");
    let text = std::fs::read_to_string(&page).expect("read");
    let mut runs = 0;
    for block in text.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        for part in block.split("$ tidegate ").skip(1) {
            let (arguments, expected) = part.split_once('\n').expect("a line of arguments");
            let table = table();
            let words = arguments
                .split(' ')
                .map(|word| if word.ends_with("reference.csv") { table.to_str().expect("UTF-8") } else { word });
            let ran = tidegate(words).ends(0, &[]);
            assert_eq!(ran.out, expected, "{}: {arguments}", page.display());
            runs += 1;
        }
    }
    assert!(runs >= 4, "{runs} transcripts");
}
