//! `tidegate audit`: the chain of administrative acts, checked and shown.
//!
//! It reads the files of a data directory, of a node that runs or has stopped, and the node's secret beside them, which the
//! chain is keyed with. It writes nothing. A chain that does not hold is a failed check (exit code 1) that names file and
//! line; a directory that holds no audit is bad input (3).

use super::{heard, print_json};
use crate::cli::Audit;
use crate::failure::Failure;
use crate::floor::audit_key;
use anyhow::anyhow;
use serde_json::json;
use std::io::Write;
use std::path::Path;
use tidegate_router::audit::{self, Head, Record, VerifyError};

/// Records that are read at once.
const PAGE: usize = 1_000;

pub fn run(command: &Audit) -> Result<(), Failure> {
    match command {
        Audit::Verify { dir, head, json } => verify(dir, *head, *json),
        Audit::Show { dir, after, json } => show(dir, *after, *json),
    }
}

fn verify(dir: &Path, noted: Option<Head>, as_json: bool) -> Result<(), Failure> {
    let path = audit_of(dir)?;
    let file = dir.join("token.key");
    let secret = std::fs::read(&file).map_err(|error| {
        Failure::Input(anyhow!("{}: {error}; the chain is keyed with the node's secret, so verify needs it", file.display()))
    })?;
    match audit::verify(&path, &audit_key(&secret), noted) {
        Ok(verified) => {
            if as_json {
                let head = verified.head.to_string();
                return print_json(&json!({
                    "whole": true, "records": verified.records, "files": verified.files,
                    "without_outcome": verified.without_outcome, "head": head,
                }));
            }
            let mut out = std::io::stdout().lock();
            heard(writeln!(
                out,
                "whole: {} records in {} files, {} acts without outcome\nhead {}",
                verified.records, verified.files, verified.without_outcome, verified.head
            ))
        }
        Err(error) => {
            if as_json {
                print_json(&json!({ "whole": false, "broken": error.to_string() }))?;
            }
            match error {
                VerifyError::Broken(broken) => Err(Failure::check(format!("{}: {broken}", path.display()))),
                error => Err(Failure::Check(error.into())),
            }
        }
    }
}

fn show(dir: &Path, after: u64, as_json: bool) -> Result<(), Failure> {
    let path = audit_of(dir)?;
    let mut out = std::io::stdout().lock();
    let mut after = after;
    loop {
        let page = audit::read(&path, after, PAGE)
            .map_err(|error| Failure::check(format!("{}: {error}; `tidegate audit verify` says where", path.display())))?;
        for record in &page {
            let line = if as_json { serde_json::to_string(record).map_err(anyhow::Error::from)? } else { line(record) };
            heard(writeln!(out, "{line}"))?;
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = last.n,
            _ => return Ok(()),
        }
    }
}

fn line(record: &Record) -> String {
    let details: Vec<_> = record.details.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    let of = record.of.map_or_else(String::new, |of| format!(" of {of}"));
    let tenant = record.tenant.map_or_else(String::new, |tenant| format!(" tenant {tenant}"));
    let Record { n, at_ms, action, actor, outcome, .. } = record;
    format!("{n} {at_ms} {action} {outcome}{of} by {:?} ({}){tenant} {}", actor.name, actor.role, details.join(" "))
}

/// The audit's directory, which must be there: nothing is made by looking at it.
fn audit_of(dir: &Path) -> Result<std::path::PathBuf, Failure> {
    let path = dir.join("audit");
    if path.is_dir() {
        return Ok(path);
    }
    Err(Failure::Input(anyhow!("{} holds no audit; name a node's data directory", dir.display())))
}
