//! Files over real sockets: what may be sent, by whom, who may read it, and every way in which an upload goes wrong.

use crate::support::{OTHER_TENANT, Stand, TENANT, stand_files};
use serde_json::{Value, json};
use std::sync::Arc;
use tidegate_channels::MediaType;
use tidegate_channels::client::http::{exchange, send};
use tidegate_channels::client::{Begin, ClaimSeen, ClientError, DeskClient, DeskEvent, FileSeen, WebClient, WebEvent};
use tidegate_channels::files::{Inspection, Inspector, Unfit};
use tidegate_model::port::{AgentGrant, BlobError, BoxFuture, CustomerGrant};
use tidegate_model::{AccountId, ConversationId, CustomerId, Millis, SeatId, TenantId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const VISITOR: &str = "visitor-0000000001";
const LARGEST: usize = 200_000;

fn png(length: usize) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.extend((bytes.len()..length).map(|at| (at * 7 % 251) as u8));
    bytes
}

async fn page(stand: &Stand, visitor: &str) -> WebClient {
    let session = stand.session(visitor).await;
    WebClient::connect(&stand.base, &session.token, 0).await.expect("welcome")
}

async fn file_item(page: &mut WebClient) -> FileSeen {
    loop {
        if let WebEvent::Item(item) = page.next_event().await.expect("an item")
            && let Some(file) = item.file
        {
            assert_eq!(item.text, "", "a file has no text");
            return *file;
        }
    }
}

/// Accepts the next offer.
async fn take(desk: &mut DeskClient) -> ClaimSeen {
    loop {
        match desk.next_event().await.expect("an event") {
            DeskEvent::Offered(offer) => drop(desk.accept(&offer.offer).await.expect("accepted")),
            DeskEvent::Assigned(claim) => return claim,
            _ => {}
        }
    }
}

/// `POST` with a token, a kind and bytes: the status and the answer.
async fn post(stand: &Stand, token: &str, query: &str, kind: &str, bytes: Vec<u8>) -> (u16, Value) {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
    send(&stand.base, "POST", &format!("/v1/web/files{query}"), &headers, bytes).await.expect("an answer")
}

fn slug(answer: &(u16, Value)) -> (u16, String) {
    (answer.0, answer.1["type"].as_str().unwrap_or_default().trim_start_matches("/problems/").to_owned())
}

#[tokio::test]
async fn a_file_goes_both_ways_and_comes_back_byte_for_byte() {
    let stand = stand_files(LARGEST as u64, |_| {}).await;
    let mut customer = page(&stand, VISITOR).await;
    customer.begin(&Begin::default()).await.expect("begun");
    let mut desk = DeskClient::sign_in(&stand.base, &stand.agent_token(1)).await.expect("signed in");
    desk.ready().await.expect("ready");
    let claim = take(&mut desk).await;
    let picture = png(150_000);
    let file = customer.upload("报价 单.png", "image/png", picture.clone()).await.expect("uploaded");
    assert_eq!((file.name.as_str(), file.media_type.as_str(), file.bytes), ("报价 单.png", "image/png", 150_000));
    assert_eq!(file.file, blake3::hash(&picture).to_hex().as_str());
    let unsent = customer.download(&file.file).await.expect_err("not in the transcript yet");
    assert_eq!(unsent.slug(), "unknown-file");
    let sent = customer.send_file(&file).await.expect("sent");
    assert!(sent.n > 0);
    assert_eq!(file_item(&mut customer).await, file);
    let at_desk = loop {
        if let DeskEvent::Item(item) = desk.next_event().await.expect("an event")
            && item.kind == "customer"
        {
            break item;
        }
    };
    assert_eq!((at_desk.n, at_desk.file.as_deref()), (sent.n, Some(&file)));
    assert_eq!(desk.download(&file.file).await.expect("read"), picture);
    assert_eq!(customer.download(&file.file).await.expect("read"), picture);
    // The other way, and the answer to a repetition.
    let note = desk.upload(&claim.claim, "note.txt", "text/plain", "见附件\n".into()).await.expect("uploaded");
    let frame = json!({"type": "send", "claim": claim.claim, "file": note.file});
    let first = desk.submit(frame.clone(), "c1").await.expect("sent");
    assert!(desk.submit(frame, "c1").await.expect("again").duplicate);
    assert_eq!(file_item(&mut customer).await, note);
    assert_eq!(customer.download(&note.file).await.expect("read"), "见附件\n".as_bytes());
    assert!(first.n > sent.n);
    assert!(stand.blobs.parts_max() <= 65_536, "a part at a time, never the whole: {}", stand.blobs.parts_max());
}

