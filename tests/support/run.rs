//! The binary, run to its end: what it printed, and how it ended.
//!
//! Nothing here knows what a command does. Drive it: [`tidegate`] with arguments, then [`Ran::ends`] with an exit code and
//! words that must stand on standard error.

use std::ffi::OsStr;
use std::process::Command;

/// A finished run.
pub struct Ran {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// The exit code.
    pub code: Option<i32>,
}

/// Runs the binary, in English, with nothing of the caller's environment that it reads.
pub fn tidegate<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Ran {
    tidegate_in(arguments, &[])
}

/// As [`tidegate`], with variables of the environment.
pub fn tidegate_in<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>, environment: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(arguments).env_remove("TIDEGATE_LANG").env_remove("TIDEGATE_LOG").env_remove("RUST_BACKTRACE");
    command.envs(environment.iter().copied());
    let output = command.output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it prints UTF-8");
    Ran { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
}

impl Ran {
    /// Asserts the exit code, and that standard error has each of `words`; gives the run back.
    #[track_caller]
    pub fn ends(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        for word in words {
            assert!(self.err.contains(word), "standard error lacks {word:?}:\n{}", self.err);
        }
        self
    }
}
