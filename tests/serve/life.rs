//! A contact from the first word to the wrap-up, and a node that goes down when it is told to.

use crate::node::{PATIENCE, Serve, signal};
use crate::run::tidegate;
use crate::talk::{desk_items, meet, page_items, soon, told};
use serde_json::Value;
use std::process::{Command, Stdio};
use tidegate_channels::client::{Begin, ClientError, DeskEvent, WebEvent};
use tokio::time::timeout;

#[tokio::test]
async fn a_contact_from_the_first_word_to_the_wrap_up() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let node = Serve::on(dir.path()).start();
    assert_eq!(node.line["recovered"], 0, "a new directory holds nothing");
    let mut page = node.customer().await;
    let mut desk = node.desk("Lin").await;
    let claim = meet(&mut page, &mut desk).await;
    assert_eq!(claim.conversation, page.conversation());

    let asked = soon("a question", page.send_text("有货吗? — in stock?")).await;
    desk_items(&mut desk, asked.n).await;
    let answered = soon("an answer", desk.send_text(&claim.claim, "有, seven left")).await;
    page_items(&mut page, answered.n).await;
    let ended = soon("end", desk.end(&claim.claim)).await;
    assert!(!ended.duplicate);
    let end = soon("the end", page.wait_ended()).await;
    assert_eq!(end.exit, "served");
    loop {
        match soon("wrap-up", desk.next_event()).await {
            DeskEvent::WrapUp { .. } => drop(soon("wrap up", desk.wrap_up(&claim.claim, "sold")).await),
            DeskEvent::Released { claim: released } => break assert_eq!(released, claim.claim),
            _ => {}
        }
    }
    soon("sign out", desk.sign_out()).await;

    // The whole conversation again, from its beginning, as a page that kept its visitor id gets it.
    let mut again = page;
    again.cut();
    soon("resume", again.resume()).await;
    assert_eq!(again.newest(), end.n, "a resume from the end brings nothing twice");
    again.close().await;

    let (status, said) = node.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("draining") && said.contains("nothing acknowledged was lost"), "{said}");
    let path = dir.path().to_str().expect("UTF-8");
    let verified = tidegate(["journal", "verify", path, "--json"]).ends(0, &[]);
    let contents: Value = serde_json::from_str(&verified.out).expect("JSON");
    assert_eq!(contents["damage"], serde_json::json!([]));
    for (kind, count) in [("begin", 1), ("accept", 1), ("message", 1), ("send", 1), ("end", 1), ("wrap_up", 1), ("sign_out", 1)] {
        assert_eq!(contents["kinds"][kind], count, "{kind} in {}", contents["kinds"]);
    }
    let replayed = tidegate(["replay", path, "--json"]).ends(0, &[]);
    let replayed: Value = serde_json::from_str(&replayed.out).expect("JSON");
    assert_eq!(replayed["unreadable"], serde_json::json!([]));
    assert_eq!(replayed["tenants"][0]["exits"]["served"], 1, "{replayed}");
    assert_eq!(replayed["tenants"][0]["open"], 0);

    let exported = tidegate(["journal", "export", path]).ends(0, &[]).out;
    assert_eq!(exported.lines().count() as u64, contents["entries"].as_u64().expect("a count"));
    assert!(!exported.contains("in stock") && !exported.contains("seven left"), "bodies stay out of an export");
}

/// Open contacts outlive a drain: pages are told, nothing is lost, and the conversation goes on after the start.
#[tokio::test]
async fn a_drain_tells_everybody_and_an_open_contact_goes_on() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let node = Serve::on(dir.path()).start();
    let mut page = node.customer().await;
    let mut desk = node.desk("Lin").await;
    let claim = meet(&mut page, &mut desk).await;
    let before = soon("a message", page.send_text("before")).await;
    let seen = page_items(&mut page, before.n).await;
    let address = node.address();
    let stopping = tokio::task::spawn_blocking(move || node.terminate());
    loop {
        match timeout(PATIENCE, page.next_event()).await.expect("a goodbye") {
            Ok(WebEvent::Bye(_)) => break,
            Ok(_) => {}
            Err(error) => panic!("closed without a goodbye: {error}"),
        }
    }
    match timeout(PATIENCE, page.next_event()).await.expect("a close") {
        Err(ClientError::Closed { code, .. }) => assert_eq!(code, 1012, "going down"),
        other => panic!("{other:?}"),
    }
    let (status, said) = stopping.await.expect("joined");
    assert_eq!(status.code(), Some(0), "{said}");

    let node = Serve::at(dir.path(), &address).start();
    assert!(node.line["recovered"].as_u64() > Some(0), "{}", node.line);
    soon("the page again", page.resume()).await;
    soon("the desk again", desk.resume()).await;
    let after = soon("a message", page.send_text("after")).await;
    assert_eq!(after.n, before.n + 1, "{:?}", told(&seen));
    let got = desk_items(&mut desk, after.n).await;
    assert_eq!(told(&got).last(), Some(&(after.n, "customer", "after")));
    soon("end", desk.end(&claim.claim)).await;
    assert_eq!(soon("the end", page.wait_ended()).await.exit, "served");
}

/// An operator's drain ends the process as a signal does.
#[tokio::test]
async fn an_operator_drains_over_http() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let node = Serve::on(dir.path()).start();
    let mut page = node.customer().await;
    soon("begin", page.begin(&Begin::default())).await;
    let answer = node.admin_request("POST", "/v1/drain", &node.admin(), "", "");
    assert_eq!((answer.status, answer.json()["draining"].clone()), (202, Value::Bool(true)));
    let (status, said) = node.wait();
    assert_eq!(status.code(), Some(0), "{said}");
}

/// A second node on the same directory, and a look at the log of a running one, are refused in words.
#[tokio::test]
async fn a_log_in_use_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().to_str().expect("UTF-8");
    let node = Serve::on(dir.path()).start();
    tidegate(["serve", "--listen", "127.0.0.1:0", "--dir", path]).ends(1, &["cannot be used for the log", "in use by another"]);
    tidegate(["journal", "verify", path]).ends(3, &["cannot be opened", "stop the node"]);
    tidegate(["replay", path]).ends(3, &["cannot be replayed", "in use by another"]);
    let taken = tempfile::tempdir().expect("a temporary directory");
    let other = taken.path().to_str().expect("UTF-8");
    tidegate(["serve", "--listen", &node.address(), "--dir", other]).ends(1, &["cannot listen on", "is it in use?"]);
    // A stop while somebody is still looking changes nothing of that.
    signal("INT", &node.pid());
    assert_eq!(node.wait().0.code(), Some(0), "ctrl-c drains, too");
    tidegate(["journal", "verify", path]).ends(0, &[]);
}

/// A reader who closes the pipe has read enough: no panic, no error.
#[tokio::test]
async fn a_closed_pipe_ends_an_export_quietly() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let node = Serve::on(dir.path()).start();
    let mut page = node.customer().await;
    soon("begin", page.begin(&Begin::default())).await;
    node.kill();
    let mut export = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["journal", "export"])
        .arg(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(export.stdout.take());
    let output = export.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}