#[tokio::test]
async fn what_is_given_out_cannot_run() {
    let stand = stand_files(LARGEST as u64, |_| {}).await;
    let mut customer = page(&stand, VISITOR).await;
    let session = stand.session(VISITOR).await;
    let bearer = format!("Bearer {}", session.token);
    let pdf = b"%PDF-1.7 and a script".to_vec();
    for (kind, bytes, given) in [("image/png", png(5_000), "image/png"), ("application/pdf", pdf, "application/octet-stream")] {
        let file = customer.upload("a\" b.bin", kind, bytes.clone()).await.expect("uploaded");
        customer.send_file(&file).await.expect("sent");
        let path = format!("/v1/web/files/{}", file.file);
        let headers = [("authorization", bearer.as_str())];
        let (head, body) = exchange(&stand.base, "GET", &path, &headers, Vec::new()).await.expect("an answer");
        let value = |name: &str| head.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        assert_eq!((head.status.as_u16(), &body[..]), (200, &bytes[..]));
        assert_eq!(value("content-type"), given);
        assert_eq!(value("content-disposition"), "attachment; filename=\"a_ b.bin\"; filename*=UTF-8''a%22%20b.bin");
        assert_eq!(value("x-content-type-options"), "nosniff");
        assert!(value("content-security-policy").starts_with("sandbox; default-src 'none'"));
        assert_eq!(value("etag"), format!("\"{}\"", file.file));
        assert_eq!(value("content-length"), bytes.len().to_string());
        assert_eq!(value("cache-control"), "private, no-cache");
        let etag = value("etag");
        let headers = [("authorization", bearer.as_str()), ("if-none-match", etag.as_str())];
        let (head, body) = exchange(&stand.base, "GET", &path, &headers, Vec::new()).await.expect("an answer");
        assert_eq!((head.status.as_u16(), body.len()), (304, 0));
    }
}

#[tokio::test]
async fn only_who_brought_a_file_for_a_conversation_may_name_it_there() {
    let stand = stand_files(LARGEST as u64, |_| {}).await;
    let (mut mine, mut other) = (page(&stand, VISITOR).await, page(&stand, "visitor-0000000002").await);
    let file = mine.upload("a.png", "image/png", png(500)).await.expect("uploaded");
    assert_eq!(other.send_file(&file).await.expect_err("not his").slug(), "unknown-file");
    let never = FileSeen { file: "0".repeat(64), ..file.clone() };
    assert_eq!(mine.send_file(&never).await.expect_err("nobody's").slug(), "unknown-file");
    let wrong = FileSeen { media_type: "application/pdf".into(), ..file.clone() };
    assert_eq!(mine.send_file(&wrong).await.expect_err("another kind").slug(), "bad-field");
    // The same hash at another tenant: its file is not ours, though the bytes are.
    let foreign =
        CustomerGrant { tenant: OTHER_TENANT, account: AccountId(7), conversation: ConversationId(5), customer: CustomerId::NONE };
    let token = stand.authority.mint_customer(&foreign, 600).expect("a token");
    let at = slug(&post(&stand, &token, "", "image/png", png(500)).await);
    assert_eq!(at, (403, "foreign-token".to_owned()), "a tenant without inboxes here");
    // A customer cannot name what an agent brought, nor an agent what a customer did.
    mine.begin(&Begin::default()).await.expect("begun");
    let mut desk = DeskClient::sign_in(&stand.base, &stand.agent_token(1)).await.expect("signed in");
    desk.ready().await.expect("ready");
    let claim = take(&mut desk).await;
    assert_eq!(desk.send_file(&claim.claim, &file).await.expect_err("the customer's").slug(), "unknown-file");
    let theirs = desk.upload(&claim.claim, "b.png", "image/png", png(600)).await.expect("uploaded");
    assert_eq!(mine.send_file(&theirs).await.expect_err("the agent's").slug(), "unknown-file");
    mine.send_file(&file).await.expect("his own");
    assert_eq!(other.download(&file.file).await.expect_err("another conversation").slug(), "unknown-file");
    // Names by frame are made harmless as names by query are.
    let renamed = json!({"type": "message", "file": file.file, "name": "..\\../x\u{202e}gpj.exe"});
    mine.submit(renamed, "m9").await.expect("sent");
    file_item(&mut mine).await;
    assert_eq!(file_item(&mut mine).await.name, ".._.._x_gpj.exe");
    for (fields, field) in [
        (json!({"file": file.file, "text": "x"}), "text"),
        (json!({"file": "abc"}), "file"),
        (json!({"file": file.file.to_uppercase()}), "file"),
        (json!({"file": 5}), "file"),
        (json!({"file": file.file, "name": "x".repeat(256)}), "name"),
        (json!({"file": file.file, "media_type": "x".repeat(128)}), "media_type"),
        (json!({"text": "x", "name": "y"}), "name"),
    ] {
        let mut frame = fields.clone();
        (frame["type"], frame["client_msg_id"]) = (json!("message"), json!("m10"));
        mine.send_raw(&frame).await.expect("written");
        let answer = loop {
            let frame = mine.next_raw().await.expect("an answer");
            if frame["type"] == "error" {
                break frame;
            }
        };
        assert_eq!(answer["problem"]["field"], field, "{fields}: {answer}");
    }
}

