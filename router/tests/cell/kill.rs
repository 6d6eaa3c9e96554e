//! kill -9 of a loaded node, again and again: what was acknowledged is there, once, unchanged; the state is the log's.
//!
//! The test starts itself as a child process (`the_node_that_is_killed` with `TIDEGATE_CELL_CHILD` set), whose clients write
//! each answer to a pipe the moment they have it: the histories are the parent's, who kills the child at a random answer. A
//! restarted client sends what was not answered again, under the same id. Source: I14, issue A's table. Default 10 kills, 200
//! with `TIDEGATE_NIGHTLY=1`.

use crate::support::{TENANT, bootstrap, count, log_of, seed, settled};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use tidegate_journal::RealDisk;
use tidegate_journal::rng::SplitMix64;
use tidegate_model::codec;
use tidegate_model::input::{ContactRequest, FirstOwner, Inbound, InboundAct, Input, SeatAct, SeatInput};
use tidegate_model::limits::Limits;
use tidegate_model::name::mix;
use tidegate_model::output::{Item, Outcome, Output, SeatNotice};
use tidegate_model::port::PortError;
use tidegate_model::{AccountId, CommandId, ConversationId, CustomerId, EventId, ReasonName, SeatId, TenantId};
use tidegate_router::cell::{Cell, CellConfig, CellHandle, CellSink, Machines, Retain, TenantSeed};

const CLIENTS: u64 = 3;
const SEATS: u64 = 20;
/// Inputs of a contact.
const CONTACT: u64 = 12;

fn conversation(client: u64, i: u64) -> ConversationId {
    let contact = client << 32 | (i / CONTACT + 1);
    ConversationId(u128::from(mix(contact)) << 64 | u128::from(contact))
}

fn event(client: u64, i: u64) -> EventId {
    EventId(1 << 120 | u128::from(client) << 64 | u128::from(i + 1))
}

fn body(client: u64, i: u64) -> String {
    format!("client {client} says {i}")
}

fn submit(cell: &CellHandle, client: u64, i: u64) -> Result<Outcome, PortError> {
    let body = body(client, i);
    let act = match i % CONTACT {
        0 => {
            let with = if (i / CONTACT).is_multiple_of(3) { FirstOwner::Bot } else { FirstOwner::Queue };
            InboundAct::Begin { with, request: ContactRequest::default() }
        }
        n if n == CONTACT - 1 => InboundAct::Leave,
        _ => InboundAct::Message { body: body.as_bytes() },
    };
    let (conversation, event) = (conversation(client, i), event(client, i));
    let inbound = Inbound { account: AccountId(1), conversation, event, customer: CustomerId(0), known_n: 0, act };
    cell.submit(TENANT, &Input::Inbound(inbound)).wait()
}

/// Tells a thread of seats what they see, and keeps the effects that a start emits.
struct Desk(SyncSender<(SeatId, SeatNotice)>, SyncSender<u64>);

impl CellSink for Desk {
    fn outputs(&mut self, _: TenantId, outputs: &[Output]) {
        for output in outputs {
            match output {
                Output::Seat { seat, notice } => {
                    if let Err(TrySendError::Disconnected(_)) = self.0.try_send((*seat, *notice)) {
                        return;
                    }
                }
                Output::EffectOpened { id, .. } => {
                    // Full once the start is over: nobody reads it any more.
                    let _later = self.1.try_send(id.0);
                }
                _ => {}
            }
        }
    }
}

fn seats(cell: &CellHandle, notices: &Receiver<(SeatId, SeatNotice)>, life: u64) {
    let mut commands = 0;
    let mut act = |seat, act: SeatAct<'_>| {
        commands += 1;
        let command = CommandId(u128::from(life) << 64 | commands);
        // Busy, or draining: the offer expires or the claim stays, which is what happens to desks that say nothing.
        let _lost = cell.submit_nowait(TENANT, &Input::Seat(SeatInput { seat, command, act }));
    };
    for seat in 1..=SEATS {
        act(SeatId(seat), SeatAct::SignIn);
        act(SeatId(seat), SeatAct::Ready);
    }
    while let Ok((seat, notice)) = notices.recv() {
        match notice {
            SeatNotice::Offered { offer, .. } if offer.0 % 7 == 0 => {
                act(seat, SeatAct::Decline { offer, reason: ReasonName::of("busy") })
            }
            SeatNotice::Offered { offer, .. } => act(seat, SeatAct::Accept { offer }),
            SeatNotice::Assigned { claim, .. } => {
                act(seat, SeatAct::Send { claim, body: b"hello" });
                if claim.0 % 3 == 0 {
                    act(seat, SeatAct::End { claim });
                }
            }
            SeatNotice::WrapUp { claim, .. } => act(seat, SeatAct::WrapUp { claim, code: ReasonName::of("done") }),
            SeatNotice::Presence { presence: tidegate_model::output::Presence::NotResponding } => act(seat, SeatAct::Ready),
            _ => {}
        }
    }
}

