//! The real binary, serving its demonstration tenant from a directory that is gone afterwards.
//!
//! The binary stands where cargo puts it, beside the tests' own; `cargo build -p tidegate` makes it. It knows the line that
//! `serve --json` prints and one question of administration.

use serde_json::Value;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A running node; ended by force when dropped.
pub struct Node {
    _child: Child,
    _dir: tempfile::TempDir,
    line: Value,
}

fn binary() -> PathBuf {
    let own = std::env::current_exe().expect("a test has a path");
    let path = own.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps").join("tidegate");
    assert!(path.exists(), "{} is not there: run `cargo build -p tidegate` first", path.display());
    path
}

impl Node {
    /// Starts one; returns once it serves.
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(binary());
        command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--dir"]).arg(dir.path());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().expect("the binary runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).await.expect("it prints UTF-8");
        let line = serde_json::from_str(&line).unwrap_or_else(|error| panic!("no line of JSON ({error}): {line:?}"));
        Self { _child: child, _dir: dir, line }
    }

    /// `http://host:port`.
    pub fn base(&self) -> &str {
        self.line["address"].as_str().expect("an address")
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        self.base().trim_start_matches("http://")
    }

    /// The token of an agent, in the order of the configuration.
    pub fn agent(&self, at: usize) -> &str {
        self.line["agents"][at]["token"].as_str().expect("an agent")
    }

    /// The administration token.
    pub fn admin(&self) -> &str {
        self.line["admin_token"].as_str().expect("a token")
    }

    /// GETs a document of administration.
    pub async fn ask(&self, path: &str) -> Value {
        self.say("GET", path, "").await
    }

    /// Sends a document of administration; the answer must be one, too.
    pub async fn say(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(self.address()).await.expect("it listens");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\nconnection: close\r\nidempotency-key: browser\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address(),
            self.admin(),
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {answer}"))
    }
}
