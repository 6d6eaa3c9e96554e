//! How a command ends when it does not end well: an exit code by kind, and words that say what to do.
//!
//! 1: a check failed (an invariant, the ledger, parity, damage found). 2: wrong use, which clap reports.
//! 3: bad input, with file, line, field and remedy. Causes are printed once each, innermost last.

use std::process::ExitCode;

/// A command's failure.
#[derive(Debug)]
pub enum Failure {
    /// A check failed.
    Check(anyhow::Error),
    /// Bad input.
    Input(anyhow::Error),
}

impl Failure {
    /// A failed check, in words.
    pub fn check(text: impl std::fmt::Display) -> Self {
        Self::Check(anyhow::anyhow!("{text}"))
    }

    /// Prints the failure to stderr and gives its exit code.
    pub fn report(self) -> ExitCode {
        let (code, error) = match self {
            Self::Check(error) => (1, error),
            Self::Input(error) => (3, error),
        };
        eprintln!("tidegate: {error}");
        for cause in error.chain().skip(1) {
            eprintln!("  because: {cause}");
        }
        ExitCode::from(code)
    }
}

/// Everything that is neither wrong use nor bad input is a failed check: disks, sockets, faults of ours.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Check(error)
    }
}
