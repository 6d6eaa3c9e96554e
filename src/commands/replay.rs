//! `tidegate replay`: a stopped node's log through the twin, from its first entry.
//!
//! The log itself carries digests at its hash entries; the twin computes its own, and the two must agree.

use super::{log_directory, print_json};
use crate::cli::Replay;
use crate::failure::Failure;
use anyhow::{Context, anyhow};
use serde_json::json;
use tidegate_core::ledger::exit_slugs;
use tidegate_sim::twin::{Keep, journal};

pub fn run(args: &Replay) -> Result<(), Failure> {
    let report = journal::replay_dir(log_directory(&args.journal)?, Keep::Contacts)
        .with_context(|| format!("{} cannot be replayed", args.journal.display()))
        .map_err(Failure::Input)?;
    let tenants: Vec<_> = report
        .tenants
        .iter()
        .map(|(id, t)| {
            let exits: serde_json::Map<_, _> =
                exit_slugs().iter().zip(t.ledger.exits).map(|(slug, n)| ((*slug).to_owned(), json!(n))).collect();
            json!({
                "tenant": id.0,
                "inputs": t.inputs,
                "decisions": t.digests.decision_count,
                "decisions_digest": format!("{:016x}", t.digests.decisions),
                "outputs_digest": format!("{:016x}", t.digests.outputs),
                "offered": t.ledger.offered,
                "open": t.ledger.open(),
                "exits": exits,
            })
        })
        .collect();
    let decisions: u64 = report.tenants.values().map(|t| t.digests.decision_count).sum();
    let unreadable: Vec<String> = report.unreadable.iter().map(ToString::to_string).collect();
    if args.json {
        print_json(&json!({
            "entries": report.entries, "decisions": decisions, "unreadable": unreadable, "tenants": tenants,
        }))?;
    } else {
        println!("{}: {} entries, {decisions} decisions", args.journal.display(), report.entries);
        for tenant in &tenants {
            println!("  {tenant}");
        }
        for line in &unreadable {
            println!("  unreadable: {line}");
        }
    }
    if report.unreadable_total > 0 {
        return Err(Failure::Check(anyhow!("{} part(s) of the log cannot be read", report.unreadable_total)));
    }
    Ok(())
}
