//! Sign-in of people through a real provider: `oidc-provider-mock` of PyPI, a server of its own with its own keys, its own
//! form and its own redirects, which the test follows as a browser does.
//!
//! TIDEGATE_OIDC_PROVIDER names its program (`./verify` installs it). What a provider that lies could send (algorithms, keys,
//! audiences, times) is checked in `router/tests/oidc.rs`, where the provider is ours to bend.

use crate::node::{Node, Serve};
use crate::wire::{Answer, ask};
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tidegate_channels::client::DeskClient;

const LIN: &str = r#"{"sub":"u-lin","email":"lin@shop.example","email_verified":true,"roles":["agents"]}"#;
const ADA: &str = r#"{"sub":"u-ada","email":"ada@shop.example","email_verified":true,"roles":["staff","admins"]}"#;
const EVE: &str = r#"{"sub":"u-eve","email":"lin@shop.example","email_verified":false,"roles":["agents"]}"#;
const NOBODY: &str = r#"{"sub":"u-nobody","email":"nobody@shop.example","email_verified":true,"roles":["guests"]}"#;

/// The provider, ended when dropped.
struct Provider {
    child: Child,
    port: u16,
}

impl Provider {
    fn start(program: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let mut command = Command::new(program);
        command.args(["--port", &port.to_string(), "--require-nonce", "true"]);
        for user in [LIN, ADA, EVE, NOBODY] {
            command.args(["--user-claims", user]);
        }
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the provider runs");
        // It says when it serves; its pipe is read on, so that it never waits for its reader.
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let started =
            lines.by_ref().map_while(Result::ok).any(|line| line.contains("Uvicorn running") || line.contains("Started OpenID"));
        assert!(started, "the provider ended");
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, port }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn node(home: &Path, provider: u16) -> Node {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/serve");
    std::fs::copy(example.join("policy.toml"), home.join("policy.toml")).expect("copied");
    std::fs::write(home.join("oidc.secret"), "the-node-at-its-provider\n").expect("written");
    std::fs::write(home.join("admin.token"), "operations-0123456789abcdef0123456789abcdef\n").expect("written");
    // The node's own address must be known before it starts: browsers are sent back to it.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    let text = std::fs::read_to_string(example.join("tidegate.toml")).expect("read");
    let oidc = format!(
        r#"
[[admin]]
name = "operations"
scope = "admin"
token_file = "admin.token"

[oidc]
issuer = "http://127.0.0.1:{provider}"
client_id = "tidegate"
client_secret_file = "oidc.secret"
redirect = "http://127.0.0.1:{port}"
[[oidc.map]]
value = "admins"
role = "admin"
[[oidc.map]]
value = "agents"
role = "agent"
tenant = 1

[[tenant]]
"#
    );
    let text = text.replacen("[[tenant]]\n", oidc.trim_start(), 1).replacen(
        "name = \"Lin\"",
        "name = \"Lin\"\n  login = \"lin@shop.example\"",
        1,
    );
    let file = home.join("tidegate.toml");
    std::fs::write(&file, text).expect("written");
    Serve::at(&home.join("data"), &format!("127.0.0.1:{port}")).arg("--auth-failures").arg("100000").arg("-c").arg(file).start()
}

/// Where an answer leads, split into address and path.
fn leads(answer: &Answer) -> (String, String) {
    let location = answer.header("location").unwrap_or_else(|| panic!("no way on: {} {}", answer.status, answer.body));
    match location.strip_prefix("http://").and_then(|rest| rest.split_once('/')) {
        Some((address, path)) => (address.to_owned(), format!("/{path}")),
        None => (String::new(), location.to_owned()),
    }
}

fn cookie_of(answer: &Answer) -> String {
    let line = answer.header("set-cookie").expect("a cookie");
    for word in ["HttpOnly", "SameSite=Lax", "Path=/v1/auth/oidc", "Max-Age="] {
        assert!(line.contains(word), "{line}");
    }
    line.split(';').next().expect("a pair").to_owned()
}

fn with_cookie(cookie: &str) -> Vec<Vec<u8>> {
    vec![format!("cookie: {cookie}").into_bytes()]
}

/// Walks to the provider and signs in there; the way back, and the browser's cookie. `bend` may change the way there.
fn walk(node: &Node, user: &str, bend: impl Fn(String) -> String) -> (String, String) {
    let start = ask(&node.address(), "GET", "/v1/auth/oidc/start?return=%2Fdesk%2F", &[], "");
    assert_eq!(start.status, 303, "{}", start.body);
    let cookie = cookie_of(&start);
    let (provider, path) = leads(&start);
    assert!(path.contains("code_challenge_method=S256") && path.contains("nonce=") && path.contains("state="), "{path}");
    let form = post_form(&provider, &bend(path), &format!("sub={user}"));
    let (back, path) = leads(&form);
    assert_eq!(back, node.address());
    (path, cookie)
}

fn post_form(address: &str, path: &str, body: &str) -> Answer {
    use std::io::{Read, Write};
    let mut stream = TcpStream::connect(address).expect("it listens");
    let head = "connection: close\r\ncontent-type: application/x-www-form-urlencoded";
    let request = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("answered");
    let (head, body) = text.split_once("\r\n\r\n").expect("HTTP");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn token_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert!(answer.header("set-cookie").is_some_and(|line| line.contains("Max-Age=0")), "{}", answer.head);
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    let location = answer.header("location").expect("a way on");
    location.strip_prefix("/desk/#token=").expect("in the fragment, on our own path").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_sign_in_through_a_real_provider() {
    let Ok(program) = std::env::var("TIDEGATE_OIDC_PROVIDER") else {
        return println!("SKIPPED: TIDEGATE_OIDC_PROVIDER names no provider (./verify installs oidc-provider-mock)");
    };
    let provider = Provider::start(&program);
    let home = tempfile::tempdir().expect("a directory");
    let node = node(home.path(), provider.port);
    let address = node.address();
    let call = |path: &str, cookie: &str| ask(&address, "GET", path, &with_cookie(cookie), "");
    assert_eq!(ask(&address, "GET", "/v1/auth/methods", &[], "").json()["oidc"]["start"], "/v1/auth/oidc/start");

    // An agent, at the seat of the login.
    let (back, cookie) = walk(&node, "u-lin", |path| path);
    let desk = token_of(&call(&back, &cookie));
    assert!(DeskClient::sign_in(&node.base(), &desk).await.is_ok());
    ask(&address, "GET", "/v1/status", &[crate::wire::bearer(&desk)], "");
    // The same way back again: the state is used, and so is the code.
    assert_eq!(call(&back, &cookie).status, 401);

    // An admin: an API token that stands in the list and can be revoked.
    let (back, cookie) = walk(&node, "u-ada", |path| path);
    let token = token_of(&call(&back, &cookie));
    let get = |path: &str| ask(&address, "GET", path, &[crate::wire::bearer(&token)], "");
    assert_eq!(get("/v1/status").status, 200);
    let rows = get("/v1/tokens").json();
    assert_eq!(rows["tokens"][0]["name"], "oidc:ada@shop.example", "{rows}");
    let audit = get("/v1/audit").json();
    let acts: Vec<_> = audit["records"].as_array().expect("records").iter().filter(|r| r["action"] == "person.sign_in").collect();
    let outcomes: Vec<_> = acts.iter().map(|r| r["outcome"].as_str().expect("text")).collect();
    assert_eq!(outcomes, ["asked", "done", "refused", "asked", "done"], "{audit}");
    assert_eq!(acts[3]["actor"]["name"], "ada@shop.example");
    assert!(!audit.to_string().contains(&token));

    // Known to the provider, but not here; and an address that nobody verified.
    for user in ["u-nobody", "u-eve"] {
        let (back, cookie) = walk(&node, user, |path| path);
        assert_eq!(call(&back, &cookie).status, 403, "{user}");
    }
    // Another browser, no cookie, a bent cookie, a bent state, another sign-in's code.
    let (back, cookie) = walk(&node, "u-ada", |path| path);
    let (other, others) = walk(&node, "u-lin", |path| path);
    assert_eq!(call(&back, &others).status, 401);
    assert_eq!(ask(&address, "GET", &back, &[], "").status, 401);
    assert_eq!(call(&back, &format!("{cookie}0")).status, 401);
    assert_eq!(call(&back.replace("state=", "state=x"), &cookie).status, 401);
    let code = |path: &str| path.split(['?', '&']).find_map(|pair| pair.strip_prefix("code=")).expect("a code").to_owned();
    let crossed = back.replace(&code(&back), &code(&other));
    assert_eq!(call(&crossed, &cookie).status, 401, "another sign-in's code fails by its PKCE verifier");
    // Another nonce than the node's: the provider signs it, and the node does not take it.
    let bent = |path: String| {
        let nonce = path.split(['?', '&']).find_map(|pair| pair.strip_prefix("nonce=")).expect("a nonce").to_owned();
        path.replace(&nonce, "bent")
    };
    let (back, cookie) = walk(&node, "u-ada", bent);
    let refused = call(&back, &cookie);
    assert_eq!((refused.status, refused.body.contains("of another sign-in")), (401, true), "{}", refused.body);
    // A refusal by the person, and returns to elsewhere.
    assert_eq!(ask(&address, "GET", "/v1/auth/oidc/callback?error=access_denied&state=x", &[], "").status, 401);
    for to in ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%5Cevil.example", "desk"] {
        assert_eq!(ask(&address, "GET", &format!("/v1/auth/oidc/start?return={to}"), &[], "").status, 400, "{to}");
    }
    // The provider goes away while somebody signs in: said clearly, and tokens go on working.
    let (back, cookie) = walk(&node, "u-ada", |path| path);
    assert!(provider.address().starts_with("127.0.0.1"));
    drop(provider);
    let away = call(&back, &cookie);
    assert_eq!((away.status, away.body.contains("sign-in-unavailable")), (503, true), "{}", away.body);
    assert_eq!(get("/v1/status").status, 200);
}

#[test]
fn a_provider_that_is_down_stops_nobody_else() {
    let home = tempfile::tempdir().expect("a directory");
    // A port that nobody listens at.
    let node = node(home.path(), 1);
    let start = ask(&node.address(), "GET", "/v1/auth/oidc/start", &[], "");
    assert_eq!((start.status, start.body.contains("sign-in-unavailable")), (503, true), "{}", start.body);
    let token = "operations-0123456789abcdef0123456789abcdef";
    assert_eq!(ask(&node.address(), "GET", "/v1/status", &[crate::wire::bearer(token)], "").status, 200);
}
