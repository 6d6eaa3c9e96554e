//! What a browser is told beside the file: the type, the tag, what a page may do; and packed only for those who can unpack.
//!
//! Requests go to the routes themselves, without a socket.

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode};
use flate2::read::GzDecoder;
use std::io::Read;
use tidegate_console::{FILES, routes};
use tower::ServiceExt;

async fn ask(path: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    routes().oneshot(request.body(Body::empty()).expect("a request")).await.expect("it answers")
}

async fn bytes(answer: Response<Body>) -> Vec<u8> {
    to_bytes(answer.into_body(), usize::MAX).await.expect("a body").to_vec()
}

fn header<'a>(answer: &'a Response<Body>, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

fn path_of(name: &str) -> String {
    match name {
        "start.html" => "/".into(),
        page if page.ends_with(".html") => format!("/{}/", page.trim_end_matches(".html")),
        name => format!("/console/{name}"),
    }
}

#[tokio::test]
async fn every_file_has_its_headers() {
    for file in FILES {
        let answer = ask(&path_of(file.name), &[]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{}", file.name);
        assert_eq!(header(&answer, "content-type"), file.kind.media_type());
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
        assert_eq!(header(&answer, "referrer-policy"), "no-referrer");
        assert_eq!(header(&answer, "cache-control"), "no-cache");
        let policy = header(&answer, "content-security-policy").to_owned();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(rule), "{}: {rule} is not in {policy}", file.name);
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'), "{policy}");
        let framed = if file.name == "chat.html" { "frame-ancestors 'self'" } else { "frame-ancestors 'none'" };
        assert!(policy.ends_with(framed), "{}: {policy}", file.name);
        assert_eq!(header(&answer, "content-encoding"), "");
        assert_eq!(bytes(answer).await, file.bytes);
    }
}

#[tokio::test]
async fn packed_for_those_who_ask() {
    let answer = ask("/console/desk.js", &[("accept-encoding", "br, gzip;q=0.5")]).await;
    assert_eq!(header(&answer, "content-encoding"), "gzip");
    assert_eq!(header(&answer, "vary"), "accept-encoding");
    let mut plain = Vec::new();
    GzDecoder::new(&bytes(answer).await[..]).read_to_end(&mut plain).expect("gzip");
    assert_eq!(plain, FILES.iter().find(|file| file.name == "desk.js").expect("it").bytes);
    for refused in ["gzip;q=0", "br", "xgzip"] {
        assert_eq!(header(&ask("/console/desk.js", &[("accept-encoding", refused)]).await, "content-encoding"), "", "{refused}");
    }
}

#[tokio::test]
async fn what_is_known_is_not_sent_again() {
    let tag = header(&ask("/chat/", &[]).await, "etag").to_owned();
    assert!(tag.len() > 10 && tag.starts_with('"'));
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".into()] {
        let answer = ask("/chat/", &[("if-none-match", &known)]).await;
        assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{known}");
        assert!(header(&answer, "content-security-policy").contains("'none'"));
        assert_eq!(bytes(answer).await, b"");
    }
    assert_eq!(ask("/chat/", &[("if-none-match", "\"other\"")]).await.status(), StatusCode::OK);
    assert_ne!(tag, header(&ask("/desk/", &[]).await, "etag"));
}

#[tokio::test]
async fn paths_that_are_nobodys_are_not_ours() {
    for path in
        ["/console/", "/console/../Cargo.toml", "/console/desk.js/", "/chat/x", "/console/vendor/htm-preact.js", "/%2e%2e/", "//"]
    {
        assert_eq!(ask(path, &[]).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let answer = ask("/desk", &[]).await;
    assert_eq!((answer.status(), header(&answer, "location")), (StatusCode::PERMANENT_REDIRECT, "desk/"));
}
