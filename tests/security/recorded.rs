//! The audit of a real node: every act, asked for before it is done; the chain checked by the command line; `kill -9` in the
//! middle; and a disk under it that is full.

use crate::node::Node;
use crate::roles::path_of;
use crate::run::tidegate;
use crate::wire::{ask, bearer, unhurried};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use tidegate_router::auth::Permission;
use tidegate_router::http::{ACTS, Act, UNRECORDED};

const POLICY: &str = include_str!("../../examples/serve/policy.toml");
const AGENT: &str = r#"{"name":"Zhao","units":2,"skills":{"sales":3}}"#;

fn records(node: &Node) -> Vec<Value> {
    node.get("/v1/audit?limit=1000").json()["records"].as_array().expect("records").clone()
}

fn verify(dir: &Path, more: &[&str]) -> crate::run::Ran {
    let dir = dir.to_str().expect("UTF-8");
    tidegate([&["audit", "verify", dir, "--json"], more].concat())
}

#[test]
fn every_act_is_recorded_before_and_after_and_the_chain_holds() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = unhurried(dir.path()).start();
    let send = |method: &str, path: &str, kind: &str, body: &str| node.admin_request(method, path, &node.admin(), kind, body);
    let json = "application/json";
    assert_eq!(send("PUT", "/v1/tenants/1/agents/9", json, AGENT).status, 200);
    assert_eq!(send("PUT", "/v1/tenants/1/accounts/1", json, r#"{"name":"shop","delivery":"view"}"#).status, 200);
    assert_eq!(send("PUT", "/v1/tenants/1/policy", "application/toml", POLICY).status, 200);
    send("PUT", "/v1/tenants/1/policy", "application/toml", "name = ").problem(422, "policy-invalid");
    let made = send("POST", "/v1/tokens", json, r#"{"name":"shop","role":"viewer"}"#).json();
    let id = made["id"].as_str().expect("an id").to_owned();
    let token = made["token"].as_str().expect("a text").to_owned();
    assert_eq!(send("POST", &format!("/v1/tokens/{id}/rotate"), json, r#"{"grace_s":60}"#).status, 200);
    node.admin_request("PUT", "/v1/tenants/1/agents/9", &token, json, AGENT).problem(403, "forbidden");
    node.admin_request("PUT", "/v1/tenants/1/agents/9", "", json, AGENT).problem(401, "unauthorised");
    assert_eq!(send("DELETE", &format!("/v1/tokens/{id}"), "", "").status, 200);
    crate::node::signal("HUP", &node.pid());
    node.says("nothing to reload");

    let all = records(&node);
    let seen: Vec<(String, String)> = all
        .iter()
        .map(|r| (r["action"].as_str().expect("text").to_owned(), r["outcome"].as_str().expect("text").to_owned()))
        .collect();
    let expect = |action: &str, outcomes: &[&str]| {
        let found: Vec<_> = seen.iter().filter(|(a, _)| a == action).map(|(_, o)| o.as_str()).collect();
        assert_eq!(found, outcomes, "{action}");
    };
    expect("agent.write", &["asked", "done", "refused", "refused"]);
    expect("account.write", &["asked", "done"]);
    expect("policy.activate", &["asked", "done", "asked", "refused"]);
    expect("token.create", &["asked", "done"]);
    expect("token.rotate", &["asked", "done"]);
    expect("token.revoke", &["asked", "done"]);
    for record in &all {
        assert!(!record.to_string().contains(&token) && !record.to_string().contains(&node.admin()), "{record}");
    }
    let refused = all.iter().find(|r| r["outcome"] == "refused" && r["action"] == "agent.write").expect("one");
    assert_eq!((&refused["actor"]["name"], &refused["actor"]["token"]), (&json!("shop"), &json!(id)), "{refused}");
    assert_eq!(refused["actor"]["from"], "127.0.0.1");
    assert_eq!(refused["tenant"], 1);
    let done = all.iter().find(|r| r["outcome"] == "done" && r["action"] == "policy.activate").expect("one");
    assert_eq!(done["details"]["etag"].as_str().map(str::len), Some(64), "the policy's hash: {done}");

    let head = node.get("/v1/status").json()["audit"].as_str().expect("a head").to_owned();
    let whole: Value = serde_json::from_str(&verify(dir.path(), &["--head", &head]).ends(0, &[]).out).expect("JSON");
    assert_eq!((&whole["whole"], &whole["head"]), (&json!(true), &json!(head)), "verified while it runs: {whole}");
    assert_eq!(whole["without_outcome"], 0);
    node.terminate();
    let shown = tidegate(["audit", "show", dir.path().to_str().expect("UTF-8")]).ends(0, &[]).out;
    assert!(
        shown.lines().count() as u64 == whole["records"].as_u64().expect("a number") && shown.contains("agent.write refused"),
        "{shown}"
    );

    // Broken in each way, the first record that does not hold is named.
    let file = dir.path().join("audit/audit-000001.ndjson");
    let text = std::fs::read_to_string(&file).expect("the file");
    let lines: Vec<&str> = text.lines().collect();
    let joined = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let mut swapped = lines.clone();
    swapped.swap(2, 3);
    for (broken, line) in [
        (text.replacen("\"agent.write\"", "\"agent.wrote\"", 1), 1),
        (joined(&[&lines[..2], &lines[3..]].concat()), 3),
        (joined(&swapped), 3),
        (text.replacen("\"done\"", "\"refused\"", 1), 2),
    ] {
        std::fs::write(&file, broken).expect("written");
        verify(dir.path(), &[]).ends(1, &["audit-000001.ndjson", &format!(":{line}:")]);
    }
    // An end that was cut off is seen by a noted head alone.
    std::fs::write(&file, joined(&lines[..lines.len() - 1])).expect("written");
    verify(dir.path(), &[]).ends(0, &[]);
    verify(dir.path(), &["--head", &head]).ends(1, &["was cut off"]);
    // Nobody without the node's secret mends it, and a node does not write on a broken chain.
    std::fs::write(&file, text.replacen("\"agent.write\"", "\"agent.wrote\"", 1)).expect("written");
    tidegate(["serve", "--listen", "127.0.0.1:0", "--dir", dir.path().to_str().expect("UTF-8")])
        .ends(1, &["the audit", "is broken"]);
    tidegate(["audit", "verify", "/nonexistent"]).ends(3, &["holds no audit"]);
    verify(dir.path(), &["--head", "12"]).ends(2, &["NUMBER:HASH"]);
}

/// Each route of the table, asked by an administrator with a body of which nothing can be made: one record of what was asked
/// and one of how it ended, both of its own act; nothing for those that are excused. The last one is the drain.
#[test]
fn each_act_is_recorded_once_and_by_its_own_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = unhurried(dir.path()).start();
    let file = dir.path().join("audit/audit-000001.ndjson");
    let lines = || std::fs::read_to_string(&file).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
    let since = |before: usize| -> Vec<(String, String)> {
        let text = |line: &str, name: &str| {
            let record: Value = serde_json::from_str(line).expect("JSON");
            record[name].as_str().expect("text").to_owned()
        };
        lines()[before..].iter().map(|line| (text(line, "action"), text(line, "outcome"))).collect()
    };
    let send = |method: &str, path: &str| {
        ask(&node.address(), method, path, &[bearer(&node.admin()), b"idempotency-key: once".to_vec()], "[]").status
    };
    let (drains, acts): (Vec<&Act>, Vec<&Act>) = ACTS.iter().partition(|act| act.need == Permission::Drain);
    assert!(acts.len() >= 18 && drains.len() == 1, "{} acts", acts.len());
    for act in acts {
        let before = lines().len();
        let status = send(act.method, &path_of(act.path));
        let outcome = if status < 400 { "done" } else { "refused" };
        let expected = [(act.action.to_owned(), "asked".to_owned()), (act.action.to_owned(), outcome.to_owned())];
        assert_eq!(since(before), expected, "{} {}: {status}", act.method, act.path);
    }
    for (method, path, _) in UNRECORDED {
        let before = lines().len();
        let status = send(method, &path_of(path));
        assert!((400..500).contains(&status), "{method} {path}: {status}");
        assert_eq!(since(before), [], "{method} {path}");
    }
    let before = lines().len();
    assert_eq!(send("POST", drains[0].path), 202);
    node.wait();
    assert_eq!(since(before), [("node.drain".to_owned(), "asked".to_owned()), ("node.drain".to_owned(), "done".to_owned())]);
}

#[test]
fn refused_attempts_do_not_fill_the_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = unhurried(dir.path()).start();
    for _ in 0..100 {
        node.admin_request("PUT", "/v1/tenants/1/agents/9", "wrong", "application/json", AGENT).problem(401, "unauthorised");
    }
    let refused = records(&node).iter().filter(|r| r["outcome"] == "refused").count();
    assert!((1..=2 * tidegate_router::http::REFUSED_MAX as usize).contains(&refused) && refused < 100, "{refused}");
}

#[test]
fn a_kill_leaves_a_chain_that_holds() {
    let dir = tempfile::tempdir().expect("a directory");
    let rounds = if std::env::var("TIDEGATE_NIGHTLY").is_ok_and(|on| on == "1") { 30 } else { 3 };
    for round in 0..rounds {
        let node = unhurried(dir.path()).start();
        let (address, admin) = (node.address(), node.admin());
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (address, admin) = (address.clone(), admin.clone());
                std::thread::spawn(move || {
                    let mut done = 0;
                    loop {
                        let path = format!("/v1/tenants/1/agents/{}", 100 + writer);
                        let lines = [bearer(&admin)];
                        let sent = std::panic::catch_unwind(|| ask(&address, "PUT", &path, &lines, AGENT).status);
                        match sent {
                            Ok(200) => done += 1,
                            _ => return done,
                        }
                    }
                })
            })
            .collect();
        let records = || {
            let status = node.get("/v1/status").json();
            let head = status["audit"].as_str().expect("a head").to_owned();
            head.split_once(':').and_then(|(n, _)| n.parse::<u64>().ok()).expect("NUMBER:HASH")
        };
        while records() < 40 * (round + 1) {
            assert!(!writers.iter().all(std::thread::JoinHandle::is_finished), "no writer writes");
            std::thread::yield_now();
        }
        node.kill();
        let done: u64 = writers.into_iter().map(|writer| writer.join().expect("a writer")).sum();
        // A half-written last line is set aside at the start; everything acknowledged is there.
        let node = unhurried(dir.path()).start();
        let status = node.get("/v1/status").json();
        let head = status["audit"].as_str().expect("a head").to_owned();
        node.kill();
        let whole: Value = serde_json::from_str(&verify(dir.path(), &["--head", &head]).ends(0, &[]).out).expect("JSON");
        let records = whole["records"].as_u64().expect("a number");
        assert!(records >= 2 * done, "{records} records for {done} acknowledged acts in round {round}");
        assert!(whole["without_outcome"].as_u64().is_some_and(|open| open <= 4 * (round + 1)), "{whole}");
    }
}

