//! `tidegate journal`: what a stopped node's log holds, and whether all of it can be read.
//!
//! Read-only: nothing is repaired here. Bodies of messages never leave by `export`.

use super::{heard, log_directory, print_json};
use crate::cli::{Journal as Command, JournalDir};
use crate::failure::Failure;
use anyhow::{Context, anyhow};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, Write};
use tidegate_journal::{Journal, OnDamage, Options, Position, RealDisk, Recovery, ScanStep, Verify};
use tidegate_model::codec;
use tidegate_model::input::{InboundAct, Input, SeatAct};

pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Verify(args) => read(args, false, true),
        Command::Inspect(args) => read(args, false, false),
        Command::Export(args) => read(args, true, false),
    }
}

fn open(args: &JournalDir) -> Result<(Journal<RealDisk>, Recovery), Failure> {
    let shown = args.journal.display();
    let directory = log_directory(&args.journal)?;
    let disk = RealDisk::open(directory)
        .with_context(|| format!("{shown} cannot be opened; stop the node that runs on it first"))
        .map_err(Failure::Input)?;
    let options = Options { on_damage: OnDamage::ReadOnly, verify: Verify::Tail, ..Options::default() };
    Journal::open(disk, options).with_context(|| format!("{shown} holds no log that this release reads")).map_err(Failure::Input)
}

/// What was read.
#[derive(Default)]
struct Contents {
    kinds: BTreeMap<&'static str, u64>,
    entries: u64,
    bytes: u64,
    last: u64,
    /// Everything that cannot be read, in words.
    damage: Vec<String>,
}

fn read(args: &JournalDir, export: bool, verify: bool) -> Result<(), Failure> {
    let (journal, recovery) = open(args)?;
    let mut found = Contents::default();
    let known: BTreeSet<String> = recovery.holes.iter().map(ToString::to_string).collect();
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut scan = journal.scan(Position::START);
    while let Some(step) = scan.step().context("the log cannot be read on")? {
        match step {
            ScanStep::Hole(hole) => found.damage.extend(Some(hole.to_string()).filter(|hole| !known.contains(hole))),
            ScanStep::Entry(entry) => {
                found.entries += 1;
                found.bytes += entry.payload.len() as u64;
                // What a snapshot made needless may be gone from the beginning, nothing after it.
                if found.last != 0 && entry.index != found.last + 1 {
                    found.damage.push(format!("entries between {} and {} are missing", found.last, entry.index));
                }
                found.last = entry.index;
                match codec::decode(entry.payload) {
                    Ok(decoded) => {
                        *found.kinds.entry(kind(&decoded.input)).or_default() += 1;
                        if export {
                            heard(writeln!(out, "{}", line(&decoded)))?;
                        }
                    }
                    Err(error) => found.damage.push(format!("entry {} is no entry of this release: {error}", entry.index)),
                }
            }
        }
    }
    heard(out.flush())?;
    drop(out);
    found.damage.extend(known);
    if !export {
        show(args, &found, &recovery)?;
    }
    if (verify || export) && !found.damage.is_empty() {
        let parts = found.damage.len();
        return Err(Failure::Check(anyhow!("{parts} part(s) of the log cannot be read; restore the files from a copy")));
    }
    Ok(())
}

fn show(args: &JournalDir, found: &Contents, recovery: &Recovery) -> Result<(), Failure> {
    let torn = recovery.torn.as_ref().map(ToString::to_string);
    if args.json {
        return print_json(&json!({
            "entries": found.entries, "last": found.last, "payload_bytes": found.bytes, "kinds": found.kinds,
            "damage": found.damage, "torn_tail": torn,
        }));
    }
    println!("{}: {} entries, {} bytes", args.journal.display(), found.entries, found.bytes);
    for (kind, count) in &found.kinds {
        println!("  {kind:<16} {count}");
    }
    for note in torn.iter() {
        println!("  {note}");
    }
    for hole in &found.damage {
        println!("  damaged: {hole}");
    }
    Ok(())
}

/// A short name of what an input is.
fn kind(input: &Input<'_>) -> &'static str {
    match input {
        Input::Inbound(inbound) => match inbound.act {
            InboundAct::Begin { .. } => "begin",
            InboundAct::RequestAgent { .. } => "request_agent",
            InboundAct::Message { .. } => "message",
            InboundAct::Leave => "leave",
            _ => "inbound",
        },
        Input::Seat(seat) => match seat.act {
            SeatAct::SignIn => "sign_in",
            SeatAct::SignOut => "sign_out",
            SeatAct::Ready => "ready",
            SeatAct::Pause { .. } => "pause",
            SeatAct::Accept { .. } => "accept",
            SeatAct::Decline { .. } => "decline",
            SeatAct::Send { .. } => "send",
            SeatAct::End { .. } => "end",
            SeatAct::WrapUp { .. } => "wrap_up",
            SeatAct::Transfer { .. } => "transfer",
            SeatAct::LinkDown => "link_down",
            SeatAct::LinkUp => "link_up",
            SeatAct::LeaseEnd => "lease_end",
            _ => "seat",
        },
        Input::Effects(_) => "effects",
        Input::Admin(_) => "admin",
        Input::Tick => "tick",
        Input::Hash => "hash",
        Input::LeaderStarted { .. } => "leader_started",
        _ => "other",
    }
}

fn line(entry: &codec::Entry<'_>) -> serde_json::Value {
    let mut value = json!({
        "seq": entry.seq.0, "at_ms": entry.at.0, "tenant": entry.tenant.0, "kind": kind(&entry.input),
    });
    match &entry.input {
        Input::Inbound(inbound) => {
            value["conversation"] = json!(format!("{:032x}", inbound.conversation.0));
            if let InboundAct::Message { body } = inbound.act {
                value["body_bytes"] = json!(body.len());
            }
        }
        Input::Seat(seat) => value["seat"] = json!(format!("{:016x}", seat.seat.0)),
        _ => {}
    }
    value
}
