//! `kill -9` in the middle of a served conversation: nothing lost, nothing twice, the claim still the desk's.
//!
//! Judged from what the clients themselves saw. In each round both sides write; then each has an act on its way that nobody
//! has acknowledged when the process is killed: in every other round it is in the log all the same. After the restart both
//! come back and send that act again under its id: the transcript holds every acknowledged text once, in order, without a
//! gap, and the unacknowledged ones once as well.

use crate::node::Serve;
use crate::run::tidegate;
use crate::talk::{desk_items, meet, page_items, soon, told};
use serde_json::json;

/// Kills, by default and nightly.
fn rounds() -> u32 {
    if std::env::var("TIDEGATE_NIGHTLY").is_ok_and(|on| on == "1") { 40 } else { 3 }
}

#[tokio::test]
async fn a_killed_node_loses_and_repeats_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut node = Serve::on(dir.path()).start();
    let address = node.address();
    let mut page = node.customer().await;
    let mut desk = node.desk("Lin").await;
    let claim = meet(&mut page, &mut desk).await;
    // What was acknowledged, by number; and every item as each side got it.
    let mut acknowledged = Vec::new();
    let (mut by_page, mut by_desk) = (Vec::new(), Vec::new());
    for round in 0..rounds() {
        let mut newest = 0;
        // The number of acts before the kill differs from round to round, so that kills meet different moments of the log.
        for message in 0..1 + round % 5 {
            let text = format!("customer {round}.{message}");
            newest = soon("a message", page.send_text(&text)).await.n;
            acknowledged.push((newest, "customer", text));
            let text = format!("agent {round}.{message}");
            newest = soon("an answer", desk.send_text(&claim.claim, &text)).await.n;
            acknowledged.push((newest, "agent", text));
        }
        by_page.extend(page_items(&mut page, newest).await);
        by_desk.extend(desk_items(&mut desk, newest).await);

        let (text, answer) = (format!("customer {round}, unacknowledged"), format!("agent {round}, unacknowledged"));
        let (question_id, answer_id) = (page.fresh_id(), desk.fresh_id());
        let question = json!({"type": "message", "text": text});
        let reply = json!({"type": "send", "claim": claim.claim, "text": answer});
        let with = |frame: &serde_json::Value, field: &str, id: &str| {
            let mut frame = frame.clone();
            frame[field] = json!(id);
            frame
        };
        soon("a frame", page.send_raw(&with(&question, "client_msg_id", &question_id))).await;
        soon("a frame", desk.send_raw(&with(&reply, "command_id", &answer_id))).await;
        // In every other round both acts are in the log for certain, and only their acknowledgements are lost.
        let is_taken = round % 2 == 1;
        if is_taken {
            by_page.extend(page_items(&mut page, newest + 2).await);
            by_desk.extend(desk_items(&mut desk, newest + 2).await);
        }
        node.kill();

        node = Serve::at(dir.path(), &address).start();
        soon("the page again", page.resume()).await;
        soon("the desk again", desk.resume()).await;
        assert_eq!(page.conversation(), claim.conversation);
        let taken = soon("the message again", page.submit(question, &question_id)).await;
        assert!(!is_taken || taken.n <= newest + 2, "what was in the log was taken again, as item {}", taken.n);
        acknowledged.push((taken.n, "customer", text));
        let taken = soon("the answer again", desk.submit(reply, &answer_id)).await;
        assert!(!is_taken || taken.n <= newest + 2, "what was in the log was taken again, as item {}", taken.n);
        acknowledged.push((taken.n, "agent", answer));
    }
    soon("end", desk.end(&claim.claim)).await;
    let end = soon("the end", page_end(&mut page, &mut by_page)).await;

    // Every acknowledged text once, at its number; nothing that nobody wrote; no number missing.
    acknowledged.sort();
    let spoken: Vec<_> = told(&by_page).into_iter().filter(|(_, kind, _)| matches!(*kind, "customer" | "agent")).collect();
    let expected: Vec<_> = acknowledged.iter().map(|(n, kind, text)| (*n, *kind, text.as_str())).collect();
    assert_eq!(spoken, expected);
    let numbers: Vec<u32> = by_page.iter().map(|item| item.n).collect();
    assert_eq!(numbers, (1..=end).collect::<Vec<_>>(), "no gap, no repetition, over all restarts");
    by_desk.extend(desk_items(&mut desk, end - 1).await);
    let (page_told, desk_told) = (told(&by_page), told(&by_desk));
    assert_eq!(desk_told.last(), page_told.get(desk_told.len() - 1), "both sides were told the same");
    assert_eq!(desk_told[..], page_told[..desk_told.len()]);
    let assigned = page_told.iter().filter(|(_, kind, _)| *kind == "assigned").count();
    assert_eq!(assigned, 1, "the claim stayed with its desk over every restart");

    let (status, said) = node.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    let path = dir.path().to_str().expect("UTF-8");
    tidegate(["journal", "verify", path]).ends(0, &[]);
    let replayed = tidegate(["replay", path, "--json"]).ends(0, &[]);
    let replayed: serde_json::Value = serde_json::from_str(&replayed.out).expect("JSON");
    assert_eq!(replayed["tenants"][0]["exits"]["served"], 1, "{replayed}");
    assert_eq!(replayed["tenants"][0]["offered"], 1, "one contact over all restarts");
}

/// The rest of the conversation, up to its end; the end's number.
async fn page_end(
    page: &mut tidegate_channels::client::WebClient,
    items: &mut Vec<tidegate_channels::client::ItemSeen>,
) -> Result<u32, tidegate_channels::client::ClientError> {
    use tidegate_channels::client::WebEvent;
    loop {
        if let WebEvent::Item(item) = page.next_event().await? {
            items.push(item);
            let last = &items[items.len() - 1];
            if last.kind == "ended" {
                assert_eq!(last.exit, "served");
                return Ok(last.n);
            }
        }
    }
}

/// A token outlives the restart, and a lease runs on: the desk that comes back has its claim, one that does not loses it.
#[tokio::test]
async fn the_claim_waits_for_its_desk_after_a_kill() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let node = Serve::on(dir.path()).start();
    let address = node.address();
    let mut page = node.customer().await;
    let mut desk = node.desk("Lin").await;
    let claim = meet(&mut page, &mut desk).await;
    node.kill();
    let node = Serve::at(dir.path(), &address).start();
    let seats = node.get("/v1/tenants/1/seats");
    assert_eq!(seats.status, 200, "{}", seats.text);
    soon("the desk again", desk.resume()).await;
    let snapshot = loop {
        if let tidegate_channels::client::DeskEvent::Snapshot(snapshot) = soon("a snapshot", desk.next_event()).await {
            break snapshot;
        }
    };
    assert_eq!(snapshot.presence, "ready");
    assert_eq!(snapshot.claims.iter().map(|c| &c.claim).collect::<Vec<_>>(), [&claim.claim], "the claim was still there");
    soon("end", desk.end(&claim.claim)).await;
    soon("the page again", page.resume()).await;
    assert_eq!(soon("the end", page.wait_ended()).await.exit, "served");
}
