//! A node as its users have it: the real binary in a process of its own, reached over sockets and ended by signals.
//!
//! It knows the line that `serve --json` prints and a few words of HTTP, no part of the node's inside. Drive it:
//! [`Serve::start`], then [`Node::customer`] and [`Node::desk`], then [`Node::kill`] or [`Node::terminate`]. Nobody waits by
//! sleeping: a start ends with the printed line, an end with the process. What hangs is ended by [`PATIENCE`].

use serde_json::Value;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use tidegate_channels::client::{DeskClient, NewVisitor, WebClient, open_session};

/// Longest time that anything may take before the test gives up: a guard against hanging, never a measure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How a node is started.
pub struct Serve {
    command: Command,
}

/// A running node; ended by force when dropped.
pub struct Node {
    child: Child,
    said: Arc<Said>,
    /// What it printed when it served.
    pub line: Value,
}

/// What a process has written to standard error so far.
#[derive(Default)]
struct Said {
    text: Mutex<(String, bool)>,
    more: Condvar,
}

impl Serve {
    /// `tidegate serve --json` on a directory and a free port.
    pub fn on(dir: &Path) -> Self {
        Self::at(dir, "127.0.0.1:0")
    }

    /// As [`Self::on`], at an address.
    pub fn at(dir: &Path, listen: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.env_remove("TIDEGATE_LANG").env_remove("TIDEGATE_LOG");
        command.args(["serve", "--json", "--listen", listen, "--dir"]).arg(dir);
        Self { command }
    }

    /// A further argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it; returns once it serves.
    #[track_caller]
    pub fn start(mut self) -> Node {
        let mut child =
            self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let said = Said::of(child.stderr.take().expect("standard error is piped"));
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("standard output is piped"));
        out.read_line(&mut line).expect("it prints UTF-8");
        let line = serde_json::from_str(&line).unwrap_or_else(|error| {
            let _ = child.kill();
            panic!("no line of JSON ({error}): {line:?}; standard error:\n{}", said.all())
        });
        Node { child, said, line }
    }
}

impl Said {
    fn of(stderr: impl Read + Send + 'static) -> Arc<Self> {
        let said = Arc::new(Self::default());
        let writer = said.clone();
        // Read to the end, so that the process never waits for its reader.
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stderr);
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                writer.text.lock().unwrap_or_else(PoisonError::into_inner).0.push_str(&line);
                writer.more.notify_all();
                line.clear();
            }
            writer.text.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
            writer.more.notify_all();
        });
        said
    }

    /// Everything so far, once it holds `word`.
    #[track_caller]
    fn until(&self, word: &str) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let lacks = |(text, ended): &mut (String, bool)| !text.contains(word) && !*ended;
        let (text, _) = self.more.wait_timeout_while(text, PATIENCE, lacks).unwrap_or_else(PoisonError::into_inner);
        assert!(text.0.contains(word), "standard error lacks {word:?}:\n{}", text.0);
        text.0.clone()
    }

    /// Everything, once the process has closed its end.
    fn all(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let (text, _) = self.more.wait_timeout_while(text, PATIENCE, |(_, ended)| !*ended).unwrap_or_else(PoisonError::into_inner);
        text.0.clone()
    }
}

impl Node {
    /// `http://host:port`.
    pub fn base(&self) -> String {
        self.line["address"].as_str().expect("an address").to_owned()
    }

    /// `host:port`, for a restart at the same place.
    pub fn address(&self) -> String {
        self.base().trim_start_matches("http://").to_owned()
    }

    /// The process's number.
    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// The administration token that was drawn.
    pub fn admin(&self) -> String {
        self.line["admin_token"].as_str().expect("a drawn token").to_owned()
    }

    /// A new customer's page.
    pub async fn customer(&self) -> WebClient {
        let new = NewVisitor { inbox: "shop".into(), ..NewVisitor::default() };
        let session = open_session(&self.base(), &new).await.expect("a session");
        WebClient::connect(&self.base(), &session.token, 0).await.expect("a page")
    }

    /// The desk of an agent, signed in and ready.
    pub async fn desk(&self, name: &str) -> DeskClient {
        let agents = self.line["agents"].as_array().expect("agents");
        let token = agents.iter().find(|a| a["name"] == name).and_then(|a| a["token"].as_str()).expect("the agent's token");
        let mut desk = DeskClient::sign_in(&self.base(), token).await.expect("signed in");
        desk.ready().await.expect("ready");
        desk
    }

    /// One request of an administrator; without a token when it is empty.
    pub fn admin_request(&self, method: &str, path: &str, token: &str, kind: &str, body: &str) -> Answer {
        Answer::of(&self.address(), method, path, token, kind, body)
    }

    /// A GET with the drawn token.
    pub fn get(&self, path: &str) -> Answer {
        self.admin_request("GET", path, &self.admin(), "", "")
    }

    /// Waits until its standard error holds `word`; everything that it said so far.
    #[track_caller]
    pub fn says(&self, word: &str) -> String {
        self.said.until(word)
    }

    /// `kill -9`, at once; returns when the process is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("a signal");
        self.child.wait().expect("it ends");
    }

    /// Asks it to stop; the end and everything that it said.
    pub fn terminate(self) -> (ExitStatus, String) {
        signal("TERM", &self.pid());
        self.wait()
    }

    /// Waits until it has ended by itself; the end and everything that it said.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("it ends");
        (status, self.said.all())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal, by the system's own program.
pub fn signal(name: &str, pid: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().expect("a shell");
    assert!(sent.success(), "kill -{name} {pid}");
}

/// An answer over HTTP.
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Header lines, in lower case.
    pub headers: String,
    /// Body.
    pub text: String,
}

impl Answer {
    fn of(address: &str, method: &str, path: &str, token: &str, kind: &str, body: &str) -> Self {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
        for (name, value) in [("authorization", format!("Bearer {token}")), ("content-type", kind.to_owned())] {
            if !value.is_empty() && value != "Bearer " {
                head += &format!("{name}: {value}\r\n");
            }
        }
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered in UTF-8");
        let (head, text) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        Self { status, headers: head.to_lowercase(), text: text.to_owned() }
    }

    /// The body, as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Asserts a problem: its status, its type, and that it is one.
    #[track_caller]
    pub fn problem(&self, status: u16, kind: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert!(self.headers.contains("content-type: application/problem+json"), "{}", self.headers);
        let body = self.json();
        assert_eq!(body["type"], format!("/problems/{kind}"), "{body}");
        body
    }
}
