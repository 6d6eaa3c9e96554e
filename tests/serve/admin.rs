//! Administration over HTTP: nobody without a token, figures with one, and policies that say where they are wrong.

use crate::node::Serve;
use crate::talk::{meet, soon};

const POLICY: &str = include_str!("../../examples/serve/policy.toml");
const TOML: &str = "application/toml";

#[tokio::test]
async fn figures_need_a_token() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let node = Serve::on(dir.path()).start();
    let mut page = node.customer().await;
    let mut desk = node.desk("Lin").await;
    meet(&mut page, &mut desk).await;
    soon("a message", page.send_text("hello")).await;

    for path in ["/metrics", "/v1/status", "/v1/tenants/1/policy", "/v1/tenants/1/seats"] {
        let answer = node.admin_request("GET", path, "", "", "");
        answer.problem(401, "unauthorised");
        assert!(answer.headers.contains("www-authenticate: bearer"), "{}", answer.headers);
        node.admin_request("GET", path, &"0".repeat(64), "", "").problem(401, "unauthorised");
    }
    // A customer's or an agent's token opens nothing here.
    let agent = node.line["agents"][0]["token"].as_str().expect("a token").to_owned();
    node.admin_request("GET", "/v1/status", &agent, "", "").problem(401, "unauthorised");
    assert_eq!(node.admin_request("GET", "/healthz", "", "", "").status, 200);
    assert_eq!(node.admin_request("GET", "/readyz", "", "", "").status, 200);
    node.admin_request("GET", "/nowhere", "", "", "").problem(404, "no-such-route");

    let status = node.get("/v1/status").json();
    assert_eq!(status["ready"], true);
    assert_eq!(status["cell"]["acknowledged_on_disks"], 1, "one node says that acknowledged means one disk");
    let ledger = &status["tenants"][0]["ledger"];
    assert_eq!((&ledger["offered"], &ledger["in_service"], &ledger["balanced"]), (&1.into(), &1.into(), &true.into()), "{ledger}");
    let metrics = node.get("/metrics");
    assert!(metrics.headers.contains("content-type: text/plain; version=0.0.4"), "{}", metrics.headers);
    for line in ["tidegate_ready 1", "tidegate_log_failed 0", "tidegate_decisions_total{tenant=\"1\"} 1"] {
        assert!(metrics.text.lines().any(|found| found == line), "{line} is missing in:\n{}", metrics.text);
    }
    for secret in [node.admin(), agent] {
        assert!(!metrics.text.contains(&secret) && !status.to_string().contains(&secret), "a token is shown");
    }
}

#[tokio::test]
async fn a_faulty_policy_is_answered_with_line_and_field_and_changes_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let node = Serve::on(dir.path()).start();
    let put = |text: &str| node.admin_request("PUT", "/v1/tenants/1/policy", &node.admin(), TOML, text);
    let before = node.get("/v1/tenants/1/policy");
    assert_eq!((before.status, before.text.as_str()), (200, POLICY), "the text that was activated, byte by byte");

    let faulty = POLICY.replacen("requires = { support = 1 }", "requires = { suport = 1 }", 1);
    let problem = put(&faulty).problem(422, "policy-invalid");
    let line = faulty[..faulty.find("{ suport").expect("there")].matches('\n').count() + 1;
    assert_eq!(problem["errors"][0]["line"], line, "{problem}");
    assert!(problem["errors"][0]["field"].as_str().is_some_and(|field| !field.is_empty()), "{problem}");
    assert!(problem["errors"][0]["remedy"].as_str().is_some_and(|text| text.contains("support")), "{problem}");
    put("name = ").problem(422, "policy-invalid");
    put(&"#".repeat(128 * 1_024 + 1)).problem(413, "too-large");
    node.admin_request("PUT", "/v1/tenants/1/policy", "", TOML, POLICY).problem(401, "unauthorised");
    assert_eq!(node.get("/v1/tenants/1/policy").text, POLICY, "a faulty text changes nothing");
}

/// What an operator activated outlives a restart, whatever is configured.
#[tokio::test]
async fn an_activated_policy_outlives_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let node = Serve::on(dir.path()).start();
    let text = POLICY.replacen("name = \"shop\"", "name = \"shop-618\"", 1);
    let done = node.admin_request("PUT", "/v1/tenants/1/policy", &node.admin(), TOML, &text);
    assert_eq!((done.status, &done.json()["name"]), (200, &"shop-618".into()), "{}", done.text);
    node.kill();
    let node = Serve::on(dir.path()).start();
    assert_eq!(node.get("/v1/tenants/1/policy").text, text);
}