#[tokio::test]
async fn the_right_to_read_a_file_moves_with_the_assignment() {
    let stand = stand_files(LARGEST as u64, |_| {}).await;
    let mut customer = page(&stand, VISITOR).await;
    customer.begin(&Begin::default()).await.expect("begun");
    let file = customer.upload("a.png", "image/png", png(500)).await.expect("uploaded");
    customer.send_file(&file).await.expect("sent");
    let mut first = DeskClient::sign_in(&stand.base, &stand.agent_token(1)).await.expect("signed in");
    assert_eq!(first.download(&file.file).await.expect_err("no claim yet").slug(), "unknown-file");
    first.ready().await.expect("ready");
    let claim = take(&mut first).await;
    assert_eq!(first.download(&file.file).await.expect("its claim"), png(500));
    let mut second = DeskClient::sign_in(&stand.base, &stand.agent_token(2)).await.expect("signed in");
    assert_eq!(second.download(&file.file).await.expect_err("another's claim").slug(), "unknown-file");
    let refused = second.upload(&claim.claim, "x.png", "image/png", png(50)).await.expect_err("another's claim");
    assert_eq!(refused.slug(), "claim-gone");
    // In wrap-up it still may; released, it may not.
    first.end(&claim.claim).await.expect("ended");
    assert_eq!(first.download(&file.file).await.expect("in wrap-up"), png(500));
    first.pause("tea").await.expect("paused");
    first.wrap_up(&claim.claim, "done").await.expect("wrapped up");
    assert_eq!(first.download(&file.file).await.expect_err("released").slug(), "unknown-file");
    second.ready().await.expect("ready");
    customer.begin(&Begin::default()).await.expect("begun again");
    take(&mut second).await;
    assert_eq!(second.download(&file.file).await.expect("the next seat's"), png(500));
    let nobody = stand.authority.mint_agent(&AgentGrant { tenant: TENANT, seat: SeatId(0x2000) }, 600).expect("a token");
    let bearer = format!("Bearer {nobody}");
    let path = format!("/v1/desk/files/{}", file.file);
    let answer = send(&stand.base, "GET", &path, &[("authorization", &bearer)], Vec::new()).await.expect("an answer");
    assert_eq!(slug(&answer), (404, "unknown-file".to_owned()), "a seat that nobody knows");
    for (headers, expected) in [(vec![], 401), (vec![("authorization", "Bearer x")], 401)] {
        let (status, _) = send(&stand.base, "GET", &path, &headers, Vec::new()).await.expect("an answer");
        assert_eq!(status, expected);
    }
    let headers = [("authorization", bearer.as_str()), ("origin", "https://evil.example")];
    let (status, _) = send(&stand.base, "GET", &path, &headers, Vec::new()).await.expect("an answer");
    assert_eq!(status, 403, "a foreign page");
}

