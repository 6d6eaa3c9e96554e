//! Traces as an operator sets them up: a section of the configuration, a secret in a file, and somebody else's collector.
//!
//! TIDEGATE_OTLP_COLLECTOR names that collector's program: `rotel`, of PyPI, which `./verify` installs. Without the variable
//! the test that needs it says so. What is inside a trace is checked span by span in `router/tests/live/traces.rs`.

use crate::node::{PATIENCE, Serve};
use crate::run::{tidegate, tidegate_in};
use crate::talk::{meet, soon};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use tidegate_model::{ContactId, TenantId};
use tidegate_router::traces::trace_id;

const SECRET: &str = "s3cret-of-the-collector-4711";

/// A home with the example's files and a section of traces; the configuration's path.
fn home(traces: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/serve");
    std::fs::copy(example.join("policy.toml"), dir.path().join("policy.toml")).expect("copied");
    let text = std::fs::read_to_string(example.join("tidegate.toml")).expect("read");
    let text = text.replacen("[[tenant]]", &format!("{traces}\n[[tenant]]"), 1);
    let path = dir.path().join("tidegate.toml");
    std::fs::write(&path, text).expect("written");
    (dir, path.to_str().expect("UTF-8").to_owned())
}

/// Somebody else's collector, ended when dropped.
struct Rotel {
    child: Child,
    port: u16,
    said: Receiver<String>,
}

impl Rotel {
    fn start(program: &str) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let (port, other) = (free(), free());
        let mut command = Command::new(program);
        command.args(["start", "--exporter", "blackhole", "--debug-log", "traces", "--debug-log-verbosity", "detailed"]);
        command.args(["--otlp-http-endpoint", &format!("127.0.0.1:{port}"), "--otlp-grpc-endpoint", &format!("127.0.0.1:{other}")]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the collector runs");
        let (tell, said) = sync_channel(4_096);
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let started = Self { child, port, said };
        started.until("Starting Rotel");
        started
    }

