//! Configuration as people write it, mistakes included: 50 wrong files and 50 diagnoses, the layers, the schema.
//!
//! Everything goes through the binary. A diagnosis names the file, the line of the fault, the field and what to do.

#[path = "../support/run.rs"]
mod run;

mod layers;
mod mistakes;

use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// The example's directory, copied, with one text of one of its files replaced.
pub fn example(file: &str, from: &str, to: &str) -> (TempDir, String) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/serve");
    for name in ["tidegate.toml", "policy.toml"] {
        let mut text = fs::read_to_string(source.join(name)).expect("the example");
        if name == file {
            assert!(text.contains(from), "{name} has no {from:?}");
            text = text.replacen(from, to, 1);
        }
        fs::write(dir.path().join(name), text).expect("written");
    }
    let path = dir.path().join("tidegate.toml").to_str().expect("UTF-8").to_owned();
    (dir, path)
}
