//! More than 200 wrong tokens against a real node, made systematically from good ones: all refused, nothing changed.
//!
//! Three bases: a customer's token, an agent's, and an API token of an admin. Each base is tried first (the control), then
//! every wrong one at a request that would change something, then each base again. The node's own secret is read from its
//! directory, so that "rightly signed, but …" can be asked: expired, for another audience, tenant or seat, not yet valid.

use crate::node::Node;
use crate::wire::{ask, base64, bearer, jwt, unbase64, unhurried};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tidegate_channels::client::{ClientError, DeskClient};

const HEADER: &str = r#"{"typ":"JWT","alg":"HS256","kid":"k1"}"#;

/// A wrong token, and what is wrong with it.
struct Case {
    name: String,
    token: String,
}

/// Claims with one of them changed; `null` takes it away.
fn with(claims: &Value, name: &str, value: Value) -> String {
    let mut claims = claims.clone();
    let fields = claims.as_object_mut().expect("an object");
    if value.is_null() {
        fields.remove(name);
    } else {
        fields.insert(name.to_owned(), value);
    }
    claims.to_string()
}

/// What can be wrong with a JSON Web Token. `other` are the claims of another audience, signed rightly.
fn wrong_jwts(good: &str, secret: &[u8], other: &str) -> Vec<Case> {
    let parts: Vec<&str> = good.split('.').collect();
    let [head, payload, signature] = parts[..] else { panic!("three parts") };
    let text = String::from_utf8(unbase64(payload)).expect("UTF-8");
    let claims: Value = serde_json::from_str(&text).expect("claims");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let mut cases = Vec::new();
    let mut add = |name: &str, token: String| cases.push(Case { name: name.to_owned(), token });

    // Signatures.
    let own = [7_u8; 32];
    add("signed with another key", jwt(HEADER, &text, &own));
    add("signed with an empty key", jwt(HEADER, &text, b""));
    add("signed with the key's id", jwt(HEADER, &text, b"k1"));
    add("signed with zeroes", jwt(HEADER, &text, &[0; 32]));
    add("signed with half of the key", jwt(HEADER, &text, &secret[..16]));
    add("signed with the key in base64", jwt(HEADER, &text, base64(secret).as_bytes()));
    add("no signature", format!("{head}.{payload}."));
    add("a signature of zeroes", format!("{head}.{payload}.{}", base64(&[0; 32])));
    add("a signature that is too short", format!("{head}.{payload}.{}", base64(&unbase64(signature)[..31])));
    add("a signature that is too long", format!("{head}.{payload}.{}", base64(&[&unbase64(signature)[..], &[0]].concat())));
    for at in [0, 15, 31] {
        let mut bytes = unbase64(signature);
        bytes[at] ^= 1;
        add(&format!("bit of byte {at} of the signature flipped"), format!("{head}.{payload}.{}", base64(&bytes)));
    }
    let last = signature.chars().last().expect("a character");
    let twin = char::from(if last == '_' { b'-' } else { last as u8 + 1 });
    add("the signature in another spelling", format!("{head}.{payload}.{}{twin}", &signature[..signature.len() - 1]));
    add("another token's signature", format!("{head}.{payload}.{}", other.rsplit('.').next().expect("a signature")));
    add("another token's claims", format!("{head}.{}.{signature}", other.split('.').nth(1).expect("claims")));
    for (name, changed) in [("tenant", json!(2)), ("exp", json!(now + 999_999)), ("aud", json!("tidegate-desk,tidegate-web"))] {
        add(
            &format!("{name} changed under the old signature"),
            format!("{head}.{}.{signature}", base64(with(&claims, name, changed).as_bytes())),
        );
    }

    // Algorithms.
    for alg in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "HS384",
        "HS512",
        "RS256",
        "ES256",
        "PS256",
        "EdDSA",
        "hs256",
        "HS256 ",
        "HS256\\u0000",
        "A128KW",
        "dir",
    ] {
        let header = format!(r#"{{"typ":"JWT","alg":"{alg}","kid":"k1"}}"#);
        add(&format!("alg {alg:?}, signed rightly"), jwt(&header, &text, secret));
        if alg.eq_ignore_ascii_case("none") || alg.is_empty() {
            add(&format!("alg {alg:?}, unsigned"), format!("{}.{payload}.", base64(header.as_bytes())));
            add(&format!("alg {alg:?}, two parts"), format!("{}.{payload}", base64(header.as_bytes())));
            add(&format!("alg {alg:?} under the old signature"), format!("{}.{payload}.{signature}", base64(header.as_bytes())));
        }
    }
    for header in [
        r#"{"typ":"JWT","kid":"k1"}"#,
        r#"{"typ":"JWT","alg":null,"kid":"k1"}"#,
        r#"{"typ":"JWT","alg":["HS256"],"kid":"k1"}"#,
        r#"{"typ":"JWT","alg":"none","alg":"HS256","kid":"k1"}"#,
        r#"{"typ":"JWT","alg":"HS256","alg":"none","kid":"k1"}"#,
        r#"["HS256","k1"]"#,
        "null",
        "{}",
        "",
        r#"{"typ":"JWT","alg":"HS256","kid":"k1""#,
    ] {
        add(&format!("header {header}"), jwt(header, &text, secret));
    }

    // Key ids.
    for kid in [
        "",
        "k0",
        "k2",
        "K1",
        "k1 ",
        " k1",
        "k1\\u0000",
        "../token.key",
        "../../../../dev/null",
        "/dev/null",
        "k1/../k1",
        "' or '1'='1",
        "k1,k2",
        "*",
        "ｋ１",
    ] {
        let header = format!(r#"{{"typ":"JWT","alg":"HS256","kid":"{kid}"}}"#);
        add(&format!("kid {kid:?}, signed rightly"), jwt(&header, &text, secret));
        if kid.contains("null") {
            add(&format!("kid {kid:?}, signed with nothing"), jwt(&header, &text, b""));
        }
    }
    for kid in ["null", "1", "[\"k1\"]", "{\"k\":1}", "true"] {
        add(&format!("kid {kid}"), jwt(&format!(r#"{{"typ":"JWT","alg":"HS256","kid":{kid}}}"#), &text, secret));
    }
    add("no kid", jwt(r#"{"typ":"JWT","alg":"HS256"}"#, &text, secret));
    add("a kid of 1,000 bytes", jwt(&format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(1_000)), &text, secret));

    // Keys that the token brings along.
    let jwk = format!(r#""jwk":{{"kty":"oct","k":"{}"}}"#, base64(&own));
    for extra in [
        jwk.as_str(),
        r#""jku":"http://127.0.0.1:1/keys""#,
        r#""x5u":"http://127.0.0.1:1/chain""#,
        r#""x5c":["MAA="]"#,
        r#""x5t":"AAAA""#,
    ] {
        let header = format!(r#"{{"typ":"JWT","alg":"HS256","kid":"k1",{extra}}}"#);
        add(&format!("{extra} with its own signature"), jwt(&header, &text, &own));
    }
    for extra in [r#""crit":["exp"]"#, r#""crit":["b64"],"b64":false"#, r#""crit":[]"#, r#""zip":"DEF""#, r#""enc":"A128GCM""#] {
        let header = format!(r#"{{"typ":"JWT","alg":"HS256","kid":"k1",{extra}}}"#);
        add(&format!("{extra}, signed rightly"), jwt(&header, &text, secret));
    }

    // Claims, rightly signed.
    let signed = |claims: String| jwt(HEADER, &claims, secret);
    for (what, exp) in [
        ("long ago", json!(0)),
        ("an hour ago", json!(now - 3_600)),
        ("beyond the leeway", json!(now - 6)),
        ("negative", json!(-1)),
        ("text", json!(format!("{}", now + 3_600))),
        ("a list", json!([now + 3_600])),
        ("true", json!(true)),
    ] {
        add(&format!("exp {what}"), signed(with(&claims, "exp", exp)));
    }
    add("exp null", signed(text.replacen("\"exp\":", "\"exp\":null,\"was\":", 1)));
    for name in claims.as_object().expect("an object").keys() {
        if name != "customer" {
            add(&format!("without {name}"), signed(with(&claims, name, Value::Null)));
        }
        add(&format!("{name} twice"), signed(format!("{},{}:{}}}", &text[..text.len() - 1], json!(name), claims[name])));
    }
    for aud in [
        json!("tidegate"),
        json!(""),
        json!("TIDEGATE-WEB"),
        json!("TIDEGATE-DESK"),
        json!(["tidegate-web"]),
        json!(["tidegate-desk", "x"]),
        json!(1),
        json!("tidegate-admin"),
    ] {
        add(&format!("aud {aud}"), signed(with(&claims, "aud", aud)));
    }
    for (name, value) in [
        ("nbf", json!(now + 3_600)),
        ("role", json!("admin")),
        ("scope", json!("admin")),
        ("iss", json!("evil")),
        ("sub", json!("admin")),
        ("admin", json!(true)),
    ] {
        add(&format!("with {name}"), signed(with(&claims, name, value)));
    }
    for tenant in [json!(0), json!(2), json!(999), json!(-1), json!("1"), json!(4_294_967_297_u64), json!(1.0), json!([1])] {
        add(&format!("tenant {tenant}"), signed(with(&claims, "tenant", tenant)));
    }
    for claims in ["null", "[]", "\"\"", "{}", "{\"aud\":", ""] {
        add(&format!("claims {claims:?}"), signed(claims.to_owned()));
    }

    // Form.
    add("nothing", String::new());
    add("a word", "token".to_owned());
    add("two parts", format!("{head}.{payload}"));
    add("four parts", format!("{good}.{signature}"));
    add("five parts", format!("{head}.{payload}.{payload}.{payload}.{signature}"));
    add("a dot before", format!(".{good}"));
    add("a dot behind", format!("{good}."));
    add("doubled dots", good.replace('.', ".."));
    add("only dots", "..".to_owned());
    add("padded", format!("{good}="));
    add("padded in the middle", format!("{head}=.{payload}.{signature}"));
    add("upper case", good.to_uppercase());
    add("lower case", good.to_lowercase());
    add("reversed", good.chars().rev().collect());
    add("twice", format!("{good}{good}"));
    add("two, with a comma", format!("{good},{good}"));
    add("in quotes", format!("\"{good}\""));
    add("percent-encoded", good.replace('.', "%2E"));
    add("a space in the middle", good.replacen('.', ". ", 1));
    add("cut by one", good[..good.len() - 1].to_owned());
    add("cut by half", good[..good.len() / 2].to_owned());
    add("without its first character", good[1..].to_owned());
    add("a zero-width space", good.replacen('.', ".\u{200b}", 1));
    add("full-width dots", good.replace('.', "．"));
    add("a Cyrillic letter", good.replacen('e', "е", 1));
    add("a byte order mark", format!("\u{feff}{good}"));
    add("huge", format!("{head}.{}.{signature}", base64(&[b' '; 6_000])));
    add("another audience's, rightly signed", other.to_owned());
    cases
}

/// What can be wrong with an API token.
fn wrong_api_tokens(good: &str, viewer: &str) -> Vec<Case> {
    let (id, secret) = (&good[3..15], &good[16..]);
    let flip = |at: usize| {
        let mut bytes = good.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        String::from_utf8(bytes).expect("ASCII")
    };
    let mut cases: Vec<Case> =
        (3..15).chain([16, 17, 40, 60, 79]).map(|at| Case { name: format!("digit {at} changed"), token: flip(at) }).collect();
    let mut add = |name: &str, token: String| cases.push(Case { name: name.to_owned(), token });
    add("nothing", String::new());
    add("the id alone", format!("tg_{id}"));
    add("the secret alone", secret.to_owned());
    add("an empty secret", format!("tg_{id}_"));
    add("a secret of zeroes", format!("tg_{id}_{}", "0".repeat(64)));
    add("another token's secret", format!("tg_{id}_{}", &viewer[16..]));
    add("another token's id", format!("tg_{}_{secret}", &viewer[3..15]));
    add("upper case", good.to_uppercase());
    add("the secret in upper case", format!("tg_{id}_{}", secret.to_uppercase()));
    add("another prefix", good.replacen("tg_", "tk_", 1));
    add("no prefix", good[3..].to_owned());
    add("hyphens", good.replace('_', "-"));
    add("doubled marks", good.replace('_', "__"));
    add("cut by one", good[..79].to_owned());
    add("one more", format!("{good}0"));
    add("twice", format!("{good}{good}"));
    add("two, with a comma", format!("{good},{good}"));
    add("in quotes", format!("\"{good}\""));
    add("percent-encoded", good.replace('_', "%5f"));
    add("full-width", good.replacen('_', "＿", 1));
    add("a zero-width space", good.replacen('_', "_\u{200b}", 1));
    add("path traversal", format!("tg_../../token.key_{secret}"));
    add("huge", format!("tg_{id}_{}", "0".repeat(6_000)));
    add("the file's hash as secret", format!("tg_{id}_{}", "a".repeat(64)));
    cases
}

fn case_lines(good: &str) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let line = |text: &str| text.as_bytes().to_vec();
    vec![
        ("no header", vec![]),
        ("two headers, the good one first", vec![bearer(good), bearer("x")]),
        ("two headers, the good one last", vec![bearer("x"), bearer(good)]),
        ("the same header twice", vec![bearer(good), bearer(good)]),
        ("another scheme", vec![line(&format!("authorization: Basic {good}"))]),
        ("no scheme", vec![line(&format!("authorization: {good}"))]),
        ("two spaces", vec![line(&format!("authorization: Bearer  {good}"))]),
        ("a tab", vec![line(&format!("authorization: Bearer\t{good}"))]),
        ("the scheme alone", vec![line("authorization: Bearer")]),
        ("something behind", vec![line(&format!("authorization: Bearer {good} x"))]),
        ("a parameter", vec![line(&format!("authorization: Bearer token={good}"))]),
        ("as a cookie", vec![line(&format!("cookie: token={good}; authorization=Bearer {good}"))]),
        ("as X-Api-Key", vec![line(&format!("x-api-key: {good}"))]),
        ("as Proxy-Authorization", vec![line(&format!("proxy-authorization: Bearer {good}"))]),
        ("of another forwarded user", vec![line("x-forwarded-user: admin"), line("x-remote-user: admin")]),
        ("bytes that are no text", vec![[b"authorization: Bearer ".as_slice(), &[0xff, 0xfe], good.as_bytes()].concat()]),
    ]
}

/// What all attempts together must not have changed.
fn state(node: &Node) -> Value {
    let seats = node.get("/v1/tenants/1/seats").json();
    let status = node.get("/v1/status").json();
    let policy = node.get("/v1/tenants/1/policy");
    json!([seats["of"], status["tenants"][0]["ledger"], status["tenants"][0]["conversations"], status["draining"], policy.text])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_tokens_open_nothing_and_change_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = unhurried(dir.path()).start();
    let address = node.address();
    let secret = std::fs::read(dir.path().join("token.key")).expect("the node's secret");
    let make = |role: &str| {
        let body = json!({ "name": role, "role": role }).to_string();
        let made = node.admin_request("POST", "/v1/tokens", &node.admin(), "application/json", &body);
        assert_eq!(made.status, 201, "{}", made.text);
        made.json()["token"].as_str().expect("a token").to_owned()
    };
    let (admin, viewer) = (make("admin"), make("viewer"));
    let session = ask(&address, "POST", "/v1/web/sessions", &[], r#"{"inbox":"shop"}"#);
    let customer = session.json()["token"].as_str().expect("a token").to_owned();
    let desk = node.line["agents"][0]["token"].as_str().expect("a token").to_owned();

    // The controls: each base is good where it belongs.
    let web = |token: &str| ask(&address, "GET", "/v1/web/transcript?after=0&wait_s=0", &[bearer(token)], "").status;
    let api = |token: &str| ask(&address, "GET", "/v1/tokens", &[bearer(token)], "").status;
    assert_eq!(web(&customer), 200);
    assert_eq!(api(&admin), 200);
    let signed_in = DeskClient::sign_in(&node.base(), &desk).await.expect("signed in");
    drop(signed_in);
    let before = state(&node);

    let mut names = BTreeSet::new();
    let mut wrong = Vec::new();
    let mut told = |base: &str, name: &str, status: u16| {
        assert!(names.insert(format!("{base}: {name}")), "{base}: {name} stands twice");
        if !matches!(status, 401 | 403 | 404) {
            wrong.push(format!("{base}: {name}: {status}"));
        }
    };
    let is_sendable = |token: &str| !token.chars().any(char::is_control);

    for case in wrong_jwts(&customer, &secret, &desk).iter().filter(|case| is_sendable(&case.token)) {
        let body = r#"{"client_msg_id":"forged","text":"forged"}"#;
        told("customer", &case.name, ask(&address, "POST", "/v1/web/messages", &[bearer(&case.token)], body).status);
    }
    for (name, lines) in case_lines(&customer) {
        told("customer", name, ask(&address, "POST", "/v1/web/begin", &lines, r#"{"client_msg_id":"forged"}"#).status);
    }
    told(
        "customer",
        "in the query of a write",
        ask(&address, "POST", &format!("/v1/web/begin?token={customer}"), &[], r#"{"client_msg_id":"q"}"#).status,
    );

    for case in wrong_jwts(&desk, &secret, &customer).iter().filter(|case| case.token.len() < 12_000) {
        let status = match DeskClient::sign_in(&node.base(), &case.token).await {
            Ok(_) => 200,
            // Too short or too long to be looked at: refused before it is a token.
            Err(ClientError::Refused { status: 400 | 422, .. }) if case.token.is_empty() || case.name == "huge" => 401,
            Err(ClientError::Refused { status, .. }) => status,
            // Closed for a policy: what a wrong token is told.
            Err(ClientError::Closed { code: 1008, .. }) => 401,
            Err(error) => panic!("{}: {error}", case.name),
        };
        told("desk", &case.name, status);
    }

    let agent = r#"{"name":"Mallory","units":1,"skills":{}}"#;
    let put = |lines: &[Vec<u8>]| ask(&address, "PUT", "/v1/tenants/1/agents/99", lines, agent).status;
    for case in wrong_api_tokens(&admin, &viewer) {
        told("api", &case.name, put(&[bearer(&case.token)]));
    }
    for (name, lines) in case_lines(&admin) {
        told("api", name, put(&lines));
    }
    for (name, token) in [("a customer's", &customer), ("an agent's", &desk), ("a viewer's", &viewer)] {
        told("api", name, put(&[bearer(token)]));
    }
    for query in ["token", "access_token", "api_key", "authorization"] {
        let path = format!("/v1/tenants/1/agents/99?{query}={admin}");
        told("api", &format!("in the query as {query}"), ask(&address, "PUT", &path, &[], agent).status);
    }
    for (name, token) in [("an API token", &admin), ("an agent's", &desk), ("a configured token", &node.admin())] {
        told("customer", name, web(token));
    }
    // What was good once: revoked, and rotated without grace.
    let gone = make("operator");
    let id = &gone[3..15];
    let rotated = node.admin_request("POST", &format!("/v1/tokens/{id}/rotate"), &node.admin(), "application/json", "{}");
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    told("api", "rotated away", put(&[bearer(&gone)]));
    let rotated = rotated.json()["token"].as_str().expect("a token").to_owned();
    assert_eq!(node.admin_request("DELETE", &format!("/v1/tokens/{id}"), &node.admin(), "", "").status, 200);
    told("api", "revoked", put(&[bearer(&rotated)]));

    assert!(wrong.is_empty(), "{} let in, or answered otherwise:\n{}", wrong.len(), wrong.join("\n"));
    assert!(names.len() >= 200, "{} cases", names.len());
    eprintln!("{} wrong tokens, all refused", names.len());
    assert_eq!(state(&node), before, "a wrong token changed something");
    assert_eq!((web(&customer), api(&admin)), (200, 200), "the good ones are good still");
    assert!(DeskClient::sign_in(&node.base(), &desk).await.is_ok());
}
