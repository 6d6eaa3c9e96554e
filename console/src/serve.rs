//! Answers with a file: packed or plain, whole or "not modified", under headers that let a page do only what it must.
//!
//! Packing and hashing happen once, when [`routes`] is called. Nothing depends on a request but two of its headers.

use crate::table::{FILES, File, Kind};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::sync::Arc;

macro_rules! csp {
    ($frames:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; ",
            "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'; frame-ancestors ",
            $frames
        )
    };
}

/// What a page may do: load from its own origin, and nothing else; be framed by nobody.
pub const CSP_PAGE: &str = csp!("'none'");
/// As [`CSP_PAGE`], but pages of the same origin may frame it: the customer's page stands beside a shop's.
pub const CSP_CHAT: &str = csp!("'self'");

/// Where pages stand.
const PAGES: &[(&str, &str)] = &[("/", "start.html"), ("/chat/", "chat.html"), ("/desk/", "desk.html"), ("/wall/", "wall.html")];

/// A file, ready to be answered.
struct Ready {
    file: File,
    packed: Option<Bytes>,
    tag: HeaderValue,
}

impl Ready {
    fn of(file: File) -> Arc<Self> {
        let hash = Sha256::digest(file.bytes);
        let tag: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let tag = HeaderValue::from_str(&format!("\"{tag}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Arc::new(Self { file, packed: pack(file.bytes), tag })
    }

    fn answer(&self, asked: &HeaderMap) -> Response {
        let mut headers = HeaderMap::new();
        // Asked again every time and answered by tag: modules of two versions must never meet in one page.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::ETAG, self.tag.clone());
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
        let policy = if self.file.name == "chat.html" { CSP_CHAT } else { CSP_PAGE };
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
        if self.file.kind == Kind::Page {
            headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
            headers.insert("permissions-policy", HeaderValue::from_static("camera=(), geolocation=(), microphone=()"));
        }
        let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let tag = self.tag.to_str().unwrap_or_default();
        if known.flat_map(|list| list.split(',')).any(|one| matches!(one.trim(), "*") || one.trim().trim_start_matches("W/") == tag)
        {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.file.kind.media_type()));
        let body = match &self.packed {
            Some(packed) if takes_gzip(asked) => {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                Body::from(packed.clone())
            }
            _ => Body::from(self.file.bytes),
        };
        (headers, body).into_response()
    }
}

/// The bytes packed, if that makes them smaller.
fn pack(bytes: &[u8]) -> Option<Bytes> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes).ok()?;
    let packed = packer.finish().ok()?;
    (packed.len() < bytes.len()).then(|| packed.into())
}

fn takes_gzip(asked: &HeaderMap) -> bool {
    let lists = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|one| {
        let (name, quality) = one.split_once(';').unwrap_or((one, ""));
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

/// The routes of every page and file.
pub fn routes() -> Router {
    let mut router = Router::new();
    for file in FILES {
        let ready = Ready::of(*file);
        let answer = move |asked: HeaderMap| async move { ready.answer(&asked) };
        match PAGES.iter().find(|(_, name)| *name == file.name) {
            Some((path, _)) => {
                router = router.route(path, get(answer));
                if *path != "/" {
                    // Relative, so that it stays right behind a proxy's prefix.
                    let (short, target) = (path.trim_end_matches('/'), format!("{}/", path.trim_matches('/')));
                    let location = HeaderValue::from_str(&target).unwrap_or(HeaderValue::from_static("/"));
                    router = router
                        .route(short, get(move || async move { (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, location)]) }));
                }
            }
            None => router = router.route(&format!("/console/{}", file.name), get(answer)),
        }
    }
    router
}
