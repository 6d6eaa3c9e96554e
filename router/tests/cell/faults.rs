//! Disks that fail: a failing sync, a full disk, power cuts; and the mutants that the power-cut test must catch.
//!
//! Sources: I14, DESIGN §7 ("fsync error: stop acknowledging"), issue A's table. The mutants are planted at the seams, where a
//! careless implementation would put them: a disk whose sync does nothing, a log that calls a batch durable before it wrote
//! it, a sink that forgets an effect of the start. Default 40 power cuts, 2,000 with `TIDEGATE_NIGHTLY=1`.

use crate::support::{Hand, TENANT, bootstrap, config, count, log_of, seed};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};
use tidegate_journal::rng::SplitMix64;
use tidegate_journal::{Disk, DiskFile, FaultyDisk};
use tidegate_model::input::{ContactRequest, FirstOwner, Inbound, InboundAct, Input, SeatAct, SeatInput};
use tidegate_model::output::{Outcome, Output};
use tidegate_model::port::PortError;
use tidegate_model::{AccountId, CommandId, ConversationId, CustomerId, EventId, SeatId, TenantId};
use tidegate_router::cell::{
    Cell, CellConfig, CellHandle, CellLog, CellSink, Committed, Intake, LogError, LogFiles, LogStatus, NoSink, Paced, Retain,
    SingleNode,
};

fn small(hand: &Arc<Hand>) -> CellConfig {
    CellConfig {
        segment_bytes: 128 << 10,
        snapshot_entries: 150,
        retain: Retain::All,
        hash_every: 64,
        company: std::time::Duration::ZERO,
        ..config(hand)
    }
}

fn message(client: u64, i: u64, body: &[u8]) -> (ConversationId, Inbound<'_>) {
    let conversation = ConversationId(u128::from(client + 1) << 96 | u128::from(i / 50 + 1));
    let event = EventId(u128::from(client + 1) << 64 | u128::from(i + 1));
    let act = match i % 50 {
        0 => {
            let with = if client.is_multiple_of(2) { FirstOwner::Queue } else { FirstOwner::Bot };
            InboundAct::Begin { with, request: ContactRequest::default() }
        }
        _ => InboundAct::Message { body },
    };
    (conversation, Inbound { account: AccountId(1), conversation, event, customer: CustomerId(0), known_n: 0, act })
}

/// Sends until the cell takes nothing more; gives what was answered.
fn client(cell: &CellHandle, client: u64, from: u64) -> Vec<(u64, Outcome)> {
    let mut answered = Vec::new();
    for i in from.. {
        let body = format!("{client}:{i}");
        let (_, inbound) = message(client, i, body.as_bytes());
        match cell.submit(TENANT, &Input::Inbound(inbound)).wait() {
            Ok(outcome) => answered.push((i, outcome)),
            Err(PortError::Busy { .. }) => std::thread::yield_now(),
            Err(_) => break,
        }
    }
    answered
}

/// What a checker says of one life of a node.
type Verdict = Result<(), String>;

