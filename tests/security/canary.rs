//! Planted numbers and secrets: a real node is led through chats, desks, writes and errors with them in every place that a
//! caller controls, and then everything that it said is searched. 0 hits.
//!
//! Searched: standard output and standard error at TRACE, metrics, status, every problem that was answered, the audit's files
//! and the file of API tokens. Not searched, by name: the log and transcripts (`wal-*.seg`, snapshots), which hold what
//! customers said, and answers to whoever owns the text.

use crate::talk_of::speak;
use crate::wire::{ask, bearer, unhurried};
use serde_json::json;
use std::io::Read;
use std::path::Path;

const PHONE: &str = "13800138421";
/// GB 11643-1999, its own example.
const ID_CARD: &str = "11010519491231002X";
/// A scheme's test number.
const CARD: &str = "6200000000000005";
/// Words that are secrets because somebody used them as such.
const WORD: &str = "canary-7f3a-secret";

fn canaries() -> Vec<String> {
    let grouped = |text: &str, divider: &str| {
        text.as_bytes().chunks(4).map(|g| String::from_utf8_lossy(g).into_owned()).collect::<Vec<_>>().join(divider)
    };
    let mut all = vec![WORD.to_owned()];
    for number in [PHONE, ID_CARD, CARD] {
        all.extend([number.to_owned(), grouped(number, " "), grouped(number, "-")]);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planted_numbers_and_secrets_are_nowhere() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = unhurried(dir.path()).env("TIDEGATE_LOG", "trace").env("RUST_BACKTRACE", "1").start();
    let address = node.address();
    let admin = node.admin();
    let mut secrets = vec![admin.clone(), node.line["agents"][0]["token"].as_str().expect("a token").to_owned()];
    let mut said: Vec<(String, String)> = Vec::new();

    // A chat, with everything in it.
    let text = format!("我的电话 {PHONE}，身份证 {ID_CARD}，卡 {CARD}, {WORD}");
    speak(&node, &text).await;
    let session = ask(&address, "POST", "/v1/web/sessions", &[], r#"{"inbox":"shop"}"#).json();
    let customer = session["token"].as_str().expect("a token").to_owned();
    secrets.push(customer.clone());

    // Errors: everywhere that a caller's words could come back or be written down.
    let numbers = [PHONE, ID_CARD, CARD];
    for number in numbers {
        let places = [
            ("GET", format!("/v1/tenants/{number}/seats"), String::new()),
            ("GET", format!("/v1/tenants/1/seats?{number}=1"), String::new()),
            ("GET", format!("/v1/tenants/1/seats?after={number}x"), String::new()),
            ("GET", format!("/v1/{number}"), String::new()),
            ("PUT", format!("/v1/tenants/1/agents/{number}y"), json!({ "name": number }).to_string()),
            ("PUT", "/v1/tenants/1/agents/9".to_owned(), json!({ "name": "n", number: 1 }).to_string()),
            ("PUT", "/v1/tenants/1/agents/9".to_owned(), format!("{{\"name\":\"{number}\"")),
            ("PUT", "/v1/tenants/1/agents/9".to_owned(), format!("{{\"name\":\"n\",\"units\":{}}}", number.replace('X', "1"))),
            ("PUT", "/v1/tenants/1/agents/9".to_owned(), json!({ "name": "n", "units": 1, "skills": { number: 1 } }).to_string()),
            ("PUT", format!("/v1/tenants/1/policy?dry_run={number}"), number.to_owned()),
            ("PUT", "/v1/tenants/1/policy".to_owned(), format!("name = \"{number}\"\n[{number}]")),
            ("GET", format!("/v1/tenants/1/conversations/{number}z/transcript"), String::new()),
            ("POST", "/v1/tokens".to_owned(), json!({ "name": "n", "role": number }).to_string()),
            ("DELETE", format!("/v1/tokens/{number}"), String::new()),
            ("POST", format!("/v1/tenants/1/seats/{number}q/token"), "{}".to_owned()),
            ("GET", format!("/v1/audit?after={number}w"), String::new()),
            ("GET", format!("/v1/auth/oidc/start?return=/{number}"), String::new()),
            ("GET", format!("/v1/auth/oidc/callback?state={number}&code={number}"), String::new()),
        ];
        for (method, path, body) in places {
            for lines in [vec![bearer(&admin), format!("x-note: {number}").into_bytes()], vec![bearer(number)], vec![]] {
                let answer = ask(&address, method, &path, &lines, &body);
                said.push((format!("{method} {path} {}", answer.status), format!("{}\n{}", answer.head, answer.body)));
            }
        }
        for (path, body) in [
            ("/v1/web/sessions", json!({ "inbox": number }).to_string()),
            ("/v1/web/sessions", json!({ "inbox": "shop", number: 1 }).to_string()),
            ("/v1/web/messages", json!({ "client_msg_id": number.repeat(9), "text": number }).to_string()),
            ("/v1/web/messages", json!({ "client_msg_id": "a", "text": number, number: number }).to_string()),
            ("/v1/web/messages", format!("{{{number}")),
            ("/v1/web/begin", json!({ "client_msg_id": "b", "queue": number }).to_string()),
            ("/v1/web/begin", json!({ "client_msg_id": "c", "skills": { number: 99 } }).to_string()),
        ] {
            for token in [customer.as_str(), number] {
                let answer = ask(&address, "POST", path, &[bearer(token)], &body);
                if answer.status >= 400 {
                    said.push((format!("POST {path} {}", answer.status), format!("{}\n{}", answer.head, answer.body)));
                }
            }
        }
    }
    // Secrets in the wrong places.
    for secret in [WORD, &admin, &customer] {
        for path in [format!("/v1/status?token={secret}"), format!("/v1/auth/oidc/callback?code={secret}&state={secret}")] {
            let answer =
                ask(&address, "GET", &path, &[bearer(secret), format!("cookie: tidegate_signin={secret}").into_bytes()], "");
            said.push((
                format!("GET {} {}", path.split('?').next().unwrap_or(""), answer.status),
                format!("{}\n{}", answer.head, answer.body),
            ));
        }
    }
    let made = ask(&address, "POST", "/v1/tokens", &[bearer(&admin)], r#"{"name":"n","role":"viewer"}"#).json();
    secrets.push(made["token"].as_str().expect("a text").to_owned());
    for path in ["/metrics", "/v1/status", "/v1/tokens", "/v1/audit?limit=1000", "/v1/tenants/1/queues"] {
        said.push((path.to_owned(), node.get(path).text));
    }
    let out = node.line.to_string();
    let (_, err) = node.terminate();
    assert!(err.contains("TRACE"), "everything is asked for: {err}");
    said.push(("standard error".to_owned(), err));
    for file in files(dir.path()) {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == "tokens.json" || name.starts_with("audit-") {
            let mut text = String::new();
            std::fs::File::open(&file).and_then(|mut f| f.read_to_string(&mut text)).expect("read");
            said.push((name, text));
        }
    }
    assert!(said.iter().any(|(name, _)| name == "tokens.json") && said.iter().any(|(name, _)| name.starts_with("audit-")));
    // What is printed at the start is for whoever started it: agents' tokens and the drawn one, and no customer's.
    assert!(!out.contains(&customer) && !out.contains(PHONE));

    let mut hits = Vec::new();
    for (place, text) in &said {
        for canary in canaries().iter().chain(&secrets).filter(|canary| text.contains(canary.as_str())) {
            hits.push(format!("{place}: {canary}"));
        }
    }
    hits.sort();
    hits.dedup();
    assert!(hits.is_empty(), "{} hits in {} texts:\n{}", hits.len(), said.len(), hits.join("\n"));
    eprintln!("{} texts searched for {} canaries: 0 hits", said.len(), canaries().len() + secrets.len());
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
