//! Pages that people read, offline: the API's reference and the types of problems, and the document that machines read.
//!
//! Plain HTML written here from the OpenAPI document and the table of problems: no script, one style sheet, no request to
//! anybody. Everything that comes out of data is escaped. It refuses to know what the operations do.

use super::Api;
use super::problem::Problem;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::fmt::Write as _;
use tidegate_model::problem::{self as table, PROBLEMS, ProblemType};

const STYLE: &str = "\
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}\
code,pre{font-family:ui-monospace,monospace;font-size:.9em;overflow-wrap:anywhere}pre{overflow:auto;padding:.75rem;border:1px solid #8886;border-radius:4px}\
h2{margin-top:2.5rem;border-bottom:1px solid #8886}h3{margin:2rem 0 .25rem}table{border-collapse:collapse;width:100%;margin:.5rem 0}\
th,td{text-align:left;vertical-align:top;padding:.25rem .5rem;border-bottom:1px solid #8883}th{font-weight:600}\
.m{font-weight:700;margin-right:.5rem}nav ul{columns:2;padding-left:1rem}a{color:inherit}";

/// GET /v1/openapi.json.
pub(super) async fn document(State(api): State<Api>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], api.document().to_owned()).into_response()
}

/// GET /docs/api.css.
pub(super) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")], STYLE).into_response()
}

/// GET /docs/api.
pub(super) async fn reference(State(api): State<Api>) -> Response {
    html(api.reference().to_owned())
}

/// GET /problems.
pub(super) async fn problems() -> Response {
    let mut body =
        String::from("<h1>Problems · 错误类型</h1><table><tr><th>type</th><th>status</th><th>English</th><th>中文</th></tr>");
    for row in PROBLEMS {
        let _ = write!(
            body,
            "<tr><td><a href=\"{}{slug}\"><code>{slug}</code></a></td><td>{}</td><td>{}</td><td>{}</td></tr>",
            table::URI,
            row.status,
            escaped(row.title.en),
            escaped(row.title.zh),
            slug = row.slug,
        );
    }
    body.push_str("</table>");
    html(page("Problems · 错误类型", &body))
}

/// GET /problems/{slug}.
pub(super) async fn problem(Path(slug): Path<String>) -> Response {
    match table::find(&slug) {
        Some(row) => html(page(row.slug, &problem_body(row))),
        None => Problem::of("no-such-route", "no such type of problem; /problems lists them").into_response(),
    }
}

fn problem_body(row: &ProblemType) -> String {
    let part = |lang: &str, title: &str, means: &str, remedy: &str, heads: [&str; 2]| {
        format!(
            "<section lang=\"{lang}\"><h2>{}</h2><p><b>{}</b> {}</p><p><b>{}</b> {}</p></section>",
            escaped(title),
            heads[0],
            escaped(means),
            heads[1],
            escaped(remedy),
        )
    };
    let en = part("en", row.title.en, row.means.en, row.remedy.en, ["What it means.", "What to do."]);
    let zh = part("zh-Hans", row.title.zh, row.means.zh, row.remedy.zh, ["含义：", "处理方法："]);
    format!("<p><a href=\"/problems\">Problems · 错误类型</a></p><h1><code>{}</code> {}</h1>{en}{zh}", row.slug, row.status)
}

/// A row as the Markdown page that `docs/problems/` holds for it.
pub fn problem_markdown(row: &ProblemType) -> String {
    format!(
        "# {slug}\n\nHTTP {status} · `type`: `{uri}{slug}`\n\n## {}\n\n**What it means.** {}\n\n**What to do.** {}\n\n## {}\n\n**含义。** {}\n\n**处理方法。** {}\n",
        row.title.en,
        row.means.en,
        row.remedy.en,
        row.title.zh,
        row.means.zh,
        row.remedy.zh,
        slug = row.slug,
        status = row.status,
        uri = table::URI,
    )
}

