//! A golden node: the log, watermark and snapshot that version 1 left behind after two hours of the real day.
//!
//! A later version must start on them, decide what was decided then, and go on. `tests/golden/v1/node` was written by
//! `tidegate demo --hours 7-9 --dir`, stopped, and packed; `replay.json` is what `tidegate replay --json` said then. A change
//! that breaks these is a change of format or of decisions: it needs a `SemVersion` and a new golden directory beside this one.

use crate::node::Serve;
use crate::run::tidegate;
use flate2::read::GzDecoder;
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::path::Path;

fn unpack(dir: &Path) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1/node");
    for file in fs::read_dir(golden).expect("the golden node") {
        let path = file.expect("a golden file").path();
        let bytes = fs::read(&path).expect("a golden file");
        let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        match name.strip_suffix(".gz") {
            Some(plain) => {
                let mut whole = Vec::new();
                GzDecoder::new(&bytes[..]).read_to_end(&mut whole).expect("packed by gzip");
                fs::write(dir.join(plain), whole).expect("unpacked");
            }
            None if name == "watermark" => fs::write(dir.join(name), bytes).expect("copied"),
            None => {}
        }
    }
}

fn replay(dir: &Path) -> Value {
    serde_json::from_str(&tidegate([Path::new("replay"), dir, Path::new("--json")]).ends(0, &[]).out).expect("JSON")
}

#[test]
fn the_log_of_version_1_is_decided_again_as_it_was() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    unpack(dir.path());
    let then = include_str!("../golden/v1/node/replay.json");
    assert_eq!(replay(dir.path()), serde_json::from_str::<Value>(then).expect("JSON"));
    tidegate([Path::new("journal"), Path::new("verify"), dir.path()]).ends(0, &[]);
}

#[test]
fn a_node_starts_on_what_version_1_left_and_goes_on() {
    let then: Value = serde_json::from_str(include_str!("../golden/v1/node/replay.json")).expect("JSON");
    let dir = tempfile::tempdir().expect("a temporary directory");
    unpack(dir.path());
    let node = Serve::on(dir.path()).start();
    assert_eq!(node.line["recovered"], then["entries"], "every entry of the golden log");
    let (status, said) = node.terminate();
    assert!(status.success(), "{said}");
    // From the snapshot of version 1 the node went on; from the first entry the log still gives the decisions of then.
    let now = replay(dir.path());
    assert!(now["entries"].as_u64() >= then["entries"].as_u64(), "{now}");
    let [now, then] = [&now["tenants"][0], &then["tenants"][0]];
    assert_eq!((&now["decisions_digest"], &now["exits"]), (&then["decisions_digest"], &then["exits"]));
}