/// Starts, loads, cuts the power at a random change, restarts; every answered event must be there, with its number.
fn power_cuts<D: Disk + Clone>(
    rounds: u64,
    seed: u64,
    disk: impl Fn(&FaultyDisk) -> D,
    wrap: impl Fn(SingleNode<Paced<D>>) -> Box<dyn CellLog>,
) -> Verdict {
    let platter = FaultyDisk::new(seed);
    let mut random = SplitMix64::new(seed);
    let hand = Arc::new(Hand::default());
    let mut answered: BTreeMap<(u64, u64), (u64, Outcome)> = BTreeMap::new();
    let mut next = [0_u64; 3];
    for round in 0..rounds {
        let effects = Arc::new(Mutex::new(Vec::new()));
        let sink = Box::new(Opened(effects.clone()));
        let (cell, report) =
            Cell::start_wrapped(small(&hand), disk(&platter), sink, &wrap).map_err(|e| format!("round {round}: {e:?}"))?;
        let emitted: BTreeSet<u64> = effects.lock().unwrap().iter().copied().collect();
        if report.open_effects != emitted.len() as u64 {
            return Err(format!("round {round}: {} effects open, {} emitted", report.open_effects, emitted.len()));
        }
        if report.last.0 == 0 {
            bootstrap(&cell, TENANT);
            for seat in 1..=20 {
                for act in [SeatAct::SignIn, SeatAct::Ready] {
                    let command = CommandId(u128::from(seat) << 8 | u128::from(matches!(act, SeatAct::Ready)));
                    let _ = cell.submit(TENANT, &Input::Seat(SeatInput { seat: SeatId(seat), command, act })).wait();
                }
            }
        }
        // What was answered before the cut is there now: the node says so itself. Older answers are looked at in turn, all of
        // them at the end.
        for (&(client, i), (life, outcome)) in &answered {
            if life + 3 < round && (i + client) % 32 != round % 32 && round + 1 != rounds {
                continue;
            }
            let body = format!("{client}:{i}");
            let (conversation, inbound) = message(client, i, body.as_bytes());
            if let (InboundAct::Message { .. }, Outcome::Done { n, .. }) = (inbound.act, *outcome) {
                let items =
                    cell.transcript(TENANT, conversation, n - 1, 1).map_err(|e| format!("round {round}: {client}:{i}: {e:?}"))?;
                if items.first().is_none_or(|item| item.n != n || &*item.body != body.as_bytes()) {
                    return Err(format!("round {round}: the answered message {client}:{i} is missing or changed: {items:?}"));
                }
            }
        }
        platter.halt_after(20 + random.below(400));
        let lives: Vec<Vec<(u64, Outcome)>> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..3)
                .map(|n| {
                    scope.spawn({
                        let (cell, from) = (cell.clone(), next[n as usize]);
                        move || client(&cell, n, from)
                    })
                })
                .collect();
            handles.into_iter().map(|h| h.join().unwrap()).collect()
        });
        for (n, life) in lives.into_iter().enumerate() {
            for (i, outcome) in life {
                if let Some((_, before)) = answered.insert((n as u64, i), (round, outcome)) {
                    return Err(format!("{n}:{i} was answered twice: {before:?} and {outcome:?}"));
                }
                next[n] = i + 1;
            }
        }
        if cell.intake() != Intake::LogFailed {
            return Err(format!("round {round}: the power went and the node takes inputs: {:?}", cell.status()));
        }
        let _failed = cell.drain();
        drop(cell);
        platter.power_cut(random.next_u64());
    }
    if answered.len() < rounds as usize * 5 {
        return Err(format!("only {} answers in {rounds} rounds", answered.len()));
    }
    Ok(())
}

/// Keeps the ids of opened effects.
struct Opened(Arc<Mutex<Vec<u64>>>);

impl CellSink for Opened {
    fn outputs(&mut self, _: TenantId, outputs: &[Output]) {
        let opened = outputs.iter().filter_map(|output| match output {
            Output::EffectOpened { id, .. } => Some(id.0),
            _ => None,
        });
        self.0.lock().unwrap().extend(opened);
    }
}

#[test]
fn power_cuts_lose_nothing_that_was_answered() {
    power_cuts(count(40, 2_000), seed(3), Clone::clone, |log| Box::new(log)).unwrap();
}

/// A disk whose syncs return at once and do nothing.
#[derive(Clone)]
struct NoSync(FaultyDisk);
struct NoSyncFile(<FaultyDisk as Disk>::File);

impl Disk for NoSync {
    type File = NoSyncFile;
    fn create(&self, name: &str) -> io::Result<NoSyncFile> {
        self.0.create(name).map(NoSyncFile)
    }
    fn open(&self, name: &str) -> io::Result<NoSyncFile> {
        self.0.open(name).map(NoSyncFile)
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn sync_dir(&self) -> io::Result<()> {
        self.0.sync_dir()
    }
}

impl DiskFile for NoSyncFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.0.preallocate(len)
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}

#[test]
fn a_node_without_fsync_is_caught() {
    let verdict = power_cuts(40, seed(3), |disk| NoSync(disk.clone()), |log| Box::new(log));
    let why = verdict.expect_err("forty power cuts without a sync went unnoticed");
    println!("caught: {why}");
}

