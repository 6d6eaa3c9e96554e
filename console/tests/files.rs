//! What the pages are made of: every file listed, every hash known, every size within its budget, every word in both languages.
//!
//! These tests read the files as they stand in the crate; nothing is started. What the pages do is `tests/browser`'s matter.

use flate2::Compression;
use flate2::write::GzEncoder;
use fluent_bundle::{FluentArgs, FluentBundle, FluentResource};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use tidegate_console::{FILES, File, Kind};

/// Budgets of a page and everything it loads, in packed bytes.
const CHAT_BYTES_MAX: usize = 25 * 1024;
const DESK_BYTES_MAX: usize = 150 * 1024;
const WALL_BYTES_MAX: usize = 60 * 1024;

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn file(name: &str) -> &'static File {
    FILES.iter().find(|file| file.name == name).unwrap_or_else(|| panic!("no file {name}"))
}

fn text(name: &str) -> &'static str {
    std::str::from_utf8(file(name).bytes).expect("files are UTF-8")
}

fn packed(bytes: &[u8]) -> usize {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes).expect("memory takes it");
    packer.finish().expect("memory takes it").len()
}

fn below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory of the crate") {
        let path = entry.expect("readable").path();
        if path.is_dir() { found.extend(below(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn every_file_is_served() {
    let known = |path: &PathBuf| {
        let bytes = std::fs::read(path).expect("readable");
        FILES.iter().any(|file| path.ends_with(file.name) && file.bytes == bytes)
    };
    let missing: Vec<_> = ["pages", "l10n"].iter().flat_map(|part| below(&here().join(part))).filter(|path| !known(path)).collect();
    assert!(missing.is_empty(), "not in the table of src/table.rs: {missing:?}");
}

#[test]
fn what_comes_from_elsewhere_is_what_it_was() {
    let list: toml::Table = std::fs::read_to_string(here().join("vendor/VENDOR.toml")).expect("the list").parse().expect("TOML");
    let mut listed = BTreeSet::from(["VENDOR.toml".to_owned()]);
    for entry in list["file"].as_array().expect("files") {
        let field = |name: &str| entry.get(name).and_then(toml::Value::as_str).unwrap_or_else(|| panic!("{name} of {entry:?}"));
        for name in ["origin", "version", "home", "licence"] {
            assert!(!field(name).is_empty(), "{name} of {entry:?}");
        }
        let bytes = std::fs::read(here().join("vendor").join(field("name"))).expect("a vendored file");
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, field("sha256"), "{} was changed", field("name"));
        listed.insert(field("name").to_owned());
        let licences = entry["licence_files"].as_array().expect("licences");
        assert!(!licences.is_empty());
        listed.extend(licences.iter().map(|name| name.as_str().expect("a name").to_owned()));
    }
    let there =
        below(&here().join("vendor")).iter().map(|path| path.file_name().expect("a name").to_string_lossy().into_owned()).collect();
    assert_eq!(listed, there, "a file without a line, or a line without a file");
}

/// Everything that a page loads, by its own links and imports.
fn loaded(page: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::from([format!("{page}.html")]);
    let mut open = vec![format!("{page}.html")];
    while let Some(name) = open.pop() {
        let quoted: Vec<&str> = text(&name).split('"').skip(1).step_by(2).collect();
        for word in quoted {
            let word = word.trim_start_matches("../console/").trim_start_matches("console/").trim_start_matches("./");
            if FILES.iter().any(|file| file.name == word) && names.insert(word.to_owned()) {
                open.push(word.to_owned());
            }
        }
    }
    names.insert(format!("l10n/en/{page}.ftl"));
    names.insert(format!("l10n/zh/{page}.ftl"));
    names
}

fn weight(page: &str) -> usize {
    loaded(page).iter().map(|name| packed(file(name).bytes)).sum()
}

#[test]
fn pages_stay_within_their_budget() {
    for (page, most) in [("chat", CHAT_BYTES_MAX), ("desk", DESK_BYTES_MAX), ("wall", WALL_BYTES_MAX), ("start", WALL_BYTES_MAX)] {
        let bytes = weight(page);
        println!("{page}: {bytes} bytes packed, both languages; {:?}", loaded(page));
        assert!(bytes <= most, "{page} weighs {bytes} bytes packed with all that it loads; at most {most}");
    }
    // The walk finds what it should: a page whose modules it missed would weigh nothing.
    assert!(loaded("chat").contains("fluent-bundle.js") && loaded("desk").contains("desk-view.js"));
}

type Words = BTreeMap<String, String>;

/// Keys and texts of a Fluent file; our files have one line a message.
fn words(language: &str, page: &str) -> Words {
    let lines = text_of(language, page).lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| line.split_once(" = ").unwrap_or_else(|| panic!("{language}/{page}: {line}")))
        .map(|(k, v)| (k.into(), v.into()))
        .collect()
}

fn text_of(language: &str, page: &str) -> &'static str {
    text(Box::leak(format!("l10n/{language}/{page}.ftl").into_boxed_str()))
}

