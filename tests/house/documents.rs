//! Rules about documents: every relative link and anchor resolves, and every test that a promise names exists.
//!
//! Links are read from Markdown outside code fences and code spans; anchors follow GitHub's rule for headings. Links to
//! other hosts are not followed: the check needs no network. A test is named as `path/to/file.rs::function` in backticks.

use crate::lexer::code_only;
use crate::tree::{File, Tree, assert_caught, assert_clean};

/// The documents whose promises name their tests.
const PROMISES: &str = "docs/SEMANTICS.md";

/// The lines of a document outside code fences, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~");
        fenced ^= fence;
        (!fenced && !fence).then_some((at + 1, line))
    })
}

/// The line with its code spans blanked.
fn without_spans(line: &str) -> String {
    line.split('`').enumerate().map(|(at, part)| if at % 2 == 0 { part.to_owned() } else { " ".repeat(part.len()) }).collect()
}

/// The targets of `[text](target)`, `[name]: target` and `src="target"`.
fn targets(line: &str) -> Vec<String> {
    let line = without_spans(line);
    let mut found = Vec::new();
    for (at, _) in line.match_indices("](") {
        let rest = &line[at + 2..];
        let mut depth = 0;
        let end = rest.find(|letter| {
            depth += i32::from(letter == '(') - i32::from(letter == ')');
            depth < 0
        });
        found.extend(end.map(|end| rest[..end].split_whitespace().next().unwrap_or_default().to_owned()));
    }
    if line.starts_with('[')
        && let Some((_, target)) = line.split_once("]: ")
    {
        found.push(target.trim().to_owned());
    }
    for attribute in ["src=\"", "href=\""] {
        found.extend(line.split(attribute).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
    }
    found
}

/// GitHub's anchor of a heading: lower case, spaces to hyphens, letters, digits, hyphens and underscores kept.
fn slug(heading: &str) -> String {
    let heading = heading.trim().replace(['`', '*'], "");
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.flat_map(char::to_lowercase).map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

fn anchors(text: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    for (_, line) in prose(text) {
        if line.starts_with('#') && line.trim_start_matches('#').starts_with(' ') {
            let base = slug(line.trim_start_matches('#'));
            let again = anchors.iter().filter(|anchor| **anchor == base || anchor.starts_with(&format!("{base}-"))).count();
            let unique = if anchors.contains(&base) { format!("{base}-{again}") } else { base };
            anchors.push(unique);
        }
        for marker in ["id=\"", "name=\""] {
            anchors.extend(line.split(marker).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
    anchors
}

/// `link`, seen from the file at `from`, as a path from the root; none if it leaves the tree.
fn resolved(from: &str, link: &str) -> Option<String> {
    let mut parts = from.split('/').collect::<Vec<_>>();
    parts.pop();
    if let Some(absolute) = link.strip_prefix('/') {
        return Some(absolute.trim_end_matches('/').to_owned());
    }
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn broken_link(tree: &Tree, file: &File, target: &str) -> Option<&'static str> {
    let elsewhere = ["http://", "https://", "mailto:"].iter().any(|scheme| target.starts_with(scheme));
    if elsewhere || target.is_empty() {
        return None;
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let Some(path) = (if path.is_empty() { Some(file.path.clone()) } else { resolved(&file.path, path) }) else {
        return Some("leaves the tree");
    };
    if !tree.holds(&path) {
        return Some("is not there");
    }
    let anchor = anchor.filter(|_| path.ends_with(".md"))?;
    let known = anchors(tree.text(&path).unwrap_or_default());
    (!known.iter().any(|known| known == anchor)).then_some("has no such heading")
}

fn links(tree: &Tree) -> Vec<String> {
    let mut violations = Vec::new();
    for file in tree.ending(".md") {
        for (line, text) in prose(&file.text) {
            for target in targets(text) {
                let broken = broken_link(tree, file, &target);
                violations.extend(broken.map(|why| format!("{}:{line}: `{target}` {why}", file.path)));
            }
        }
    }
    violations
}

/// The tests named in a document: (line, path, function).
fn named_tests(text: &str) -> Vec<(usize, String, String)> {
    let spans = |(line, text)| {
        let parts: Vec<String> = str::split(text, '`').map(str::to_owned).collect();
        parts.into_iter().skip(1).step_by(2).map(move |span| (line, span))
    };
    prose(text)
        .flat_map(spans)
        .filter_map(|(line, span)| {
            let (path, function) = span.split_once(".rs::")?;
            let function = function.rsplit("::").next()?.to_owned();
            Some((line, format!("{path}.rs"), function))
        })
        .collect()
}

fn promises(tree: &Tree) -> Vec<String> {
    let Some(text) = tree.text(PROMISES) else { return Vec::new() };
    let named = named_tests(text);
    if named.is_empty() {
        return vec![format!("{PROMISES}: names no test: write `path/to/file.rs::function` beside each promise")];
    }
    named
        .into_iter()
        .filter_map(|(line, path, function)| {
            let Some(source) = tree.text(&path) else {
                return Some(format!("{PROMISES}:{line}: no file {path}"));
            };
            let there = code_only(source).contains(&format!("fn {function}("));
            (!there).then(|| format!("{PROMISES}:{line}: {path} has no test {function}"))
        })
        .collect()
}

#[test]
fn every_link_resolves() {
    assert_clean("documentation links", &links(&Tree::load()));
}

#[test]
fn every_promise_names_a_test_that_exists() {
    assert_clean("promises", &promises(&Tree::load()));
}

#[test]
fn planted_links_are_caught() {
    let plant = |text: &str| Tree::planted(&[("docs/A.md", text), ("docs/B.md", "# One two\n## `x` Ünï, (3)\n"), ("a.rs", "")]);
    for good in ["[b](B.md)", "[b](B.md#one-two)", "[b](B.md#x-ünï-3)", "[a](../a.rs)", "[d](.)", "[w](https://a.b/c)"] {
        assert_eq!(links(&plant(good)), Vec::<String>::new(), "{good}");
    }
    assert!(links(&plant("`[b](C.md)`\n```\n[b](C.md)\n```\n")).is_empty());
    assert_caught(&links(&plant("\n[b](C.md)")), "docs/A.md:2: `C.md` is not there");
    assert_caught(&links(&plant("[b](B.md#three)")), "has no such heading");
    assert_caught(&links(&plant("[b](../../a.rs)")), "leaves the tree");
    assert_caught(&links(&plant("[b]: C.md")), "is not there");
    assert_caught(&links(&plant("# A\n[a](#b)")), "has no such heading");
    assert_caught(&links(&plant("<img src=\"a.svg\">")), "is not there");
}

#[test]
fn planted_promises_are_caught() {
    let plant = |text: &str| Tree::planted(&[(PROMISES, text), ("tests/kill.rs", "#[test]\nfn a_kill() {}\n// fn not_here() {}")]);
    assert!(promises(&plant("Nothing is lost: `tests/kill.rs::a_kill`.")).is_empty());
    assert_caught(&promises(&plant("Nothing: `tests/kill.rs::not_here`.")), "has no test not_here");
    assert_caught(&promises(&plant("Nothing: `tests/gone.rs::a_kill`.")), "no file tests/gone.rs");
    assert_caught(&promises(&plant("Nothing is lost.")), "names no test");
}