/// Gives a batch out as durable first and writes it when the next one comes.
struct Eager<D: Disk> {
    inner: SingleNode<D>,
    unwritten: Option<Committed>,
    ready: VecDeque<Committed>,
}

impl<D: Disk> CellLog for Eager<D> {
    fn propose(&mut self, batch: Committed) -> Result<(), (LogError, Committed)> {
        if let Some(before) = self.unwritten.replace(batch.copy())
            && let Err((error, _)) = self.inner.propose(before)
        {
            return Err((error, batch));
        }
        while self.inner.committed().is_some() {}
        self.ready.push_back(batch);
        Ok(())
    }
    fn committed(&mut self) -> Option<Committed> {
        self.ready.pop_front()
    }
    fn status(&self) -> LogStatus {
        self.inner.status()
    }
    fn files(&self) -> Arc<dyn LogFiles> {
        self.inner.files()
    }
    fn close(self: Box<Self>) -> Result<(), LogError> {
        Box::new(self.inner).close()
    }
}

#[test]
fn an_answer_before_the_entry_is_durable_is_caught() {
    let verdict = power_cuts(40, seed(3), Clone::clone, |inner| Box::new(Eager { inner, unwritten: None, ready: VecDeque::new() }));
    let why = verdict.expect_err("forty power cuts with early answers went unnoticed");
    assert!(why.contains("missing or changed") || why.contains("Unknown"), "caught for another reason: {why}");
}

/// Runs a node until offers are out, stops it, restarts it; `forget` drops so many effects of the second start.
fn effects_after_restart(forget: usize) -> (BTreeSet<u64>, BTreeSet<u64>) {
    struct Forgetful(Arc<Mutex<Vec<u64>>>, usize);
    impl CellSink for Forgetful {
        fn outputs(&mut self, tenant: TenantId, outputs: &[Output]) {
            let from = self.1.min(outputs.len());
            self.1 -= from;
            Opened(self.0.clone()).outputs(tenant, &outputs[from..]);
        }
    }
    let disk = FaultyDisk::new(1);
    let hand = Arc::new(Hand::default());
    let (cell, _) = Cell::start(small(&hand), disk.clone(), Box::new(NoSink)).unwrap();
    bootstrap(&cell, TENANT);
    for seat in 1..=5 {
        for (n, act) in [SeatAct::SignIn, SeatAct::Ready].into_iter().enumerate() {
            let command = CommandId(u128::from(seat) << 8 | n as u128);
            cell.submit(TENANT, &Input::Seat(SeatInput { seat: SeatId(seat), command, act })).wait().unwrap();
        }
    }
    for n in 0..5 {
        let (_, inbound) = message(2 * n, 0, b"");
        cell.submit(TENANT, &Input::Inbound(inbound)).wait().unwrap();
    }
    let open: BTreeSet<u64> = cell.query_wait(TENANT, |t| t.open_effects()).unwrap().into_iter().map(|(id, ..)| id.0).collect();
    assert!(open.len() >= 4, "{open:?}");
    drop(cell.drain());
    drop(cell);
    disk.power_cut(9);
    let kept = Arc::new(Mutex::new(Vec::new()));
    let (cell, report) = Cell::start(small(&hand), disk, Box::new(Forgetful(kept.clone(), forget))).unwrap();
    assert_eq!(report.open_effects, open.len() as u64);
    drop(cell.drain());
    let emitted = kept.lock().unwrap().iter().copied().collect();
    (open, emitted)
}

#[test]
fn every_open_effect_is_emitted_again_and_a_forgotten_one_is_caught() {
    let (open, emitted) = effects_after_restart(0);
    assert_eq!(open, emitted);
    let (open, emitted) = effects_after_restart(1);
    assert_ne!(open, emitted, "the comparison must see a forgotten effect");
}

