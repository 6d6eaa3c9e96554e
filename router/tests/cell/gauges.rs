//! Every queue of the node is in the registry: the list is checked by name, and the sources for constructors beside it.
//!
//! Source: DESIGN §6 and issue A ("every queue with a length, a limit and a metric, and a test that lists them all").

use crate::support::{Hand, config};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidegate_journal::FaultyDisk;
use tidegate_router::cell::{Cell, NoSink};
use tidegate_router::gauge::Gauges;

#[test]
fn the_cells_queues_are_these() {
    let hand = Arc::new(Hand::default());
    let config = config(&hand);
    let gauges = config.gauges.clone();
    let (cell, _) = Cell::start(config, FaultyDisk::new(1), Box::new(NoSink)).unwrap();
    let mut readings = gauges.read();
    readings.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<&str> = readings.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "apply_batches",
            "apply_queries",
            "egress_batches",
            "front_customers",
            "front_effects",
            "front_replies",
            "front_seats",
            "keeper_snapshots",
            "proposer_customers",
            "proposer_effects",
            "proposer_seats",
            "transcript_tail_bytes",
        ]
    );
    for reading in readings {
        assert!(reading.limit > 0 && reading.length <= reading.limit, "{reading:?}");
    }
    cell.drain().unwrap();
}

/// Ways to make a queue that somebody else can fill. `VecDeque` inside one thread's own struct is state, not a queue between
/// two, and is bounded by whoever feeds it.
const CONSTRUCTORS: [&str; 9] = [
    "mpsc::ring(",
    "spsc::ring(",
    "mpsc::channel(",
    "mpsc::channel::<",
    "sync_channel(",
    "unbounded_channel(",
    "broadcast::channel(",
    "SegQueue::new(",
    "ArrayQueue::new(",
];

/// Where a constructor may stand, with the reason.
const ALLOWED: [(&str, &str, usize); 2] = [
    // The registry itself: three constructors.
    ("gauge.rs", "", 3),
    // One answer to one blocking caller: a channel of one, gone with the call.
    ("cell/handle.rs", "sync_channel(1)", 1),
];

fn sources(under: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(under).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

fn strays(file: &str, text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = Vec::new();
    let mut allowed = ALLOWED.iter().filter(|(name, ..)| *name == file).map(|(_, _, count)| *count).sum::<usize>();
    for (number, line) in code.lines().enumerate() {
        let line = line.split("//").next().unwrap_or_default();
        if CONSTRUCTORS.iter().any(|constructor| line.contains(constructor)) {
            let named = ALLOWED.iter().any(|(name, part, _)| *name == file && line.contains(part));
            if named && allowed > 0 {
                allowed -= 1;
            } else {
                found.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn no_queue_is_made_beside_the_registry() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 20);
    let found: Vec<String> = files
        .iter()
        .filter(|path| path.file_name().is_none_or(|n| n != "tests.rs"))
        .flat_map(|path| {
            let file = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            strays(&file, &std::fs::read_to_string(path).unwrap())
        })
        .collect();
    assert_eq!(found, Vec::<String>::new(), "make queues by `Gauges`, so that each has a name, a length and a limit");
}

#[test]
fn a_queue_beside_the_registry_is_found() {
    let planted = "fn f() {\n    let (a, b) = tokio::sync::mpsc::channel(16);\n}\n";
    assert_eq!(strays("live/mod.rs", planted).len(), 1);
    assert!(strays("live/mod.rs", "// mpsc::channel(\n").is_empty());
    assert_eq!(strays("gauge.rs", &"mpsc::ring(4);\n".repeat(4)).len(), 1);
}

/// What the checker of schedules cannot see, in the sources of the cell and what it stands on.
fn unseen(file: &str, text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let hidden = |line: &str| ["std::sync", "std::thread"].iter().any(|path| line.contains(path));
    let found = code.lines().enumerate().filter(|(_, line)| hidden(line.split("//").next().unwrap_or_default()));
    found.map(|(number, line)| format!("{file}:{}: {}", number + 1, line.trim())).collect()
}

#[test]
fn the_cell_takes_its_locks_and_threads_from_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![root.join("gauge.rs"), root.join("log_time.rs")];
    sources(&root.join("cell"), &mut files);
    sources(&root.join("transcript"), &mut files);
    let found: Vec<String> =
        files.iter().flat_map(|path| unseen(&path.display().to_string(), &std::fs::read_to_string(path).unwrap())).collect();
    assert_eq!(found, Vec::<String>::new(), "take them from `crate::primitive`, or shuttle does not see them");
    assert_eq!(unseen("cell/x.rs", "use std::sync::Mutex;\n// std::thread\n").len(), 1);
}

#[test]
fn lengths_are_read_and_queues_that_are_gone_leave_the_list() {
    let gauges = Gauges::new();
    let (sender, mut receiver) = gauges.channel::<u32>("desk_notices", 4);
    let (other, _keep) = gauges.channel::<u32>("desk_notices", 4);
    sender.try_send(1).unwrap();
    sender.try_send(2).unwrap();
    let one = |gauges: &Gauges| gauges.read().into_iter().map(|r| (r.name, r.length, r.limit)).collect::<Vec<_>>();
    assert_eq!(one(&gauges), [("desk_notices".to_owned(), 2, 8)]);
    receiver.try_recv().unwrap();
    drop(other);
    assert_eq!(one(&gauges), [("desk_notices".to_owned(), 1, 4)]);
    drop(sender);
    assert_eq!(one(&gauges), []);
}