fn html(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{} · Tidegate</title><link rel=\"stylesheet\" href=\"/docs/api.css\"></head><body>{body}</body></html>",
        escaped(title)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Text with `code`, **bold** and links to our own pages; paragraphs by empty lines.
fn prose(text: &str) -> String {
    let paragraph = |text: &str| {
        let mut out = String::new();
        for (at, part) in escaped(text).split('`').enumerate() {
            if at % 2 == 1 {
                let _ = write!(out, "<code>{part}</code>");
                continue;
            }
            for (at, part) in part.split("**").enumerate() {
                let _ = if at % 2 == 1 { write!(out, "<b>{part}</b>") } else { write!(out, "{part}") };
            }
        }
        out
    };
    text.split("\n\n").map(|part| format!("<p>{}</p>", paragraph(part))).collect()
}

/// The reference as a page.
pub(super) fn reference_page(document: &Value) -> String {
    let info = &document["info"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut body = format!("<h1>Tidegate API {}</h1>{}", escaped(&text(&info["version"])), prose(&text(&info["description"])));
    body.push_str("<p><a href=\"/v1/openapi.json\">OpenAPI 3.1</a> · <a href=\"/problems\">Problems · 错误类型</a></p>");
    let empty = serde_json::Map::new();
    let paths = document["paths"].as_object().unwrap_or(&empty);
    let operations = |tag: &str| {
        let of_path = |(path, item): (&String, &Value)| {
            let methods = item.as_object().cloned().unwrap_or_default().into_iter();
            let path = path.clone();
            methods.filter(|(_, op)| op["tags"][0] == tag).map(move |(method, op)| (path.clone(), method, op)).collect::<Vec<_>>()
        };
        paths.iter().flat_map(of_path).collect::<Vec<_>>()
    };
    let tags: Vec<_> =
        document["tags"].as_array().into_iter().flatten().map(|tag| (text(&tag["name"]), text(&tag["description"]))).collect();
    body.push_str("<nav><h2>Operations · 接口</h2><ul>");
    for (tag, _) in &tags {
        for (path, method, op) in operations(tag) {
            let id = text(&op["operationId"]);
            let _ = write!(
                body,
                "<li><a href=\"#{id}\"><span class=\"m\">{}</span><code>{}</code></a></li>",
                method.to_uppercase(),
                escaped(&path)
            );
        }
    }
    body.push_str("</ul></nav>");
    for (tag, says) in &tags {
        let _ = write!(body, "<h2>{}</h2><p>{}</p>", escaped(tag), escaped(says));
        for (path, method, op) in operations(tag) {
            operation(&mut body, &path, &method, &op);
        }
    }
    body.push_str("<h2>Schemas · 数据结构</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().unwrap_or(&empty) {
        let shown = serde_json::to_string_pretty(schema).unwrap_or_default();
        let _ = write!(body, "<h3 id=\"schema-{0}\">{0}</h3><pre>{1}</pre>", escaped(name), escaped(&shown));
    }
    page("API", &body)
}

fn operation(body: &mut String, path: &str, method: &str, op: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let id = text(&op["operationId"]);
    let _ = write!(
        body,
        "<h3 id=\"{id}\"><span class=\"m\">{}</span><code>{}</code></h3><p><b>{}</b></p>{}",
        method.to_uppercase(),
        escaped(path),
        escaped(&text(&op["summary"])),
        prose(&text(&op["description"])),
    );
    let parameters = op["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !parameters.is_empty() {
        body.push_str("<table><tr><th>Parameter · 参数</th><th>in</th><th>required</th><th></th></tr>");
        for parameter in parameters {
            let _ = write!(
                body,
                "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td></tr>",
                escaped(&text(&parameter["name"])),
                escaped(&text(&parameter["in"])),
                if parameter["required"] == true { "yes" } else { "" },
                escaped(&text(&parameter["description"])),
            );
        }
        body.push_str("</table>");
    }
    if let Some(content) = op["requestBody"]["content"].as_object() {
        let kinds: Vec<_> = content
            .iter()
            .map(|(kind, content)| format!("<code>{}</code> {}", escaped(kind), linked(&content["schema"])))
            .collect();
        let _ = write!(body, "<p>Body · 请求体: {}</p>", kinds.join(", "));
    }
    body.push_str("<table><tr><th>Answer · 响应</th><th></th></tr>");
    for (status, response) in op["responses"].as_object().into_iter().flatten() {
        let schema =
            response["content"].as_object().and_then(|content| content.values().next()).map(|content| linked(&content["schema"]));
        let says = text(&response["description"]);
        let says = if says.starts_with('[') { problem_links(&says) } else { escaped(&says) };
        let _ = write!(body, "<tr><td>{status}</td><td>{says} {}</td></tr>", schema.unwrap_or_default());
    }
    body.push_str("</table>");
}

fn linked(schema: &Value) -> String {
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    name.map(|name| format!("<a href=\"#schema-{0}\">{0}</a>", escaped(name))).unwrap_or_default()
}

/// "[`slug`](/problems/slug): Title; …" with real links.
fn problem_links(text: &str) -> String {
    let rows = text.split("; ").filter_map(|part| table::find(part.strip_prefix("[`")?.split_once('`')?.0));
    let link = |row: &ProblemType| {
        format!("<a href=\"{}{slug}\"><code>{slug}</code></a> {}", table::URI, escaped(row.title.en), slug = row.slug)
    };
    rows.map(link).collect::<Vec<_>>().join("<br>")
}