#[test]
fn a_failing_sync_stops_every_answer_and_the_node_says_so() {
    for after in [1, 2, 7, 30] {
        let disk = FaultyDisk::new(after);
        let hand = Arc::new(Hand::default());
        let mut config = small(&hand);
        config.snapshot_entries = 1 << 20;
        let (cell, _) = Cell::start(config.clone(), disk.clone(), Box::new(NoSink)).unwrap();
        bootstrap(&cell, TENANT);
        disk.fail_sync(after);
        let answered: Vec<Vec<(u64, Outcome)>> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..4)
                .map(|n| {
                    scope.spawn({
                        let cell = cell.clone();
                        move || client(&cell, n, 0)
                    })
                })
                .collect();
            handles.into_iter().map(|h| h.join().unwrap()).collect()
        });
        let status = cell.status();
        assert_eq!(status.intake, Intake::LogFailed);
        assert!(status.log_failure.as_deref().is_some_and(|text| text.contains("nothing more is acknowledged")), "{status:?}");
        // Later syncs would succeed; the node must not try.
        let (_, inbound) = message(9, 0, b"late");
        assert_eq!(cell.submit(TENANT, &Input::Inbound(inbound)).wait(), Err(PortError::LogFailed));
        assert_eq!(cell.submit_nowait(TENANT, &Input::Inbound(inbound)), Err(PortError::LogFailed));
        // What was durable can still be read.
        assert!(cell.query_wait(TENANT, |tenant| tenant.ledger().open()).is_ok());
        let committed = status.committed;
        assert!(matches!(cell.drain(), Err(tidegate_router::cell::DrainError::Log(LogError::Failed { .. }))));
        drop(cell);
        disk.power_cut(after);
        let log = log_of(disk.clone());
        assert!(log.len() as u64 >= committed.0, "{} entries, {} were called durable", log.len(), committed.0);
        let (cell, _) = Cell::start(config, disk, Box::new(NoSink)).unwrap();
        for (n, life) in answered.iter().enumerate() {
            for (i, outcome) in life {
                let body = format!("{n}:{i}");
                let (conversation, inbound) = message(n as u64, *i, body.as_bytes());
                if let (InboundAct::Message { .. }, Outcome::Done { n: at, .. }) = (inbound.act, outcome) {
                    assert_eq!(&*cell.transcript(TENANT, conversation, at - 1, 1).unwrap()[0].body, body.as_bytes());
                }
                assert!(matches!(
                    cell.submit(TENANT, &Input::Inbound(inbound)).wait(),
                    Ok(Outcome::Duplicate { .. } | Outcome::Done { .. } | Outcome::Refused(_))
                ));
            }
        }
        cell.drain().unwrap();
    }
}

#[test]
fn a_full_disk_stops_every_answer_and_room_brings_the_node_back() {
    let disk = FaultyDisk::new(4);
    let hand = Arc::new(Hand::default());
    let mut config = small(&hand);
    config.snapshot_entries = 1 << 20;
    let (cell, _) = Cell::start(config.clone(), disk.clone(), Box::new(NoSink)).unwrap();
    bootstrap(&cell, TENANT);
    disk.limit_bytes(Some(700 << 10));
    let answered = client(&cell, 1, 0);
    let status = cell.status();
    assert_eq!(status.intake, Intake::LogFailed);
    assert!(status.log_failure.as_deref().is_some_and(|text| text.starts_with("the disk is full")), "{status:?}");
    assert!(!answered.is_empty());
    assert!(matches!(cell.drain(), Err(tidegate_router::cell::DrainError::Log(LogError::DiskFull { .. }))));
    drop(cell);
    disk.limit_bytes(None);
    let (cell, _) = Cell::start(config, disk, Box::new(NoSink)).unwrap();
    for (i, outcome) in answered {
        let body = format!("1:{i}");
        let (conversation, inbound) = message(1, i, body.as_bytes());
        if let (InboundAct::Message { .. }, Outcome::Done { n, .. }) = (inbound.act, outcome) {
            assert_eq!(&*cell.transcript(TENANT, conversation, n - 1, 1).unwrap()[0].body, body.as_bytes());
        }
    }
    let (_, inbound) = message(7, 0, b"");
    assert!(cell.submit(TENANT, &Input::Inbound(inbound)).wait().is_ok());
    cell.drain().unwrap();
}