#[tokio::test]
async fn an_audit_that_cannot_be_written_refuses_acts_and_serves_customers() {
    let dir = tempfile::tempdir().expect("a directory");
    let audit = dir.path().join("audit");
    std::fs::create_dir(&audit).expect("made");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&audit).output();
    if !mounted.as_ref().is_ok_and(|output| output.status.success()) {
        return println!("SKIPPED: no tmpfs can be mounted: {mounted:?}");
    }
    let unmount = || drop(Command::new("umount").arg("--lazy").arg(&audit).status());
    let node = unhurried(dir.path()).start();
    let put = || node.admin_request("PUT", "/v1/tenants/1/agents/9", &node.admin(), "application/json", AGENT);
    let before = put().status;
    std::fs::write(audit.join("filler"), vec![0; 64 << 10]).expect_err("the disk is not full");
    let refused = (0..200).map(|_| put()).find(|answer| answer.status != 200).expect("a full disk is noticed");
    let again = put();
    let mut page = node.customer().await;
    let spoken = page.send_text("still served").await.is_ok();
    let figures = node.get("/v1/status").status;
    node.kill();
    unmount();
    assert_eq!(before, 200);
    refused.problem(503, "audit-failed");
    again.problem(503, "audit-failed");
    assert!(spoken && figures == 200, "an audit's disk stopped customers");
}
