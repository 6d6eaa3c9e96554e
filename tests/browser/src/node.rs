//! The real binary, serving a tenant from a directory that is gone afterwards: its demonstration, or a configuration.
//!
//! The binary stands where cargo puts it, beside the tests' own; `cargo build -p tidegate` makes it. It knows the line that
//! `serve --json` prints and a few questions of administration.

use serde_json::Value;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Administration's token of [`Node::with`].
const ADMIN: &str = "operations-0123456789abcdef0123456789abcdef";

/// A running node; ended by force when dropped.
pub struct Node {
    child: Child,
    dir: tempfile::TempDir,
    line: Value,
    admin: String,
}

fn binary() -> PathBuf {
    let own = std::env::current_exe().expect("a test has a path");
    let path = own.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps").join("tidegate");
    assert!(path.exists(), "{} is not there: run `cargo build -p tidegate` first", path.display());
    path
}

impl Node {
    /// Starts the demonstration; returns once it serves.
    pub async fn start() -> Self {
        Self::run(tempfile::tempdir().expect("a directory"), "127.0.0.1:0", &[]).await
    }

    /// Starts one of a configuration and a policy, at an address. `config` gets an administration token before its
    /// first tenant; paths in it are relative to the directory, where `secrets` (name, text) stand, too.
    pub async fn with(listen: &str, config: &str, policy: &str, secrets: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let admin = "[[admin]]\nname = \"operations\"\nscope = \"admin\"\ntoken_file = \"admin.token\"\n";
        let token = format!("{ADMIN}\n");
        let config = config.replacen("[[tenant]]\n", &format!("{admin}[[tenant]]\n"), 1);
        let files = [("tidegate.toml", config.as_str()), ("policy.toml", policy), ("admin.token", &token)];
        for (name, text) in files.iter().chain(secrets) {
            std::fs::write(dir.path().join(name), text).expect("written");
        }
        let file = dir.path().join("tidegate.toml").display().to_string();
        Self::run(dir, listen, &["-c", &file]).await
    }

    async fn run(dir: tempfile::TempDir, listen: &str, further: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.args(["serve", "--json", "--listen", listen, "--dir"]).arg(dir.path().join("data")).args(further);
        let errors = std::fs::File::create(dir.path().join("stderr")).expect("a file");
        let mut child = command.stdout(Stdio::piped()).stderr(errors).kill_on_drop(true).spawn().expect("the binary runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).await.expect("it prints UTF-8");
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            let said = std::fs::read_to_string(dir.path().join("stderr")).unwrap_or_default();
            panic!("no line of JSON ({error}): {line:?}\n{said}")
        });
        let admin = line["admin_token"].as_str().unwrap_or(ADMIN).to_owned();
        Self { child, dir, line, admin }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
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
        &self.admin
    }

    /// A file beside its configuration, for a browser to send.
    pub fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path.display().to_string()
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
