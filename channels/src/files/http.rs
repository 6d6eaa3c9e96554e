//! HTTP of files: `POST` takes one, `GET` gives one, for customers and for desks.
//!
//! What is given out cannot run in a page of ours: it is an attachment, of an inert type or plain bytes, never sniffed, in a
//! sandbox. A file that somebody may not read is answered like one that does not exist. It refuses to know what is allowed:
//! that is in the rules, the transcript and the store.

use super::media::MediaType;
use super::transfer::{Incoming, give, take};
use super::{FileFrame, conversation_of, problem, too_big, unknown_file};
use crate::gauges::{Level, Slot, bump};
use crate::item::to_json;
use crate::json::clip;
use crate::problem::Problem;
use crate::service::Shared;
use crate::socket::problem_response;
use crate::web::http::{admit, bearer};
use crate::web::machine::Admission;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::sync::Arc;
use tidegate_model::file::{FILE_NAME_BYTES_MAX, clean_name};
use tidegate_model::port::{AgentGrant, Blobs, FileFacts, FileHash, FileOwner, PortError, Uploader};
use tidegate_model::{ClaimId, ConversationId, Millis, TenantId};

/// Characters that stand for themselves in an extended parameter (RFC 8187, `attr-char`).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn answer(shared: &Shared, result: Result<Response, Problem>) -> Response {
    result.unwrap_or_else(|problem| {
        bump(&shared.counters.files_refused);
        let mut response = problem_response(&problem);
        if matches!(problem.status, 408 | 413) {
            // What is left of the body is not read.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    })
}

/// `POST /v1/web/files?name=…`.
pub(crate) async fn web_upload(State(shared): State<Arc<Shared>>, RawQuery(raw): RawQuery, request: Request) -> Response {
    let result = async {
        let Admission { grant, may_write } = admit(&shared, request.headers(), None)?;
        let held = place(&shared, &shared.uploads)?;
        shared.rates.take(&grant, shared.now()).inspect_err(|_| bump(&shared.counters.frames_limited))?;
        if !may_write {
            return Err(Problem::of("verified-only", "this inbox takes verified visitors only"));
        }
        let query = query(raw.as_deref(), false)?;
        let inbox = shared.inbox_of(grant.tenant, grant.account).map(|inbox| inbox.name.as_str()).unwrap_or_default();
        let kinds = shared.config.files.by_inbox.get(inbox).unwrap_or(&shared.config.files.kinds);
        let owner = FileOwner { tenant: grant.tenant, conversation: grant.conversation, by: Uploader::Customer };
        let made = upload(&shared, owner, kinds, query.name, request).await;
        drop(held);
        made
    };
    let result = result.await;
    answer(&shared, result)
}

/// `GET /v1/web/files/{file}`.
pub(crate) async fn web_download(State(shared): State<Arc<Shared>>, Path(file): Path<String>, headers: HeaderMap) -> Response {
    let result = async {
        let Admission { grant, .. } = admit(&shared, &headers, None)?;
        let held = place(&shared, &shared.downloads)?;
        shared.rates.take(&grant, shared.now()).inspect_err(|_| bump(&shared.counters.frames_limited))?;
        download(&shared, grant.tenant, &[grant.conversation], &file, &headers, held).await
    };
    let result = result.await;
    answer(&shared, result)
}

/// `POST /v1/desk/files?claim=…&name=…`.
pub(crate) async fn desk_upload(State(shared): State<Arc<Shared>>, RawQuery(raw): RawQuery, request: Request) -> Response {
    let result = async {
        let AgentGrant { tenant, seat } = agent(&shared, request.headers())?;
        let held = place(&shared, &shared.uploads)?;
        let query = query(raw.as_deref(), true)?;
        let seen = shared.desk_port.snapshot(tenant, seat).await.map_err(|error| Problem::port(&error))?;
        let gone = || Problem::refused(tidegate_model::output::Refusal::ClaimGone, None).at("claim");
        let claim = query.claim.ok_or_else(|| Problem::parameter("claim", "claim is missing: 1 to 16 hexadecimal digits"))?;
        let conversation = conversation_of(&seen, claim).ok_or_else(gone)?;
        let owner = FileOwner { tenant, conversation, by: Uploader::Seat(seat) };
        let made = upload(&shared, owner, &shared.config.files.desk_kinds, query.name, request).await;
        drop(held);
        made
    };
    let result = result.await;
    answer(&shared, result)
}

/// `GET /v1/desk/files/{file}`.
pub(crate) async fn desk_download(State(shared): State<Arc<Shared>>, Path(file): Path<String>, headers: HeaderMap) -> Response {
    let result = async {
        let AgentGrant { tenant, seat } = agent(&shared, &headers)?;
        let held = place(&shared, &shared.downloads)?;
        let seen = match shared.desk_port.snapshot(tenant, seat).await {
            Ok(seen) => seen,
            Err(PortError::Unknown) => return Err(unknown_file()),
            Err(error) => return Err(Problem::port(&error)),
        };
        let served: Vec<ConversationId> = seen.claims.iter().map(|open| open.conversation).collect();
        download(&shared, tenant, &served, &file, &headers, held).await
    };
    let result = result.await;
    answer(&shared, result)
}

fn agent(shared: &Shared, headers: &HeaderMap) -> Result<AgentGrant, Problem> {
    shared.desk_allows(headers)?;
    let missing = || Problem::of("unauthorised", "send Authorization: Bearer with an agent's token");
    shared.auth.agent(bearer(headers).ok_or_else(missing)?).map_err(|error| {
        bump(&shared.counters.tokens_refused);
        Problem::auth(error)
    })
}

fn place(shared: &Shared, level: &Arc<Level>) -> Result<Slot, Problem> {
    if shared.drain.borrow().is_some() {
        return Err(Problem::port(&PortError::Closed));
    }
    level.slot().ok_or_else(|| {
        bump(&shared.counters.connections_refused);
        Problem::busy(Millis(1_000))
    })
}

fn blobs(shared: &Shared) -> Result<&Arc<dyn Blobs>, Problem> {
    let none = || Problem::of("no-files", "this node takes no files");
    shared.config.blobs.as_ref().ok_or_else(none)
}

#[derive(Default)]
struct Query {
    name: String,
    claim: Option<ClaimId>,
}

fn query(raw: Option<&str>, of_desk: bool) -> Result<Query, Problem> {
    let mut query = Query::default();
    for pair in raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned();
        match name {
            "name" if value.len() > FILE_NAME_BYTES_MAX => {
                let detail = format!("name has {} bytes, at most {FILE_NAME_BYTES_MAX}", value.len());
                return Err(Problem::of("too-long", detail).at("name"));
            }
            "name" => query.name = clean_name(&value),
            "claim" if of_desk => match u64::from_str_radix(&value, 16) {
                Ok(claim) if claim != 0 && value.len() <= 16 && !value.starts_with('+') => query.claim = Some(ClaimId(claim)),
                _ => return Err(Problem::parameter("claim", "claim must be 1 to 16 hexadecimal digits, not 0")),
            },
            other => {
                let (shown, known) = (clip(other), if of_desk { "claim, name" } else { "name" });
                let detail = format!("unknown parameter `{shown}`; known here: {known}");
                return Err(Problem::of("unknown-parameter", detail).at(shown));
            }
        }
    }
    if query.name.is_empty() {
        query.name.push_str("file");
    }
    Ok(query)
}

async fn upload(
    shared: &Arc<Shared>,
    owner: FileOwner,
    kinds: &[MediaType],
    name: String,
    request: Request,
) -> Result<Response, Problem> {
    let blobs = Arc::clone(blobs(shared)?);
    // A drain waits for uploads, too.
    let drain = shared.drain.subscribe();
    let headers = request.headers();
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = MediaType::parse(said).filter(|kind| kinds.contains(kind)).ok_or_else(|| {
        let allowed: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
        let detail = format!("`{}` is not taken here; taken are: {}", clip(said), allowed.join(", "));
        Problem::of("media-type", detail).at("Content-Type")
    })?;
    let announced = match headers.get(header::CONTENT_LENGTH).map(|value| value.to_str().ok().and_then(|text| text.parse().ok())) {
        None => None,
        Some(Some(bytes)) if bytes > blobs.largest() => return Err(too_big(blobs.largest())),
        Some(Some(bytes)) => Some(bytes),
        Some(None) => return Err(Problem::parameter("Content-Length", "Content-Length must be a whole number")),
    };
    let incoming = Incoming { owner, kind, name, announced };
    let facts = take(shared, &*blobs, incoming, request.into_body()).await?;
    drop(drain);
    let headers = [("content-type", "application/json"), ("cache-control", "no-store")];
    Ok((StatusCode::CREATED, headers, to_json(&FileFrame::from(facts.as_ref()))).into_response())
}

async fn download(
    shared: &Arc<Shared>,
    tenant: TenantId,
    conversations: &[ConversationId],
    file: &str,
    headers: &HeaderMap,
    held: Slot,
) -> Result<Response, Problem> {
    let blobs = blobs(shared)?;
    let hash = FileHash::parse(file).ok_or_else(unknown_file)?;
    let mut facts: Option<FileFacts> = None;
    for conversation in conversations {
        facts = blobs.shared(tenant, *conversation, hash).await.map_err(|error| problem(&error))?;
        if facts.is_some() {
            break;
        }
    }
    let facts = facts.ok_or_else(unknown_file)?;
    let tag = format!("\"{hash}\"");
    // The right to read has been checked: "you have it already" tells nothing new.
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|other| other.trim().trim_start_matches("W/") == tag)) {
        let headers = [(header::ETAG, tag), (header::CACHE_CONTROL, "private, no-cache".to_owned())];
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let reader = blobs.open(hash).await.map_err(|error| problem(&error))?;
    let bytes = reader.bytes();
    let headers = [
        (header::CONTENT_TYPE, MediaType::inert(&facts.media_type).to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
        (header::CONTENT_DISPOSITION, disposition(&facts.name)),
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'; frame-ancestors 'none'".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::ACCEPT_RANGES, "none".to_owned()),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
        (header::ETAG, tag),
    ];
    bump(&shared.counters.files_given);
    let body: Body = give(shared, reader, held);
    Ok((StatusCode::OK, headers, body).into_response())
}

/// `attachment` with the name twice: plain for old clients, and as it is (RFC 6266, RFC 8187).
fn disposition(name: &str) -> String {
    let plain = |c: char| if c.is_ascii() && !c.is_ascii_control() && !matches!(c, '"' | '\\' | '%') { c } else { '_' };
    let old: String = name.chars().map(plain).collect();
    format!("attachment; filename=\"{old}\"; filename*=UTF-8''{}", utf8_percent_encode(name, PLAIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_out_of_queries_harmless() {
        let name = |raw: &str| query(Some(raw), false).map(|query| query.name).map_err(|problem| problem.slug);
        assert_eq!(name("name=a%20b+c.png").as_deref(), Ok("a b c.png"));
        assert_eq!(name("name=..%2F..%2Fetc%5Cpasswd").as_deref(), Ok(".._.._etc_passwd"));
        assert_eq!(name("name=%E2%80%AEgpj.exe").as_deref(), Ok("_gpj.exe"), "a turned name");
        assert_eq!(name("name=a%E2%80%8Bb%00%0d%0a").as_deref(), Ok("a_b___"));
        assert_eq!(name("name=..").as_deref(), Ok("__"));
        assert_eq!(name("").as_deref(), Ok("file"));
        assert_eq!(name("name=%ff%e5").as_deref(), Ok("\u{fffd}\u{fffd}"));
        for (bytes, fine) in [(255, true), (256, false), (2_550, false), (10_000, false)] {
            assert_eq!(name(&format!("name={}", "x".repeat(bytes))).is_ok(), fine, "{bytes}");
        }
        assert_eq!(name("claim=1"), Err("unknown-parameter"));
        let claim = |raw: &str| query(Some(raw), true).map(|query| query.claim).map_err(|problem| problem.slug);
        assert_eq!(claim("claim=1f"), Ok(Some(ClaimId(31))));
        for wrong in ["claim=0", "claim=", "claim=x", "claim=%2B1", "claim=11111111111111111"] {
            assert_eq!(claim(wrong), Err("bad-parameter"), "{wrong}");
        }
    }

    #[test]
    fn a_name_cannot_leave_its_header() {
        let shown = disposition("a\"; filename=\"evil.exe\r\n报价.pdf");
        assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{shown}");
        assert_eq!(shown.matches('"').count(), 2, "{shown}");
        assert!(shown.ends_with("%0D%0A%E6%8A%A5%E4%BB%B7.pdf"), "{shown}");
    }
}