#[tokio::test]
async fn kinds_are_allowed_by_inbox_and_proved_by_bytes() {
    let stand = stand_files(LARGEST as u64, |config| {
        config.files.by_inbox.insert("bank".to_owned(), vec![MediaType::Pdf]);
    })
    .await;
    let token = stand.session(VISITOR).await.token;
    let zip = b"PK\x03\x04\x14\0\0\0\x08\0and more than that, a name and its bytes".to_vec();
    let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"x()\"/>".to_vec();
    for (kind, bytes, expected) in [
        ("image/png", png(99), (201, "")),
        ("IMAGE/PNG; q=1", png(99), (201, "")),
        ("application/zip", zip, (415, "media-type")),
        ("image/svg+xml", svg, (415, "media-type")),
        ("", png(99), (415, "media-type")),
        ("image/jpeg", png(99), (415, "media-type")),
        ("text/plain", png(99), (415, "media-type")),
        ("text/plain", b"<html><script>".to_vec(), (415, "media-type")),
        ("text/plain", b"plain\0".to_vec(), (415, "media-type")),
        ("image/png", b"plain text".to_vec(), (415, "media-type")),
        ("image/png", Vec::new(), (400, "bad-file")),
    ] {
        let answer = post(&stand, &token, "?name=a", kind, bytes).await;
        assert_eq!(slug(&answer), (expected.0, expected.1.to_owned()), "{kind}: {}", answer.1);
    }
    assert_eq!(stand.blobs.size(), (1, 1), "what was refused was not kept");
    // A text that turns bad after its first part.
    let mut long = "长".repeat(30_000).into_bytes();
    assert_eq!(slug(&post(&stand, &token, "", "text/plain", long.clone()).await).0, 201);
    long.push(0xe9);
    assert_eq!(slug(&post(&stand, &token, "", "text/plain", long).await).0, 415);
    let verified =
        CustomerGrant { tenant: TENANT, account: AccountId(8), conversation: ConversationId(9), customer: CustomerId(3) };
    let token = stand.authority.mint_customer(&verified, 600).expect("a token");
    assert_eq!(slug(&post(&stand, &token, "", "image/png", png(99)).await).0, 415, "this inbox takes PDF only");
    assert_eq!(slug(&post(&stand, &token, "", "application/pdf", b"%PDF-1.7".to_vec()).await).0, 201);
    let anonymous = CustomerGrant { customer: CustomerId::NONE, ..verified };
    let token = stand.authority.mint_customer(&anonymous, 600).expect("a token");
    let answer = slug(&post(&stand, &token, "", "application/pdf", b"%PDF-1.7".to_vec()).await);
    assert_eq!(answer, (403, "verified-only".to_owned()));
}

#[tokio::test]
async fn sizes_at_the_limit_one_above_and_ten_times_above() {
    let stand = stand_files(LARGEST as u64, |_| {}).await;
    let token = stand.session(VISITOR).await.token;
    assert_eq!(slug(&post(&stand, &token, "", "image/png", png(LARGEST)).await).0, 201);
    for length in [LARGEST + 1, LARGEST * 10] {
        // Only the head is sent: the answer does not wait for bytes that nobody wants.
        let answer = raw(&stand, &token, &format!("content-length: {length}\r\n"), b"", false).await;
        assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("/problems/too-large"), "{length}: {answer}");
        let mut chunked = format!("{length:x}\r\n").into_bytes();
        chunked.extend(png(length));
        chunked.extend(b"\r\n0\r\n\r\n");
        let answer = raw(&stand, &token, "transfer-encoding: chunked\r\n", &chunked, false).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{length} without an announcement: {answer}");
    }
    assert_eq!(stand.blobs.size(), (1, 1));
    for (name, status) in [(255, 201), (256, 422), (2_550, 422), (10_000, 422)] {
        let query = format!("?name={}", "x".repeat(name));
        assert_eq!(slug(&post(&stand, &token, &query, "image/png", png(50)).await).0, status, "a name of {name}");
    }
    let tricks = "?name=..%2f..%2Fetc%2Fpasswd%00%E2%80%AE%E2%80%8B";
    let (status, made) = post(&stand, &token, tricks, "image/png", png(50)).await;
    assert_eq!((status, made["name"].as_str()), (201, Some(".._.._etc_passwd___")));
    assert_eq!(slug(&post(&stand, &token, "?path=x", "image/png", png(50)).await).1, "unknown-parameter");
}