const WORDED: [&str; 4] = ["start", "chat", "desk", "wall"];

#[test]
fn both_languages_say_everything() {
    for page in WORDED {
        let (en, zh) = (words("en", page), words("zh", page));
        assert_eq!(en.keys().collect::<Vec<_>>(), zh.keys().collect::<Vec<_>>(), "{page}: keys differ");
        let is_chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
        for (key, value) in &zh {
            let names_only = value.starts_with('{') || value.starts_with("×") || key == "language";
            assert!(is_chinese(value) || names_only, "{page}: {key} is not translated: {value}");
            assert!(key == "language" || !is_chinese(&en[key]), "{page}: {key} is not English: {}", en[key]);
            let names = |text: &str| {
                text.split("{ $").skip(1).filter_map(|rest| rest.split(' ').next()).map(str::to_owned).collect::<BTreeSet<_>>()
            };
            assert_eq!(names(value), names(&en[key]), "{page}: {key} takes other arguments");
        }
    }
}

/// The same files, read by the Rust library: no error, and every argument finds its place.
#[test]
fn the_words_are_read_in_rust_too() {
    for (language, page) in ["en", "zh"].iter().flat_map(|language| WORDED.map(|page| (*language, page))) {
        let resource = FluentResource::try_new(text_of(language, page).to_owned()).expect("no faults");
        let mut bundle = FluentBundle::new(vec![language.parse().expect("a language")]);
        bundle.set_use_isolating(false);
        bundle.add_resource(resource).expect("no key twice");
        for (key, value) in words(language, page) {
            let pattern = bundle.get_message(&key).and_then(|message| message.value()).unwrap_or_else(|| panic!("{key}"));
            let mut args = FluentArgs::new();
            for name in value.split("{ $").skip(1).filter_map(|rest| rest.split(' ').next()) {
                args.set(name.to_owned(), "†");
            }
            let mut errors = Vec::new();
            let said = bundle.format_pattern(pattern, Some(&args), &mut errors);
            assert!(errors.is_empty(), "{language}/{page}: {key}: {errors:?}");
            assert_eq!(said.matches('†').count(), value.matches("{ $").count(), "{key}");
        }
    }
}

/// The modules of a page that may speak.
fn modules(page: &str) -> Vec<&'static str> {
    loaded(page)
        .iter()
        .filter(|name| name.ends_with(".js") && !["htm-preact.js", "fluent-bundle.js"].contains(&name.as_str()))
        .map(|name| text(Box::leak(name.clone().into_boxed_str())))
        .collect()
}

