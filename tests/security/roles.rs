//! API tokens over HTTP, and every role against every administrative route.

use crate::node::Node;
use crate::wire::{ask, bearer, unhurried};
use serde_json::{Value, json};
use tidegate_channels::client::DeskClient;
use tidegate_router::auth::{Permission, Role};
use tidegate_router::http::ACTS;

/// A token of a role; an agent's has seat 1.
fn make(node: &Node, role: Role, tenant: Option<u32>) -> String {
    let mut body = json!({ "name": format!("test {role}"), "role": role.word() });
    if let Some(tenant) = tenant {
        body["tenant"] = json!(tenant);
    }
    if role == Role::Agent {
        body["tenant"] = json!(1);
        body["seat"] = json!("1");
    }
    let made = node.admin_request("POST", "/v1/tokens", &node.admin(), "application/json", &body.to_string());
    assert_eq!(made.status, 201, "{}", made.text);
    assert!(made.headers.contains("cache-control: no-store"), "{}", made.headers);
    made.json()["token"].as_str().expect("the text").to_owned()
}

/// A path of the table with ids in it, of which no act can be made.
pub fn path_of(path: &str) -> String {
    path.replace("{tenant}", "1")
        .replace("{id}", "000000000000")
        .replace("{agent}", "0")
        .replace("{account}", "0")
        .replace("{seat}", "99")
        .replace("{conversation}", "abc")
        .replace("{event}", "1-0")
}

#[test]
fn every_role_meets_every_administrative_route() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = unhurried(dir.path()).start();
    let address = node.address();
    let mut asked = 0;
    for role in Role::ALL {
        let token = make(&node, role, None);
        for act in ACTS {
            if act.need == Permission::Drain && role.may(act.need) {
                // It would end the node: `recorded.rs` drains one.
                continue;
            }
            // A body that nothing can be made of: whoever is let in is told so, and nothing happens.
            let answer = ask(&address, act.method, &path_of(act.path), &[bearer(&token)], "[]");
            let is_in = !matches!(answer.status, 401 | 403);
            assert_eq!(is_in, role.may(act.need), "{role} {} {}: {} {}", act.method, act.path, answer.status, answer.body);
            asked += 1;
        }
        for (path, need) in [
            ("/v1/status", Permission::ReadFigures),
            ("/metrics", Permission::ReadFigures),
            ("/v1/tenants/1/seats", Permission::ReadFloor),
            ("/v1/tenants/1/queues", Permission::ReadFloor),
            ("/v1/tenants/1/policy", Permission::ReadPolicy),
            ("/v1/tokens", Permission::ManageTokens),
        ] {
            let status = ask(&address, "GET", path, &[bearer(&token)], "").status;
            assert_eq!(status, if role.may(need) { 200 } else { 403 }, "{role} {path}");
            asked += 1;
        }
        // A dry run needs less than an activation.
        let dry = ask(&address, "PUT", "/v1/tenants/1/policy?dry_run=true", &[bearer(&token)], "x").status;
        assert_eq!(!matches!(dry, 401 | 403), role.may(Permission::CheckPolicy), "{role}: {dry}");
    }
    assert!(asked > 80, "{asked}");
}

#[test]
fn a_token_of_one_tenant_reaches_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = unhurried(dir.path()).start();
    let token = make(&node, Role::Admin, Some(1));
    let get = |path: &str| node.admin_request("GET", path, &token, "", "");
    assert_eq!(get("/v1/tenants/1/seats").status, 200);
    get("/v1/tenants/2/seats").problem(404, "unknown-tenant");
    get("/v1/status").problem(403, "forbidden");
    get("/v1/audit").problem(403, "forbidden");
    node.admin_request("POST", "/v1/drain", &token, "", "").problem(403, "forbidden");
    let make = |body: Value| node.admin_request("POST", "/v1/tokens", &token, "application/json", &body.to_string());
    make(json!({ "name": "n", "role": "viewer" })).problem(422, "bad-field");
    assert_eq!(make(json!({ "name": "n", "role": "viewer", "tenant": 1 })).status, 201);
    // It sees its tenant's tokens alone: not those of the whole node.
    make_of_node(&node);
    let rows = get("/v1/tokens").json()["tokens"].as_array().expect("rows").clone();
    assert!(rows.len() == 2 && rows.iter().all(|row| row["tenant"] == 1), "{rows:?}");
}

fn make_of_node(node: &Node) {
    make(node, Role::Viewer, None);
}

#[test]
fn a_token_is_shown_once_and_made_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = unhurried(dir.path()).start();
    let address = node.address();
    let key = b"idempotency-key: one".to_vec();
    let post =
        || ask(&address, "POST", "/v1/tokens", &[bearer(&node.admin()), key.clone()], r#"{"name":"shop","role":"operator"}"#);
    let first = post().json();
    assert!(first["token"].is_string(), "{first}");
    for _ in 0..10 {
        let again = post();
        assert_eq!(again.status, 201);
        assert_eq!((&again.json()["id"], &again.json()["token"]), (&first["id"], &Value::Null), "{}", again.body);
    }
    let listed = node.get("/v1/tokens");
    assert_eq!(listed.json()["tokens"].as_array().map(Vec::len), Some(1));
    let secret = &first["token"].as_str().expect("a text")[16..];
    assert!(!listed.text.contains(secret));
    for wrong in [
        "{}",
        r#"{"name":"","role":"viewer"}"#,
        r#"{"name":"n","role":"root"}"#,
        r#"{"name":"n","role":"viewer","life_s":59}"#,
        r#"{"name":"n","role":"viewer","life_s":34560001}"#,
        r#"{"name":"n","role":"viewer","more":1}"#,
        r#"{"name":"n","role":"agent"}"#,
        r#"{"name":"n","role":"viewer","role":"admin"}"#,
    ] {
        let answer = ask(&address, "POST", "/v1/tokens", &[bearer(&node.admin())], wrong);
        assert!(matches!(answer.status, 400 | 422), "{wrong}: {} {}", answer.status, answer.body);
    }
    let nowhere = ask(&address, "POST", "/v1/tokens", &[bearer(&node.admin())], r#"{"name":"n","role":"viewer","tenant":9}"#);
    assert_eq!(nowhere.status, 404, "{}", nowhere.body);
    // After a restart it is good still, and the file tells nothing.
    let token = first["token"].as_str().expect("a text").to_owned();
    let file = std::fs::read_to_string(dir.path().join("tokens.json")).expect("the file");
    assert!(!file.contains(secret));
    node.terminate();
    let node = unhurried(dir.path()).start();
    assert_eq!(node.admin_request("GET", "/v1/status", &token, "", "").status, 200);
}

#[tokio::test]
async fn a_seats_token_opens_its_desk_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = unhurried(dir.path()).start();
    let post = |seat: u64, body: &str| {
        node.admin_request("POST", &format!("/v1/tenants/1/seats/{seat}/token"), &node.admin(), "application/json", body)
    };
    let drawn = post(1, r#"{"life_s":60}"#);
    assert_eq!(drawn.status, 201, "{}", drawn.text);
    let token = drawn.json()["token"].as_str().expect("a token").to_owned();
    assert!(DeskClient::sign_in(&node.base(), &token).await.is_ok());
    node.admin_request("GET", "/v1/status", &token, "", "").problem(401, "unauthorised");
    post(999, "{}").problem(404, "unknown-seat");
    post(1, r#"{"life_s":59}"#).problem(422, "bad-field");
    post(1, r#"{"life_s":43201}"#).problem(422, "bad-field");
}
