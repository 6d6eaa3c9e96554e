//! `tidegate journal`: what a stopped node's log holds, and whether all of it can be read.
//!
//! Read-only: nothing is repaired here. Bodies of messages never leave by `export`.

use super::print_json;
use crate::cli::{Journal as Command, JournalDir};
use crate::failure::Failure;
use anyhow::{Context, anyhow};
use serde_json::json;
use std::collections::BTreeMap;
use tidegate_journal::{Journal, OnDamage, Options, Position, RealDisk, ScanStep, Verify};
use tidegate_model::codec;
use tidegate_model::input::{InboundAct, Input, SeatAct};

pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Verify(args) => read(args, false, true),
        Command::Inspect(args) => read(args, false, false),
        Command::Export(args) => read(args, true, false),
    }
}

fn open(args: &JournalDir) -> anyhow::Result<(Journal<RealDisk>, tidegate_journal::Recovery)> {
    let shown = args.journal.display();
    if !args.journal.is_dir() {
        return Err(anyhow!("{shown} is no directory; name the directory of a stopped node's log"));
    }
    let disk = RealDisk::open(&args.journal).with_context(|| format!("{shown} cannot be opened; is a node running on it?"))?;
    let options = Options { on_damage: OnDamage::ReadOnly, verify: Verify::Tail, ..Options::default() };
    Journal::open(disk, options).with_context(|| format!("{shown} holds no log that this release reads"))
}

fn read(args: &JournalDir, export: bool, verify: bool) -> Result<(), Failure> {
    let (journal, recovery) = open(args).map_err(Failure::Input)?;
    let mut kinds: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut holes = Vec::new();
    let (mut entries, mut bytes, mut undecodable) = (0_u64, 0_u64, 0_u64);
    let mut scan = journal.scan(Position::START);
    while let Some(step) = scan.step().context("the log cannot be read on")? {
        match step {
            ScanStep::Hole(hole) => holes.push(hole.to_string()),
            ScanStep::Entry(entry) => {
                entries += 1;
                bytes += entry.payload.len() as u64;
                match codec::decode(entry.payload) {
                    Ok(decoded) => {
                        *kinds.entry(kind(&decoded.input)).or_default() += 1;
                        if export {
                            println!("{}", line(&decoded));
                        }
                    }
                    Err(error) => {
                        undecodable += 1;
                        holes.push(format!("entry {} is no entry of this release: {error}", entry.index));
                    }
                }
            }
        }
    }
    let torn = recovery.torn.as_ref().map(ToString::to_string);
    if !export {
        if args.json {
            print_json(&json!({
                "entries": entries, "payload_bytes": bytes, "kinds": kinds, "damage": holes, "torn_tail": torn,
            }));
        } else {
            println!("{}: {entries} entries, {bytes} bytes", args.journal.display());
            for (kind, count) in &kinds {
                println!("  {kind:<16} {count}");
            }
            if let Some(torn) = &torn {
                println!("  {torn}");
            }
            for hole in &holes {
                println!("  damaged: {hole}");
            }
        }
    }
    if (verify || undecodable > 0) && !holes.is_empty() {
        return Err(Failure::Check(anyhow!("{} part(s) of the log cannot be read; restore the files from a copy", holes.len())));
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