/// The child. Does nothing unless the parent starts it.
#[test]
fn the_node_that_is_killed() {
    let Some(directory) = std::env::var_os("TIDEGATE_CELL_CHILD") else { return };
    let from: Vec<u64> = std::env::var("TIDEGATE_CELL_FROM").unwrap().split(',').map(|n| n.parse().unwrap()).collect();
    let disk = RealDisk::open(directory).unwrap();
    let (notices, inbox) = sync_channel(4_096);
    let (effects, opened) = sync_channel(4_096);
    let config = CellConfig {
        tenants: vec![TenantSeed { id: TENANT, limits: Limits::SMALL }],
        snapshot_entries: 1_500,
        segment_bytes: 1 << 20,
        retain: Retain::All,
        hash_every: 256,
        ..CellConfig::default()
    };
    let (cell, report) = Cell::start(config, disk, Box::new(Desk(notices, effects))).unwrap();
    let emitted: Vec<String> = opened.try_iter().map(|id| id.to_string()).collect();
    assert_eq!(emitted.len() as u64, report.open_effects);
    if report.last.0 == 0 {
        bootstrap(&cell, TENANT);
    }
    let (digest, applied) = settled(&cell, TENANT);
    let say = |line: String| {
        // One write a line: a pipe takes it whole or, when we are killed, not at all.
        std::io::stdout().lock().write_all(line.as_bytes()).expect("the parent listens");
    };
    say(format!("\nS {} {} {} {digest} {}\n", report.last.0, applied.0, report.term.0, emitted.join(",")));
    std::thread::scope(|scope| {
        let cell = &cell;
        let life = report.term.0;
        scope.spawn(move || seats(cell, &inbox, life));
        for (client, from) in from.into_iter().enumerate() {
            let client = client as u64;
            scope.spawn(move || {
                for i in from.. {
                    let outcome = loop {
                        match submit(cell, client, i) {
                            Err(PortError::Busy { .. }) => std::thread::yield_now(),
                            Err(error) => panic!("{error:?}"),
                            Ok(outcome) => break outcome,
                        }
                    };
                    let n = match outcome {
                        Outcome::Done { n, .. } | Outcome::Duplicate { n } => n,
                        Outcome::Conflict => panic!("the same event with another content"),
                        _ => u32::MAX,
                    };
                    say(format!("A {client} {i} {n}\n"));
                }
            });
        }
    });
}

/// A start as the child told it.
struct Start {
    recovered: u64,
    applied: u64,
    term: u64,
    digest: u64,
    effects: BTreeSet<u64>,
}

#[test]
fn nothing_acknowledged_is_lost_changed_or_doubled_by_kills() {
    let directory = tempfile::tempdir().unwrap();
    let mut random = SplitMix64::new(seed(99));
    let mut next = [0_u64; CLIENTS as usize];
    let mut acked: BTreeMap<(u64, u64), u32> = BTreeMap::new();
    let mut starts: Vec<Start> = Vec::new();
    let kills = count(10, 200);
    for _ in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::the_node_that_is_killed", "--nocapture", "--test-threads", "1"])
            .env("TIDEGATE_CELL_CHILD", directory.path())
            .env("TIDEGATE_CELL_FROM", next.map(|n| n.to_string()).join(","))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let until = 20 + random.below(1_500);
        let mut answers = 0;
        let mut take = |line: String| {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["A", client, i, n] => {
                    let (client, i) = (client.parse().unwrap(), i.parse().unwrap());
                    let before = acked.insert((client, i), n.parse().unwrap());
                    assert_eq!(before, None, "an answered event was sent again");
                    next[client as usize] = i + 1;
                    1
                }
                ["S", recovered, applied, term, digest, effects] => {
                    let effects = effects.split(',').filter_map(|id| id.parse().ok()).collect();
                    let [recovered, applied, term, digest] = [recovered, applied, term, digest].map(|w| w.parse().unwrap());
                    starts.push(Start { recovered, applied, term, digest, effects });
                    0
                }
                _ => 0,
            }
        };
        while answers < until {
            let line = lines.next().expect("the child ended by itself").unwrap();
            answers += take(line);
        }
        child.kill().unwrap();
        // What the pipe still holds was answered before the kill.
        for line in lines.map_while(Result::ok) {
            take(line);
        }
        child.wait().unwrap();
    }
    judge(&directory, &acked, &starts, kills);
}

