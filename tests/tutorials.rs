//! Every tutorial, run as a newcomer would: its blocks one after another in an empty directory; and the same in both languages.
//!
//! The blocks of a page are one script under `bash -euo pipefail`, with `tidegate` on the PATH. A page that hangs is ended by
//! `timeout`; whatever it started is ended with its session.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGES: [&str; 3] = ["operator", "planner", "platform"];

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tutorials").join(name)
}

/// The `sh` blocks of a page, in order.
fn blocks(name: &str) -> Vec<String> {
    let text = fs::read_to_string(page(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut parts = text.split("```sh\n");
    parts.next();
    parts.map(|part| part.split("```").next().unwrap_or("").to_owned()).collect()
}

#[track_caller]
fn run(name: &str) {
    let dir = tempfile::tempdir().expect("an empty directory");
    let (work, path) = (dir.path().join("work"), dir.path().join("bin"));
    fs::create_dir(&work).expect("made");
    fs::create_dir(&path).expect("made");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tidegate"), path.join("tidegate")).expect("linked");
    let script = format!("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{}", blocks(&format!("{name}.md")).join("\n"));
    let paths = format!("{}:{}", path.display(), std::env::var("PATH").expect("a PATH"));
    let output = Command::new("timeout")
        .args(["--kill-after=5", "240", "bash", "-euo", "pipefail", "-c", &script])
        .current_dir(&work)
        .env("PATH", paths)
        .env_remove("TIDEGATE_LANG")
        .env_remove("TIDEGATE_LOG")
        .output()
        .expect("a shell");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let log = fs::read_to_string(work.join("node.log")).unwrap_or_default();
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{out}\n{err}\nnode.log:\n{log}", output.status);
}

#[test]
fn operators_page_runs() {
    run("operator");
}

#[test]
fn planners_page_runs() {
    run("planner");
}

#[test]
fn platform_teams_page_runs() {
    run("platform");
}

/// The Chinese page has the same blocks, so that one run proves both.
#[test]
fn both_languages_have_the_same_blocks() {
    for name in PAGES {
        let (english, chinese) = (blocks(&format!("{name}.md")), blocks(&format!("{name}.zh.md")));
        assert!(english.len() >= 3, "{name}");
        assert_eq!(english, chinese, "{name}");
    }
}
