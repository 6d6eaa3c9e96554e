//! Files through the real binary: uploaded, sent, read by both sides, over a `kill -9` between any two steps.
//!
//! Judged from what the clients saw: bytes equal, the message once, the file where its address says, and nothing readable
//! that does not stand in a transcript.

use crate::node::Serve;
use crate::talk::{desk_items, meet, page_items, soon};
use serde_json::json;

fn picture(length: usize) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.extend((bytes.len()..length).map(|at| (at * 31 % 253) as u8));
    bytes
}

#[tokio::test]
async fn a_file_outlives_kills_between_upload_message_and_download() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let node = Serve::on(dir.path()).start();
    let address = node.address();
    let mut page = node.customer().await;
    let mut desk = node.desk("Lin").await;
    let claim = meet(&mut page, &mut desk).await;
    let bytes = picture(3 << 20);
    let file = soon("an upload", page.upload("发票 1.png", "image/png", bytes.clone())).await;
    node.kill();

    // Answered, so it is there; sent under one id before and after the next kill, it is one message.
    let node = Serve::at(dir.path(), &address).start();
    soon("the page again", page.resume()).await;
    soon("the desk again", desk.resume()).await;
    assert_eq!(page.download(&file.file).await.expect_err("not sent yet").slug(), "unknown-file");
    let frame = json!({"type": "message", "file": file.file, "name": file.name, "media_type": file.media_type});
    let sent = soon("the message", page.submit(frame.clone(), "f1")).await;
    node.kill();

    let node = Serve::at(dir.path(), &address).start();
    soon("the page again", page.resume()).await;
    soon("the desk again", desk.resume()).await;
    let again = soon("the message again", page.submit(frame, "f1")).await;
    assert!(again.duplicate && again.n == sent.n, "{again:?} after {sent:?}");
    let at_desk = desk_items(&mut desk, sent.n).await.pop().expect("the file");
    assert_eq!((at_desk.kind.as_str(), at_desk.file.as_deref()), ("customer", Some(&file)));
    assert_eq!(soon("the agent's download", desk.download(&file.file)).await, bytes);
    let note = soon("an upload", desk.upload(&claim.claim, "note.txt", "text/plain", "已收到\n".into())).await;
    let answered = soon("the answer", desk.send_file(&claim.claim, &note)).await;
    let at_page = page_items(&mut page, answered.n).await.pop().expect("the answer");
    assert_eq!((at_page.kind.as_str(), at_page.file.as_deref()), ("agent", Some(&note)));
    node.kill();

    let node = Serve::at(dir.path(), &address).start();
    assert_eq!(soon("the download", page.download(&file.file)).await, bytes, "after a restart, from the log and the disk");
    assert_eq!(soon("the download", page.download(&note.file)).await, "已收到\n".as_bytes());
    let stranger = node.customer().await;
    assert_eq!(stranger.download(&file.file).await.expect_err("another conversation").slug(), "unknown-file");
    let on_disk = dir.path().join("blobs").join(&file.file[..2]).join(&file.file);
    assert_eq!(std::fs::read(&on_disk).expect("the blob"), bytes, "content under its address");

    // Damage is told by name, and never given out.
    let mut damaged = bytes.clone();
    damaged[1 << 20] ^= 1;
    std::fs::write(&on_disk, &damaged).expect("written");
    assert_eq!(page.download(&file.file).await.expect_err("damaged").slug(), "damaged-file");
    let metrics = node.get("/metrics").text;
    assert!(metrics.contains("tidegate_files_total{what=\"damaged\"} 1"), "{metrics}");
    let (status, said) = node.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
}

#[tokio::test]
async fn a_file_past_the_largest_is_refused_and_one_at_it_is_not() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let node = Serve::on(dir.path()).start();
    let page = node.customer().await;
    let largest = 10 << 20;
    let file = soon("at the limit", page.upload("a.png", "image/png", picture(largest))).await;
    assert_eq!(file.bytes, largest as u64);
    let over = page.upload("b.png", "image/png", picture(largest + 1)).await;
    assert!(over.is_err(), "one above");
    let kept = std::fs::read_dir(dir.path().join("blobs/tmp")).expect("temporaries").count();
    assert_eq!(kept, 0, "nothing is left of it");
}