fn without_comments(source: &str) -> String {
    let lines = source.lines().filter(|line| {
        !line.trim_start().starts_with("//") && !line.trim_start().starts_with("/**") && !line.trim_start().starts_with('*')
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The keys that a source asks for by name: `t("key"` where `t` is the whole name.
fn asked_for(source: &str) -> BTreeSet<String> {
    let calls = source
        .match_indices("t(\"")
        .filter(|(at, _)| !source[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.'));
    calls.filter_map(|(at, call)| Some(source[at + call.len()..].split_once('"')?.0.to_owned())).collect()
}

/// Every key that is asked for exists, and every key that exists is asked for, whole or by its beginning.
#[test]
fn every_word_is_used_and_every_used_word_is_there() {
    for page in WORDED {
        let source = modules(page).into_iter().map(without_comments).collect::<Vec<_>>().join("\n");
        let keys = words("en", page);
        let unknown: Vec<_> = asked_for(&source).into_iter().filter(|key| !keys.contains_key(key)).collect();
        assert_eq!(unknown, Vec::<String>::new(), "{page}: asked for, and not in its Fluent files");
        let is_asked = |key: &String| {
            let by_beginning = key.match_indices('-').any(|(at, _)| source.contains(&format!("`{}${{", &key[..=at])));
            // A choice is worded by its group and its code: `label(choice, "pause")`.
            let by_group = key.split_once('-').is_some_and(|(group, _)| source.contains(&format!(", \"{group}\")")));
            by_beginning
                || by_group
                || source.contains(&format!("\"{key}\""))
                || key.ends_with("-lead") && source.contains("`${id}-lead`")
        };
        // Keys that are frames' own words, said as they come.
        let framed = ["queued", "assigned", "transferred"];
        let is_framed = |key: &str| page == "chat" && framed.contains(&key);
        let idle: Vec<_> = keys.keys().filter(|key| !(is_asked(key) || is_framed(key))).collect();
        assert_eq!(idle, Vec::<&String>::new(), "{page}: in the Fluent files, and never said");
    }
    assert_eq!(asked_for("t(\"a\") + at(\"b\") + x.t(\"c\")"), BTreeSet::from(["a".to_owned()]));
}

/// A template without its expressions, up to its end.
fn markup_only(template: &str) -> String {
    let (mut depth, mut kept) = (0_usize, String::new());
    let mut letters = template.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '$' if letters.peek() == Some(&'{') => {}
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '`' if depth == 0 => break,
            letter if depth == 0 => kept.push(letter),
            _ => {}
        }
    }
    kept
}

/// Text between tags and in spoken attributes comes from the Fluent files, never from the source.
fn hard_words(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for template in without_comments(source).split("html`").skip(1) {
        let markup = markup_only(template);
        for piece in markup.split('>').skip(1).filter_map(|rest| rest.split('<').next()) {
            let keys = ["Enter", "Esc", "Alt", "Ctrl"];
            let spoken = piece.split_whitespace().filter(|word| word.chars().filter(|c| c.is_alphabetic()).count() > 1);
            found.extend(spoken.filter(|word| !keys.contains(word)).map(str::to_owned));
        }
        for attribute in ["aria-label=\"", "title=\"", "placeholder=\""] {
            found.extend(markup.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap_or_default().to_owned()));
        }
    }
    found
}

#[test]
fn no_page_has_words_of_its_own() {
    for page in WORDED {
        for source in modules(page) {
            assert_eq!(hard_words(source), Vec::<String>::new(), "{page}");
            let chinese: Vec<_> = without_comments(source).chars().filter(|c| ('\u{4e00}'..='\u{9fff}').contains(c)).collect();
            assert_eq!(chinese, [], "{page}");
        }
    }
    assert_eq!(hard_words("html`<p>${t(\"a\")} Hello <b>you</b></p>`"), ["Hello", "you"]);
    assert_eq!(hard_words("html`<p title=\"Hello\">${x ? html`<i>${t(\"b\")}</i>` : 1}</p>`"), ["Hello"]);
}

/// What would interpret a stranger's text, open a door for another origin, or trust the browser's clock.
#[test]
fn pages_do_nothing_dangerous() {
    let banned = [
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "dangerouslySet",
        "eval(",
        "new Function",
        "Date.now",
        "new Date",
        "http://",
        "https://",
        "setTimeout(\"",
        "javascript:",
        "window.open",
        "target=",
    ];
    for file in FILES.iter().filter(|file| !["htm-preact.js", "fluent-bundle.js", "icon.svg"].contains(&file.name)) {
        let source = text(file.name);
        for word in banned {
            assert!(!source.contains(word), "{}: {word}", file.name);
        }
        if file.kind == Kind::Page {
            assert!(!source.contains("<style") && !source.contains("style=") && !source.contains(" on"), "{}: inline", file.name);
            assert_eq!(
                source.matches("<script").count(),
                source.matches("<script type=\"module\" src=\"").count(),
                "{}",
                file.name
            );
        }
        if file.kind == Kind::Module {
            assert!(source.starts_with("// "), "{}: no head", file.name);
        }
    }
}