    /// What it says, up to a line with this word.
    fn until(&self, word: &str) -> String {
        let mut all = String::new();
        while !all.contains(word) {
            match self.said.recv_timeout(PATIENCE) {
                Ok(line) => all += &format!("{line}\n"),
                Err(error) => panic!("the collector did not say {word:?} ({error}):\n{all}"),
            }
        }
        all
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_collector_takes_the_trace_of_a_contact() {
    let Ok(program) = std::env::var("TIDEGATE_OTLP_COLLECTOR") else {
        return println!("SKIPPED: TIDEGATE_OTLP_COLLECTOR names no collector (./verify installs rotel)");
    };
    let rotel = Rotel::start(&program);
    let (dir, path) = home(&format!("[traces]\nendpoint = \"http://127.0.0.1:{}\"\n", rotel.port));
    let node = Serve::on(&dir.path().join("data")).arg("--config").arg(&path).start();
    let (mut page, mut desk) = (node.customer().await, node.desk("Lin").await);
    let claim = meet(&mut page, &mut desk).await;
    soon("a message", page.send_text("my telephone is 13800138000")).await;
    let (status, _) = node.terminate();
    assert!(status.success());
    let trace = trace_id(TenantId(1), ContactId(claim.contact)).to_string();
    // The root ends last.
    let spans = spans_of(&rotel.until("Name           : contact"));
    let names: Vec<&str> = spans.iter().map(|span| span[3].as_str()).collect();
    assert_eq!(names, ["receive", "decide", "wait", "offer", "accept", "contact"], "{spans:#?}");
    let root = &spans[5];
    assert_eq!(root[1], "", "the root has no parent");
    assert!(spans.iter().all(|span| span[0] == trace), "{trace}: {spans:#?}");
    assert!(spans[..5].iter().all(|span| span[1] == root[2]), "{spans:#?}");
}

/// Trace, parent, own number and name of each span, as the collector prints them.
fn spans_of(said: &str) -> Vec<[String; 4]> {
    let field = |block: &str, name: &str| {
        let line = block.lines().find(|line| line.trim_start().starts_with(name) && line.contains(" : "));
        line.and_then(|line| line.split_once(" : ")).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let blocks = said.split("Span #").skip(1);
    blocks.map(|block| ["Trace ID", "Parent ID", "ID", "Name"].map(|name| field(block, name))).collect()
}

/// Takes one request of HTTP after the other and tells their heads: what a collector's door sees.
fn door() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (tell, heard) = sync_channel(64);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            loop {
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|bytes| bytes > 0) {}
                let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
                let Some(length) = length.and_then(|length| length.parse::<u64>().ok()) else { break };
                let read = std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink());
                let answered = reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                if read.is_err() || answered.is_err() || tell.send(head).is_err() {
                    break;
                }
            }
        }
    });
    (port, heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_are_sent_and_never_said() {
    let (port, heard) = door();
    let section = format!("[traces]\nendpoint = \"http://127.0.0.1:{port}/otlp\"\nheaders_file = \"collector.headers\"\n");
    let (dir, path) = home(&section);
    std::fs::write(dir.path().join("collector.headers"), format!("authorization: Bearer {SECRET}\n")).expect("written");
    let standard = format!("x-more={SECRET}-too");
    let node = Serve::on(&dir.path().join("data"))
        .arg("--config")
        .arg(&path)
        .env("TIDEGATE_LOG", "trace")
        .env("OTEL_EXPORTER_OTLP_HEADERS", &standard)
        .start();
    let (mut page, mut desk) = (node.customer().await, node.desk("Lin").await);
    meet(&mut page, &mut desk).await;
    let figures = node.get("/metrics").text + &node.get("/v1/status").text;
    let (status, said) = node.terminate();
    assert!(status.success());
    let head = heard.recv_timeout(PATIENCE).expect("a request").to_lowercase();
    assert!(head.starts_with("post /otlp/v1/traces http/1.1\r\n"), "{head}");
    for line in
        [format!("authorization: bearer {SECRET}"), format!("x-more: {SECRET}-too"), "content-type: application/x-protobuf".into()]
    {
        assert!(head.contains(&line), "{line}: {head}");
    }
    for (what, text) in [("its log", &said), ("its figures", &figures)] {
        assert!(!text.contains(SECRET), "{what} holds the secret");
    }
    assert!(said.len() > 1_000, "everything was logged: {}", said.len());
    let explained = tidegate(["config", "explain", &path]).ends(0, &[]);
    assert!(explained.out.contains("traces.headers_file = \"collector.headers\"") && !explained.out.contains(SECRET));
    // A diagnosis names the line, and not what stands there.
    std::fs::write(dir.path().join("collector.headers"), format!("authorization {SECRET}\n")).expect("written");
    let checked =
        tidegate(["config", "check", &path]).ends(3, &["traces.headers_file:", "line 1: is no header; write NAME: VALUE"]);
    assert!(!checked.err.contains(SECRET), "{}", checked.err);
}

#[test]
fn a_section_can_come_from_the_environment_alone() {
    let (_dir, path) = home("");
    let endpoint = ("TIDEGATE__TRACES__ENDPOINT", "http://collector.example:4318");
    let ratio = ("TIDEGATE__TRACES__SAMPLE_RATIO", "0.25");
    let ran = tidegate_in(["config", "explain", &path], &[endpoint, ratio]).ends(0, &[]);
    for line in [
        "traces.endpoint = \"http://collector.example:4318\"    # TIDEGATE__TRACES__ENDPOINT",
        "traces.sample_ratio = 0.25    # TIDEGATE__TRACES__SAMPLE_RATIO",
        "traces.queue_limit = 16384    # default",
    ] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
    tidegate_in(["config", "check", &path], &[endpoint, ("TIDEGATE__TRACES__SAMPLE_RATIO", "1.5")])
        .ends(3, &["TIDEGATE__TRACES__SAMPLE_RATIO: traces.sample_ratio: is 0 to 1, found 1.5"]);
    tidegate_in(["config", "check", &path], &[ratio]).ends(3, &["TIDEGATE__TRACES__SAMPLE_RATIO", "\"traces.endpoint\""]);
}
