//! The tree that the rules read: every file that git tracks or would track, as path and text.
//!
//! Build output and ignored files are never read. Where git or its directory is absent (a source archive), the directory is
//! walked instead. Binary files are listed with an empty text. [`Tree::planted`] makes a small tree for a rule's self-test.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One file: its path relative to the root, with forward slashes, and its text.
pub struct File {
    pub path: String,
    pub text: String,
}

/// All files of the repository, ordered by path.
pub struct Tree {
    pub files: Vec<File>,
}

impl Tree {
    /// The repository that this test was built from.
    pub fn load() -> Tree {
        let root = root();
        let mut paths = listed_by_git(&root).unwrap_or_else(|| walked(&root));
        paths.sort();
        paths.dedup();
        let files = paths
            .into_iter()
            .filter(|path| root.join(path).is_file())
            .map(|path| {
                let bytes = std::fs::read(root.join(&path)).unwrap_or_default();
                File { text: String::from_utf8(bytes).unwrap_or_default(), path }
            })
            .collect::<Vec<_>>();
        assert!(files.iter().any(|file| file.path == "Cargo.toml"), "no Cargo.toml under {}", root.display());
        Tree { files }
    }

    /// A tree of the given (path, text) pairs.
    pub fn planted(files: &[(&str, &str)]) -> Tree {
        let files = files.iter().map(|(path, text)| File { path: (*path).into(), text: (*text).into() }).collect();
        Tree { files }
    }

    /// The files whose path ends in `suffix`.
    pub fn ending<'a>(&'a self, suffix: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.path.ends_with(suffix))
    }

    /// The text of the file at `path`.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }

    /// Whether `path` is a file, or a directory that holds one.
    pub fn holds(&self, path: &str) -> bool {
        let inside = format!("{path}/");
        path.is_empty() || self.files.iter().any(|file| file.path == path || file.path.starts_with(&inside))
    }
}

/// The repository's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Fails with every violation on a line of its own.
pub fn assert_clean(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n  {}\n", violations.join("\n  "));
}

/// Fails unless exactly one violation was found and it names `expected`.
pub fn assert_caught(violations: &[String], expected: &str) {
    assert_eq!(violations.len(), 1, "expected one violation about {expected:?}, found {violations:#?}");
    assert!(violations[0].contains(expected), "expected {expected:?} in {:?}", violations[0]);
}

fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .ok()?;
    let listed = String::from_utf8(output.stdout).ok()?;
    let paths = listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    (output.status.success() && !paths.is_empty()).then_some(paths)
}

fn walked(root: &Path) -> Vec<String> {
    let mut open = vec![root.to_path_buf()];
    let mut paths = Vec::new();
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let skipped = name == "target" || name == ".git";
            if path.is_dir() && !skipped {
                open.push(path);
            } else if path.is_file() {
                let relative = path.strip_prefix(root).unwrap_or(&path);
                paths.push(relative.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    paths
}

#[test]
fn the_walk_finds_what_git_lists() {
    let root = root();
    let walked = walked(&root);
    let Some(listed) = listed_by_git(&root) else { return };
    let missing = listed.iter().filter(|path| root.join(path).is_file() && !walked.contains(path)).collect::<Vec<_>>();
    assert!(missing.is_empty(), "the walk misses {missing:?}");
}
