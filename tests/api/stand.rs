//! A node in a process of its own, with a configuration whose administration token outlives its restarts.
//!
//! It refuses to know what is asked of the node. Drive it: [`Stand::new`], [`Stand::start`], [`Stand::token`]; [`Node::kill`] is
//! `kill -9`. Nobody waits by sleeping: a start ends with the line that the node prints.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Longest time that an answer may take before the test gives up: a guard against hanging, never a measure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A directory with configuration, policy, token and log.
pub struct Stand {
    dir: tempfile::TempDir,
}

/// A running node; ended by force when dropped.
pub struct Node {
    child: Child,
    address: String,
}

impl Stand {
    /// The example's configuration, with a token.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
        write("policy.toml", include_str!("../../examples/serve/policy.toml"));
        write("admin.token", "operations-0123456789abcdef0123456789\n");
        // Before the first table: a key of the top, and the only list of administrators.
        let admin = "\n[[admin]]\nname = \"operations\"\nscope = \"admin\"\ntoken_file = \"admin.token\"\n";
        write("tidegate.toml", &format!("{}{admin}", include_str!("../../examples/serve/tidegate.toml")));
        Self { dir }
    }

    /// The administration token.
    pub fn token(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("admin.token")).expect("there").trim().to_owned()
    }

    /// Starts a node on the log, at an address; returns once it serves.
    #[track_caller]
    pub fn start(&self, listen: &str) -> Node {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.env_remove("TIDEGATE_LANG").env_remove("TIDEGATE_LOG");
        command.args(["serve", "--json", "--listen", listen, "--dir"]).arg(self.dir.path().join("log"));
        command.arg("-c").arg(self.dir.path().join("tidegate.toml"));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the binary runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("UTF-8");
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("no line of JSON ({error}): {line:?}"));
        let address = line["address"].as_str().expect("an address").trim_start_matches("http://").to_owned();
        Node { child, address }
    }
}

impl Node {
    /// `host:port`.
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// `kill -9`, at once; returns when the process is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("a signal");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
