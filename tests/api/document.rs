//! The document and the pages: what is committed is what is served, and everything that is served is described.

use crate::client::Ask;
use crate::stand::Stand;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use tidegate_model::problem::PROBLEMS;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn made() -> String {
    let made = Command::new(env!("CARGO_BIN_EXE_tidegate")).args(["api", "openapi"]).output().expect("the binary runs");
    assert!(made.status.success());
    String::from_utf8(made.stdout).expect("UTF-8")
}

#[test]
fn the_committed_document_is_the_one_that_the_code_makes() {
    let committed = std::fs::read_to_string(root().join("docs/api/openapi.json")).expect("docs/api/openapi.json");
    let made = made();
    let differs = committed.lines().zip(made.lines()).position(|(committed, made)| committed != made);
    assert!(
        committed == made,
        "docs/api/openapi.json is out of date from line {:?}; renew it: cargo run -- api openapi > docs/api/openapi.json",
        differs.map(|line| line + 1)
    );
}

#[test]
fn it_is_openapi_3_1_with_unique_ids_and_references_that_resolve() {
    let document: Value = serde_json::from_str(&made()).expect("JSON");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{}", document["openapi"]);
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, op) in item.as_object().expect("an item") {
            let id = op["operationId"].as_str().unwrap_or_default();
            assert!(!id.is_empty() && ids.insert(id.to_owned()), "{method} {path}: the id {id:?} is empty or taken");
            assert!(op["summary"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}");
            let tag = &op["tags"][0];
            assert!(document["tags"].as_array().is_some_and(|tags| tags.iter().any(|known| known["name"] == *tag)), "{tag}");
            let errors = op["responses"].as_object().expect("responses").iter().filter(|(status, _)| status.as_str() >= "400");
            for (status, response) in errors {
                assert!(!response["content"]["application/problem+json"].is_null(), "{method} {path} {status}");
            }
        }
    }
    references(&document, &mut |reference| {
        let pointer = reference.strip_prefix('#').unwrap_or_default();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    });
}

fn references(value: &Value, f: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            members.get("$ref").and_then(Value::as_str).into_iter().for_each(&mut *f);
            members.values().for_each(|value| references(value, f));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, f)),
        _ => {}
    }
}

/// Every `.route("…"` of the sources is a path of the document.
#[test]
fn every_route_of_the_sources_is_described() {
    let document: Value = serde_json::from_str(&made()).expect("JSON");
    let mut found = 0;
    for file in sources() {
        let text = std::fs::read_to_string(&file).expect("a source");
        for rest in text.split(".route(\"").skip(1) {
            let path = rest.split('"').next().unwrap_or_default();
            assert!(!document["paths"][path].is_null(), "{}: {path} is served and not described", file.display());
            found += 1;
        }
    }
    assert!(found >= 9, "the customers' and desks' routes are there: {found}");
}

/// Every slug that a problem is made with has its row, and so its status, its title and its page.
#[test]
fn every_slug_of_the_sources_has_its_row() {
    let known = |slug: &str| PROBLEMS.iter().any(|row| row.slug == slug);
    let mut found = BTreeSet::new();
    for file in sources() {
        let text = std::fs::read_to_string(&file).expect("a source");
        for start in ["Problem::new(", "Problem::of(", "Self::of(", "Problem::not_found("] {
            for rest in text.split(start).skip(1) {
                let Some(slug) = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()) else { continue };
                assert!(known(slug), "{}: the problem {slug:?} has no row in router/model/src/problem.rs", file.display());
                found.insert(slug.to_owned());
            }
        }
    }
    assert!(found.len() > 25, "the sources were read: {found:?}");
}

fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut dirs = vec![root().join("router/src"), root().join("channels/src")];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).expect("a directory").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                dirs.push(entry);
            } else if entry.extension().is_some_and(|kind| kind == "rs") {
                files.push(entry);
            }
        }
    }
    files
}

#[test]
fn the_committed_pages_of_problems_are_those_of_the_table() {
    let dir = root().join("docs/problems");
    let mut there: BTreeSet<String> =
        std::fs::read_dir(&dir).expect("docs/problems").filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let index = std::fs::read_to_string(dir.join("README.md")).expect("the list of pages");
    for row in PROBLEMS {
        let name = format!("{}.md", row.slug);
        let text = std::fs::read_to_string(dir.join(&name)).unwrap_or_default();
        assert_eq!(text, tidegate_router::http::problem_markdown(row), "renew: cargo run -- api problems docs/problems");
        there.remove(&name);
        assert!(
            index.contains(&format!("| [`{}`]({name}) | {} |", row.slug, row.status)),
            "{name} is not in the list of README.md"
        );
    }
    there.remove("README.md");
    assert!(there.is_empty(), "pages without a row: {there:?}");
}

#[test]
fn a_node_serves_the_document_and_the_pages_offline() {
    let stand = Stand::new();
    let node = stand.start("127.0.0.1:0");
    let get = |path: &str| Ask::new("GET", path).send(&node.address()).expect("an answer");
    let served = get("/v1/openapi.json");
    assert_eq!((served.status, served.text.as_str()), (200, made().as_str()), "the same bytes");
    let page = get("/docs/api");
    assert_eq!(page.status, 200);
    let document = served.json();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for op in item.as_object().expect("an item").values() {
            let anchor = format!("id=\"{}\"", op["operationId"].as_str().unwrap_or_default());
            assert!(page.text.contains(&anchor) && page.text.contains(path.as_str()), "{path} is not in the reference");
        }
    }
    let mut pages = vec![page, get("/problems")];
    for row in PROBLEMS {
        let page = get(&format!("/problems/{}", row.slug));
        assert_eq!(page.status, 200, "{}", row.slug);
        for text in [row.title.en, row.title.zh, row.remedy.zh] {
            assert!(page.text.contains(text), "{}: {text}", row.slug);
        }
        pages.push(page);
    }
    for page in pages {
        assert!(page.head.contains("content-security-policy: default-src 'none'; style-src 'self'"), "{}", page.head);
        assert!(page.head.contains("x-content-type-options: nosniff"), "{}", page.head);
        for foreign in ["<script", "<img", "src=", "href=\"http", "href=\"//", "url(", "javascript:"] {
            assert!(!page.text.contains(foreign), "{foreign} in a page");
        }
    }
    get("/problems/no-such-thing").problem(404, "no-such-route");
    assert_eq!(get("/docs/api.css").status, 200);
}
