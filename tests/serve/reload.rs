//! A reload by SIGHUP, and what a service manager hears: ready, reloading, stopping, and a fed watchdog.

use crate::node::{Node, PATIENCE, Serve, signal};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const OPS: &str = "0123456789abcdef0123456789abcdef";
const NEXT: &str = "fedcba9876543210fedcba9876543210";

/// The example with an administrator, and a node that serves it.
fn configured() -> (TempDir, Node) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/serve");
    fs::copy(from.join("policy.toml"), dir.path().join("policy.toml")).expect("copied");
    fs::write(dir.path().join("ops.token"), OPS).expect("written");
    let text = fs::read_to_string(from.join("tidegate.toml")).expect("the example");
    let admin = "[[admin]]\nname = \"ops\"\nscope = \"admin\"\ntoken_file = \"ops.token\"\n\n[[tenant]]";
    fs::write(file(&dir), text.replacen("[[tenant]]", admin, 1)).expect("written");
    let node = Serve::on(&dir.path().join("data")).arg("--config").arg(file(&dir)).start();
    (dir, node)
}

fn file(dir: &TempDir) -> std::path::PathBuf {
    dir.path().join("tidegate.toml")
}

fn edit(dir: &TempDir, name: &str, from: &str, to: &str) {
    let path = dir.path().join(name);
    let text = fs::read_to_string(&path).expect("read");
    assert!(text.contains(from), "{name} has no {from:?}");
    fs::write(&path, text.replacen(from, to, 1)).expect("written");
}

/// Asks for a reload and waits for its answer.
fn reload(node: &Node, answer: &str) -> String {
    signal("HUP", &node.pid());
    node.says(answer)
}

fn active(node: &Node, token: &str) -> String {
    node.admin_request("GET", "/v1/tenants/1/policy", token, "", "").text
}

#[test]
fn a_reload_takes_tokens_policies_agents_and_the_level() {
    let (dir, node) = configured();
    fs::write(dir.path().join("ops.token"), NEXT).expect("written");
    edit(&dir, "policy.toml", "wrap_up = \"15s\"", "wrap_up = \"16s\"");
    edit(&dir, "tidegate.toml", "name = \"Wang\"", "name = \"Wang Li\"");
    edit(&dir, "tidegate.toml", "data_dir = \"data\"", "data_dir = \"data\"\nlog.level = \"info\"");
    edit(
        &dir,
        "tidegate.toml",
        "  [[tenant.agent]]\n  seat = 2",
        "  [[tenant.agent]]\n  seat = 9\n  name = \"Zhao\"\n\n  [[tenant.agent]]\n  seat = 2",
    );
    reload(&node, "reloaded: 1 policies, 2 agents, administration tokens, log level \"info\"");

    node.admin_request("GET", "/v1/status", OPS, "", "").problem(401, "unauthorised");
    assert!(active(&node, NEXT).contains("wrap_up = \"16s\""), "the new policy is active");
    let seats = node.admin_request("GET", "/v1/tenants/1/seats", NEXT, "", "").text;
    assert!(seats.contains("\"seat\":\"9\""), "{seats}");
    reload(&node, "reloaded: nothing has changed");
}

#[test]
fn a_wrong_reload_is_refused_whole() {
    let (dir, node) = configured();
    // One good change and two faults: nothing of it is taken, and both are told.
    edit(&dir, "policy.toml", "wrap_up = \"15s\"", "wrap_up = \"17s\"");
    edit(&dir, "tidegate.toml", "sales = 8", "sales = 11");
    edit(&dir, "tidegate.toml", "account = 1", "account = 0");
    let said = reload(&node, "skills.sales: a level is 1 to 10, found 11");
    assert!(said.contains("the reload is refused, nothing has changed:"), "{said}");
    assert!(said.contains("account: a number from 1"), "{said}");
    assert!(active(&node, OPS).contains("wrap_up = \"15s\""), "the old policy stays");

    edit(&dir, "tidegate.toml", "sales = 11", "sales = 8");
    edit(&dir, "tidegate.toml", "account = 0", "account = 1");
    edit(&dir, "tidegate.toml", "data_dir = \"data\"", "data_dir = \"other\"\nsegment_mib = 32");
    let said = reload(&node, "segment_mib changed: only a restart can take it");
    assert!(said.contains("data_dir changed: only a restart can take it"), "{said}");
    assert!(active(&node, OPS).contains("wrap_up = \"15s\""), "the old policy stays");

    edit(&dir, "tidegate.toml", "data_dir = \"other\"\nsegment_mib = 32", "data_dir = \"data\"");
    reload(&node, "reloaded: 1 policies");
    assert!(active(&node, OPS).contains("wrap_up = \"17s\""));
}

