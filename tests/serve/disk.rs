//! Disks that fail: full, or refusing to sync. The node stops acknowledging at once, says so everywhere, and after a restart
//! on a good disk everything that it had acknowledged is there.
//!
//! Real file systems and the real system call: a small tmpfs, and strace's fault injection. Both need rights that not every
//! machine gives; without them SKIPPED is printed with the reason.

use crate::node::{Node, PATIENCE, Serve};
use crate::talk::{page_items, soon};
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use tidegate_channels::client::{Begin, ClientError, WebClient};
use tokio::time::timeout;

/// A mounted tmpfs, unmounted when dropped.
struct Mount(tempfile::TempDir);

impl Mount {
    fn new(megabytes: u32) -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let size = format!("size={megabytes}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        let output = mount.map_err(|error| error.to_string())?;
        if output.status.success() { Ok(Self(dir)) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

/// The example with small files of the log, so that a small disk is enough.
fn configuration(dir: &Path) -> std::path::PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/serve");
    std::fs::copy(from.join("policy.toml"), dir.join("policy.toml")).expect("copied");
    let text = std::fs::read_to_string(from.join("tidegate.toml")).expect("read");
    let file = dir.join("tidegate.toml");
    std::fs::write(&file, text.replacen("data_dir", "segment_mib = 1\ndata_dir", 1)).expect("written");
    file
}

/// Sends until the node refuses; the texts that it acknowledged, in order, and the refusal.
async fn write_until_refused(page: &mut WebClient, messages: Range<u32>) -> (Vec<String>, Option<ClientError>) {
    let mut taken = Vec::new();
    for message in messages {
        let text = format!("{message} {}", "x".repeat(4_000));
        match timeout(PATIENCE, page.send_text(&text)).await.expect("an answer, whatever it is") {
            Ok(_) => taken.push(text),
            Err(error) => return (taken, Some(error)),
        }
    }
    (taken, None)
}

/// Everything that a node must say once its log has failed.
async fn says_that_its_log_failed(node: &Node, refusal: &ClientError) {
    match refusal {
        ClientError::Refused { status, kind, .. } => assert_eq!((*status, kind.as_str()), (503, "/problems/log-failed")),
        other => panic!("refused in other words: {other}"),
    }
    node.admin_request("GET", "/readyz", "", "", "").problem(503, "log-failed");
    let status = node.get("/v1/status").json();
    assert_eq!(status["cell"]["intake"], "log_failed", "{}", status["cell"]);
    assert!(status["cell"]["log_failure"].is_string(), "the cause is named: {}", status["cell"]);
    // Nor is anything of anybody else acknowledged.
    let mut other = node.customer().await;
    let begun = timeout(PATIENCE, other.begin(&Begin::default())).await.expect("an answer");
    assert!(matches!(begun, Err(ClientError::Refused { status: 503, .. })), "{begun:?}");
}

/// After a restart: each page's acknowledged texts are in its transcript, once, in order.
async fn nothing_acknowledged_is_missing(mut page: WebClient, taken: &[String]) {
    page.cut();
    soon("the page again", page.resume()).await;
    let end = soon("a last word", page.send_text("last")).await.n;
    let items = page_items(&mut page, end).await;
    let texts: Vec<&String> = items.iter().filter(|item| item.kind == "customer").map(|item| &item.text).collect();
    let kept = texts.iter().filter(|text| taken.contains(text)).count();
    assert_eq!(kept, taken.len(), "acknowledged texts are missing or repeated");
    // What was refused may be there, at most once: it was in doubt, never acknowledged.
    assert!(texts.len() <= taken.len() + 2, "{} items for {} acknowledged texts", texts.len(), taken.len());
}

#[tokio::test]
async fn a_full_disk_stops_acknowledgements_at_once() {
    let mount = match Mount::new(24) {
        Ok(mount) => mount,
        Err(reason) => return println!("SKIPPED: no tmpfs can be mounted: {reason}"),
    };
    let home = tempfile::tempdir().expect("a temporary directory");
    let config = configuration(home.path());
    let data = mount.path().join("data");
    let node = Serve::on(&data).arg("-c").arg(&config).start();
    let address = node.address();
    // Somebody else fills the disk.
    let filler = mount.path().join("filler");
    let full = Command::new("dd").args(["if=/dev/zero", "bs=64k"]).arg(format!("of={}", filler.display())).output();
    assert!(!full.expect("dd runs").status.success(), "the disk is not full");

    let mut pages = Vec::new();
    let refusal = loop {
        assert!(pages.len() < 200, "32 MB were taken by a disk that is full");
        let mut page = node.customer().await;
        let begun = timeout(PATIENCE, page.begin(&Begin::default())).await.expect("an answer");
        let (taken, refused) = match begun {
            // Fewer than a page may send at once: what stops it is the disk.
            Ok(_) => write_until_refused(&mut page, 0..35).await,
            Err(error) => (Vec::new(), Some(error)),
        };
        pages.push((page, taken));
        if let Some(error) = refused {
            break error;
        }
    };
    let acknowledged: usize = pages.iter().map(|(_, taken)| taken.len()).sum();
    assert!(acknowledged > 100, "the log's first file has room for more than {acknowledged} texts");
    says_that_its_log_failed(&node, &refusal).await;
    // Room alone heals nothing: a log that failed once is not written to again by the same process.
    std::fs::remove_file(&filler).expect("removed");
    says_that_its_log_failed(&node, &refusal).await;
    let (status, said) = node.terminate();
    assert_ne!(status.code(), Some(0), "a node whose log failed does not end well");
    assert!(said.contains("log"), "{said}");

    let _node = Serve::at(&data, &address).arg("-c").arg(&config).start();
    let last = pages.len() - 1;
    for (at, (page, taken)) in pages.into_iter().enumerate() {
        if at < last || !taken.is_empty() {
            nothing_acknowledged_is_missing(page, &taken).await;
        }
    }
}

/// A disk too small to begin on is refused at the start, in words, with exit code 1.
#[test]
fn a_disk_too_small_to_begin_on_is_refused() {
    let mount = match Mount::new(1) {
        Ok(mount) => mount,
        Err(reason) => return println!("SKIPPED: no tmpfs can be mounted: {reason}"),
    };
    let data = mount.path().join("data");
    let data = data.to_str().expect("UTF-8");
    crate::run::tidegate(["serve", "--listen", "127.0.0.1:0", "--dir", data]).ends(1, &["did not start", "because"]);
}

/// strace on a running node, whose every later fdatasync fails; gone when dropped.
struct FailingSync(std::process::Child);

impl FailingSync {
    fn on(node: &Node) -> Result<Self, String> {
        let mut strace = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO"])
            .args(["-p", &node.pid()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("strace: {error}"))?;
        let stderr = strace.stderr.take().expect("standard error is piped");
        let mut said = String::new();
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if line.contains("attached") {
                return Ok(Self(strace));
            }
            said.push_str(&line);
        }
        let _ = strace.wait();
        Err(said)
    }
}

impl Drop for FailingSync {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_failing_sync_stops_acknowledgements_at_once() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let node = Serve::on(dir.path()).start();
    let address = node.address();
    let mut page = node.customer().await;
    soon("begin", page.begin(&Begin::default())).await;
    let (taken, refused) = write_until_refused(&mut page, 0..10).await;
    assert_eq!((taken.len(), refused.is_none()), (10, true));
    let strace = match FailingSync::on(&node) {
        Ok(strace) => strace,
        Err(reason) => return println!("SKIPPED: strace cannot be attached: {reason}"),
    };
    let (later, refused) = write_until_refused(&mut page, 10..15).await;
    assert_eq!(later.len(), 0, "acknowledged without a sync");
    says_that_its_log_failed(&node, &refused.expect("refused")).await;
    drop(strace);
    node.kill();
    let _node = Serve::at(dir.path(), &address).start();
    nothing_acknowledged_is_missing(page, &taken).await;
}
