//! The words of the house in public names: the glossary's, and none of the five that it replaces.
//!
//! Contact, Conversation, Segment, Ticket and Claim are what other systems call by one of [`INSTEAD`]'s words; a public type
//! by such a name would bring the confusion back. Only names of public types are read: a heuristic, cheap and quiet. The
//! other way round, every Rust type that the glossary names must stand in the code.

use crate::lexer::{code_only, has_word};
use crate::tree::{Tree, assert_caught, assert_clean};

const GLOSSARY: &str = "docs/GLOSSARY.md";

const INSTEAD: &[(&str, &str)] = &[
    ("Call", "Contact or Conversation"),
    ("Session", "Seat, Conversation or Connection"),
    ("Task", "Ticket"),
    ("Worker", "Agent or Seat"),
    ("Job", "Ticket"),
];

/// `FooBar` as `Foo`, `Bar`.
fn humps(name: &str) -> Vec<String> {
    let mut humps: Vec<String> = Vec::new();
    for letter in name.chars() {
        match humps.last_mut() {
            Some(hump) if !letter.is_uppercase() => hump.push(letter),
            _ => humps.push(letter.to_string()),
        }
    }
    humps
}

fn words(tree: &Tree) -> Vec<String> {
    let mut violations = Vec::new();
    for file in tree.ending(".rs") {
        for (at, line) in code_only(&file.text).lines().enumerate() {
            let mut tokens = line.split_whitespace();
            let declares = tokens.next() == Some("pub") && matches!(tokens.next(), Some("struct" | "enum" | "trait" | "type"));
            let rest = tokens.next().filter(|_| declares).unwrap_or_default();
            let name: String = rest.chars().take_while(|letter| letter.is_alphanumeric()).collect();
            let found = humps(&name).iter().find_map(|hump| {
                let hump = hump.strip_suffix('s').unwrap_or(hump);
                INSTEAD.iter().find(|(word, _)| hump == *word)
            });
            let say = |(word, instead): &(&str, &str)| format!("{}:{}: `{name}`: not {word}: {instead}", file.path, at + 1);
            violations.extend(found.map(say));
        }
    }
    violations
}

/// The names in the third column of the glossary that no source of ours knows.
fn unknown_types(tree: &Tree) -> Vec<String> {
    let glossary = tree.text(GLOSSARY).unwrap_or_default();
    let sources = tree.ending(".rs").filter(|file| !file.path.starts_with("tests/")).map(|file| code_only(&file.text));
    let code = sources.collect::<Vec<_>>().join("\n");
    let mut violations = Vec::new();
    for (at, line) in glossary.lines().enumerate().filter(|(_, line)| line.starts_with("| ")) {
        let types = line.split('|').nth(3).unwrap_or_default();
        let names = types.split('`').skip(1).step_by(2).filter_map(|name| name.rsplit("::").next());
        let unknown = names.filter(|name| !has_word(&code, name));
        violations.extend(unknown.map(|name| format!("{GLOSSARY}:{}: no type `{name}` in the code", at + 1)));
    }
    violations
}

#[test]
fn the_glossary_names_types_that_exist() {
    let tree = Tree::load();
    assert!(tree.text(GLOSSARY).is_some_and(|text| text.contains("`Policy`")), "{GLOSSARY} has no types");
    assert_clean("glossary", &unknown_types(&tree));
}

#[test]
fn a_planted_glossary_is_caught() {
    let row = "| Ticket | waits | `TicketId`, `Input::Begin` | 排队单 |\n";
    let plant = |code| Tree::planted(&[(GLOSSARY, row), ("router/core/src/a.rs", code)]);
    assert!(unknown_types(&plant("pub struct TicketId; enum Input { Begin }")).is_empty());
    assert_caught(&unknown_types(&plant("// TicketId\nenum Input { Begin }")), "no type `TicketId`");
}

#[test]
fn public_types_use_the_glossary() {
    assert_clean("words", &words(&Tree::load()));
}

#[test]
fn planted_words_are_caught() {
    let at = |text: &str| words(&Tree::planted(&[("router/core/src/a.rs", text)]));
    assert_caught(&at("pub struct AgentSession {"), "not Session");
    assert_caught(&at("\npub enum Jobs {"), "a.rs:2");
    assert!(at("pub struct Callback;\npub struct Recall;\n// pub struct Call;\nstruct Task;").is_empty());
}