/// What an operator activated over the API stays when a reload is about something else.
#[test]
fn a_reload_does_not_undo_an_operator() {
    let (dir, node) = configured();
    let text = fs::read_to_string(dir.path().join("policy.toml")).expect("read").replace("wrap_up = \"15s\"", "wrap_up = \"99s\"");
    let put = node.admin_request("PUT", "/v1/tenants/1/policy", OPS, "application/toml", &text);
    assert_eq!(put.status, 200, "{}", put.text);
    edit(&dir, "tidegate.toml", "name = \"Wang\"", "name = \"Wang Li\"");
    reload(&node, "reloaded: 1 agents");
    assert!(active(&node, OPS).contains("wrap_up = \"99s\""));
}

#[test]
fn without_a_file_there_is_nothing_to_reload() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let node = Serve::on(dir.path()).start();
    reload(&node, "nothing to reload: no configuration file was given");
    assert_eq!(node.get("/v1/status").status, 200);
}

#[test]
fn the_service_manager_is_told() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a guard against hanging");
    let hears = |word: &str| {
        let mut buffer = [0; 4_096];
        loop {
            let bytes = manager.recv(&mut buffer).unwrap_or_else(|error| panic!("no {word}: {error}"));
            let text = String::from_utf8_lossy(&buffer[..bytes]).into_owned();
            if text.lines().any(|line| line.starts_with(word)) {
                return text;
            }
        }
    };
    let data = dir.path().join("data");
    let node = Serve::on(&data).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000").start();
    assert!(hears("READY=1").contains("STATUS=serving on http://127.0.0.1:"));
    hears("WATCHDOG=1");
    hears("WATCHDOG=1");
    signal("HUP", &node.pid());
    node.says("nothing to reload");
    signal("TERM", &node.pid());
    hears("STOPPING=1");
    assert_eq!(node.wait().0.code(), Some(0));

    // A reload is announced with its moment, and ended by READY.
    let (dir, node) = {
        let (dir, node) = configured();
        node.kill();
        let node = Serve::on(&dir.path().join("data")).arg("--config").arg(file(&dir)).env("NOTIFY_SOCKET", &path).start();
        (dir, node)
    };
    hears("READY=1");
    edit(&dir, "tidegate.toml", "name = \"Wang\"", "name = \"Wang Li\"");
    signal("HUP", &node.pid());
    assert!(hears("RELOADING=1").contains("MONOTONIC_USEC="));
    hears("READY=1");
}

/// What a node prints under a service manager goes into a journal: no token of an agent or administrator stands in it. Started
/// by a person it prints them, so that a floor can be tried at once.
#[test]
fn a_service_prints_no_token() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a guard against hanging");
    let printed = |data: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--dir"]).arg(dir.path().join(data));
        command.env_remove("TIDEGATE_LANG").env_remove("NOTIFY_SOCKET").stdout(Stdio::piped());
        command
    };
    let ended = |child: Child| {
        signal("TERM", &child.id().to_string());
        let output = child.wait_with_output().expect("it ends");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let service = printed("service").env("NOTIFY_SOCKET", &path).spawn().expect("the binary runs");
    let mut buffer = [0; 4_096];
    let bytes = manager.recv(&mut buffer).expect("it says that it is ready");
    assert!(buffer[..bytes].starts_with(b"READY=1"), "{}", String::from_utf8_lossy(&buffer[..bytes]));
    let said = ended(service);
    assert!(said.contains("serving on http://127.0.0.1:"), "{said}");
    assert!(!said.contains("token") && !said.contains("Bearer") && !said.contains("eyJ"), "{said}");

    let mut person = printed("person").spawn().expect("the binary runs");
    let mut lines = BufReader::new(person.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let greeting: Vec<String> = lines.by_ref().take_while(|line| !line.contains("/metrics")).collect();
    assert!(greeting.iter().any(|line| line.contains("/desk/#token=eyJ")), "{greeting:?}");
    ended(person);
}