/// One request byte by byte; the answer, up to the connection's end. `close` ends our side after it.
async fn raw(stand: &Stand, token: &str, headers: &str, body: &[u8], close: bool) -> String {
    let mut socket = tokio::net::TcpStream::connect(stand.address).await.expect("connected");
    let head = format!(
        "POST /v1/web/files?name=a HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: image/png\r\n{headers}\r\n"
    );
    // The server may answer and close while we still write.
    let _ = socket.write_all(head.as_bytes()).await;
    let _ = socket.write_all(body).await;
    if close {
        let _ = socket.shutdown().await;
    }
    let mut answer = vec![0; 16_384];
    let read = tokio::time::timeout(std::time::Duration::from_secs(30), socket.read(&mut answer)).await.expect("an answer in time");
    String::from_utf8_lossy(&answer[..read.unwrap_or(0)]).into_owned()
}

#[tokio::test]
async fn a_length_that_lies_and_an_upload_that_stalls_keep_nothing() {
    let stand = stand_files(LARGEST as u64, |config| config.files.stall = Millis(300)).await;
    let token = stand.session(VISITOR).await.token;
    let short = raw(&stand, &token, "content-length: 1000\r\n", &png(500), true).await;
    assert!(short.is_empty() || short.starts_with("HTTP/1.1 400"), "fewer than announced: {short}");
    let long = raw(&stand, &token, "content-length: 500\r\n", &png(1_000), false).await;
    assert!(long.starts_with("HTTP/1.1 201"), "what was announced is the file, what follows is no request: {long}");
    for wrong in ["content-length: -1\r\n", "content-length: 5, 6\r\n", "content-length: x\r\n"] {
        assert!(raw(&stand, &token, wrong, b"", false).await.starts_with("HTTP/1.1 400"), "{wrong}");
    }
    let stalled = raw(&stand, &token, "content-length: 1000\r\n", &png(500), false).await;
    assert!(stalled.starts_with("HTTP/1.1 408") && stalled.contains("/problems/too-slow"), "{stalled}");
    assert_eq!(stand.blobs.size(), (1, 1));
    stand.wait_gauge("file_uploads", 0).await;
    assert!(stand.handle.count("files_refused") >= 1);
}

#[tokio::test]
async fn an_upload_that_never_becomes_a_message_changes_nothing_and_a_repeated_one_is_the_same_file() {
    let stand = stand_files(LARGEST as u64, |_| {}).await;
    let mut customer = page(&stand, VISITOR).await;
    let first = customer.upload("a.png", "image/png", png(500)).await.expect("uploaded");
    let again = customer.upload("a.png", "image/png", png(500)).await.expect("uploaded again");
    assert_eq!((first.clone(), stand.blobs.size()), (again, (1, 1)));
    assert_eq!(stand.port.accepted(), 0, "an upload is no event");
    // Cut between upload and message: the page comes back and sends what it had uploaded, twice under one id.
    customer.cut();
    customer.resume().await.expect("resumed");
    let frame = json!({"type": "message", "file": first.file, "name": first.name, "media_type": first.media_type});
    let sent = customer.submit(frame.clone(), "m1").await.expect("sent");
    customer.cut();
    customer.resume().await.expect("resumed");
    let again = customer.submit(frame.clone(), "m1").await.expect("sent again");
    assert!(again.duplicate && again.n == sent.n);
    let mut renamed = frame;
    renamed["name"] = json!("b.png");
    assert_eq!(customer.submit(renamed, "m1").await.expect_err("another content").slug(), "conflict");
    let text = json!({"type": "message", "text": "a.png"});
    assert_eq!(customer.submit(text, "m1").await.expect_err("another content").slug(), "conflict");
}