fn judge(directory: &tempfile::TempDir, acked: &BTreeMap<(u64, u64), u32>, starts: &[Start], kills: u64) {
    // The log, as the last kill left it and a start repairs it.
    let disk = RealDisk::open(directory.path()).unwrap();
    let config = CellConfig { segment_bytes: 1 << 20, retain: Retain::All, ..CellConfig::default() };
    let (cell, _) = Cell::start(config, disk.clone(), Box::new(tidegate_router::cell::NoSink)).unwrap();
    let (final_digest, applied) = settled(&cell, TENANT);
    let read: BTreeMap<ConversationId, Vec<(u32, Vec<u8>)>> = acked
        .keys()
        .map(|(client, i)| conversation(*client, *i))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .map(|id| {
            let items = cell.transcript(TENANT, id, 0, 1_000).unwrap();
            (id, items.into_iter().map(|item| (item.n, item.body.to_vec())).collect())
        })
        .collect();
    drop(cell.drain());
    drop(cell);
    let log = log_of(disk);

    let mut machines = Machines::new();
    let mut outputs = Vec::new();
    let mut bodies: BTreeMap<(ConversationId, Vec<u8>), Vec<u32>> = BTreeMap::new();
    let mut starts = starts.iter().peekable();
    let mut served = BTreeMap::new();
    for entry in &log[..applied.0 as usize] {
        outputs.clear();
        let replayed = machines.replay(entry, &mut outputs).unwrap();
        for output in &outputs {
            match output {
                Output::Transcript { conversation, n, seq, item: Item::FromCustomer, .. } => {
                    let source = codec::decode(&log[seq.0 as usize - 1]).unwrap();
                    let Input::Inbound(Inbound { act: InboundAct::Message { body }, .. }) = source.input else {
                        panic!("no message")
                    };
                    bodies.entry((*conversation, body.to_vec())).or_default().push(*n);
                }
                // One primary at a time: a contact is assigned again only after its segment ended.
                Output::Seat { seat, notice: SeatNotice::Assigned { contact, claim, .. } } => {
                    assert_eq!(served.insert(*contact, (*seat, *claim)), None, "{contact:?} has two primaries");
                }
                Output::Seat { notice: SeatNotice::WrapUp { claim, .. } | SeatNotice::Released { claim }, .. } => {
                    served.retain(|_, (_, live)| live != claim);
                }
                _ => {}
            }
        }
        let tenant = machines.get(TENANT).unwrap();
        if replayed.seq.0.is_multiple_of(997) {
            assert_eq!(tenant.check(), Ok(()));
        }
        while let Some(start) = starts.next_if(|start| start.recovered == replayed.seq.0 || start.applied == replayed.seq.0) {
            if start.recovered == replayed.seq.0 {
                let open: BTreeSet<u64> = tenant.open_effects().into_iter().map(|(id, ..)| id.0).collect();
                assert_eq!(start.effects, open, "open effects emitted at the start of term {}", start.term);
            }
            if start.applied == replayed.seq.0 {
                assert_eq!(start.digest, tenant.full_digest(), "state after the start of term {}", start.term);
                continue;
            }
            // Its digest is told a few entries later, at the end of its first entries: looked at there.
            let (digest, applied, term) = (start.digest, start.applied, start.term);
            let mut ahead = Machines::new();
            let mut sink = Vec::new();
            for entry in &log[..applied as usize] {
                sink.clear();
                ahead.replay(entry, &mut sink).unwrap();
            }
            assert_eq!(digest, ahead.get(TENANT).unwrap().full_digest(), "state after the start of term {term}");
        }
    }
    assert_eq!(machines.get(TENANT).unwrap().full_digest(), final_digest);
    let ids: BTreeSet<u128> = log.iter().map(|entry| codec::event(entry)).collect();
    let mut messages = 0;
    for ((client, i), n) in acked {
        assert!(ids.contains(&event(*client, *i).0), "client {client}: answered event {i} is not in the log");
        if (1..CONTACT - 1).contains(&(i % CONTACT)) && *n != u32::MAX {
            messages += 1;
            let key = (conversation(*client, *i), body(*client, *i).into_bytes());
            let found = bodies.get(&key).unwrap_or_else(|| panic!("client {client}: answered message {i} is missing"));
            assert_eq!(found, &[*n], "client {client}: message {i} was answered with number {n}");
            let transcript = &read[&key.0];
            assert_eq!(transcript.iter().filter(|(_, b)| *b == key.1).map(|(n, _)| *n).collect::<Vec<_>>(), [*n]);
        }
    }
    assert!(messages > kills * 10, "only {messages} messages were answered: the node was not under load");
    println!("{kills} kills, {} answered inputs, {} entries: none lost, changed or doubled", acked.len(), applied.0);
}