#[tokio::test]
async fn a_store_that_says_no_is_told_by_name() {
    let stand = stand_files(LARGEST as u64, |_| {}).await;
    let mut customer = page(&stand, VISITOR).await;
    let token = stand.session(VISITOR).await.token;
    for (error, status, kind) in [
        (BlobError::DiskFull, 507, "no-room"),
        (BlobError::TenantFull { limit: 5 }, 507, "no-room"),
        (BlobError::Failed, 503, "files-failed"),
        (BlobError::TooMuch { limit: 5, retry_after: Millis(90_000) }, 429, "rate-limited"),
        (BlobError::Busy { retry_after: Millis(9) }, 503, "busy"),
        (BlobError::Closed, 503, "closed"),
    ] {
        stand.blobs.refuse(Some(error.clone()));
        let answer = post(&stand, &token, "", "image/png", png(50)).await;
        assert_eq!(slug(&answer), (status, kind.to_owned()), "{error:?}");
    }
    assert_eq!(stand.blobs.size(), (0, 0));
    stand.blobs.refuse(None);
    let file = customer.upload("a.png", "image/png", png(5_000)).await.expect("uploaded");
    customer.send_file(&file).await.expect("sent");
    stand.blobs.damage(&file.file);
    let damaged = customer.download(&file.file).await.expect_err("damaged");
    assert!(matches!(damaged, ClientError::Refused { status: 500, .. }) && damaged.slug() == "damaged-file", "{damaged}");
    // A node without files says so.
    let none = crate::support::stand().await;
    let token = none.session(VISITOR).await.token;
    assert_eq!(slug(&post(&none, &token, "", "image/png", png(50)).await), (404, "no-files".to_owned()));
    let mut page = page(&none, VISITOR).await;
    assert_eq!(page.send_file(&file).await.expect_err("no files").slug(), "unknown-file");
}

#[tokio::test]
async fn a_thousand_small_uploads_at_once_are_all_kept() {
    let stand = Arc::new(stand_files(LARGEST as u64, |_| {}).await);
    let mut running = tokio::task::JoinSet::new();
    for i in 0..1_000_usize {
        let stand = Arc::clone(&stand);
        running.spawn(async move {
            let token = stand.session(&format!("visitor-{:010}", i % 50)).await.token;
            let text = format!("file {i}\n").into_bytes();
            loop {
                let (status, made) = post(&stand, &token, "?name=a.txt", "text/plain", text.clone()).await;
                match status {
                    201 => return made["file"].as_str().unwrap_or_default().to_owned(),
                    // Asked to wait, by name.
                    429 | 503 => tokio::task::yield_now().await,
                    _ => panic!("{status}: {made}"),
                }
            }
        });
    }
    let made: std::collections::BTreeSet<String> = running.join_all().await.into_iter().collect();
    assert_eq!((made.len(), stand.blobs.size()), (1_000, (1_000, 1_000)));
    stand.wait_gauge("file_uploads", 0).await;
    assert_eq!(stand.handle.count("files_taken"), 1_000);
}

/// Refuses files that hold a word, wherever the parts are cut; cannot look at files that hold another.
struct Rule;

struct Seen(Vec<u8>);

impl Inspector for Rule {
    fn begin(&self, _: TenantId, _: MediaType) -> Box<dyn Inspection> {
        Box::new(Seen(Vec::new()))
    }
}

impl Inspection for Seen {
    fn look(mut self: Box<Self>, bytes: Arc<[u8]>) -> BoxFuture<Result<Box<dyn Inspection>, Unfit>> {
        self.0.extend_from_slice(&bytes);
        Box::pin(async move { Ok(self as Box<dyn Inspection>) })
    }

    fn verdict(self: Box<Self>) -> BoxFuture<Result<(), Unfit>> {
        let holds = |word: &[u8]| self.0.windows(word.len()).any(|part| part == word);
        let verdict = match (holds(b"EICAR"), holds(b"unseen")) {
            (true, _) => Err(Unfit::Found("a test pattern was found".to_owned())),
            (_, true) => Err(Unfit::Unable),
            _ => Ok(()),
        };
        Box::pin(async move { verdict })
    }
}

#[tokio::test]
async fn an_inspector_sees_every_byte_and_its_word_counts() {
    let stand = stand_files(LARGEST as u64, |config| config.files.inspector = Some(Arc::new(Rule))).await;
    let token = stand.session(VISITOR).await.token;
    // The word lies across two parts.
    let bad = format!("{}EICAR{}", "x".repeat(65_533), "x".repeat(100)).into_bytes();
    for (text, expected) in [(bad, (422, "refused-file")), (b"unseen".to_vec(), (503, "busy")), (b"good".to_vec(), (201, ""))] {
        let answer = slug(&post(&stand, &token, "", "text/plain", text).await);
        assert_eq!(answer, (expected.0, expected.1.to_owned()));
    }
    assert_eq!(stand.blobs.size(), (1, 1));
}
