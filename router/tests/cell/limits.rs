//! Every queue at its limit, one above and ten times above; fairness by tenant, counted in entries; admission; poison.
//!
//! The log of these tests has a gate: while it is shut the proposer stands in `propose`, so that what waits, waits where the
//! test wants it. Sources: DESIGN §6 ("every queue has a length, a limit and a metric"), K4, K7 of the cell's review, I17.

use crate::support::{Driver, Hand, Kept, TENANT, bootstrap, config, count, seed};
use std::cell::Cell as Local;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tidegate_core::Guard;
use tidegate_core::rig::{Rig, RigConfig};
use tidegate_journal::{Disk, FaultyDisk};
use tidegate_model::codec;
use tidegate_model::input::{Admin, ContactRequest, FirstOwner, Inbound, InboundAct, Input, SeatAct, SeatInput};
use tidegate_model::limits::{BODY_BYTES_MAX, Limits};
use tidegate_model::output::{Outcome, Output, Refusal};
use tidegate_model::port::PortError;
use tidegate_model::{AccountId, CommandId, ConversationId, CustomerId, EventId, Level, SeatId, SkillName, TenantId};
use tidegate_router::cell::{
    Cell, CellConfig, CellHandle, CellLog, CellSink, Committed, ENTRY_BYTES_MAX, Intake, LogError, LogFiles, LogStatus, Machines,
    NoSink, SingleNode, TenantSeed,
};

/// A gate in front of the log.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<(bool, u64)>, Condvar)>);

impl Gate {
    fn set(&self, shut: bool) {
        self.0.0.lock().unwrap().0 = shut;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let mut state = self.0.0.lock().unwrap();
        state.1 += 1;
        self.0.1.notify_all();
        while state.0 {
            state = self.0.1.wait(state).unwrap();
        }
        state.1 -= 1;
    }

    /// Waits until the proposer stands in front of the shut gate.
    fn wait_for_proposer(&self) {
        let mut state = self.0.0.lock().unwrap();
        while state.1 == 0 {
            state = self.0.1.wait(state).unwrap();
        }
    }
}

struct Gated<D: Disk> {
    inner: SingleNode<D>,
    gate: Gate,
    order: Arc<Mutex<Vec<Vec<TenantId>>>>,
}

impl<D: Disk> CellLog for Gated<D> {
    fn propose(&mut self, batch: Committed) -> Result<(), (LogError, Committed)> {
        self.gate.pass();
        self.order.lock().unwrap().push(batch.entries().filter_map(codec::tenant).collect());
        self.inner.propose(batch)
    }
    fn committed(&mut self) -> Option<Committed> {
        self.inner.committed()
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

struct Rigged {
    cell: CellHandle,
    gate: Gate,
    order: Arc<Mutex<Vec<Vec<TenantId>>>>,
}

fn gated(config: CellConfig) -> Rigged {
    let (gate, order) = (Gate::default(), Arc::default());
    let (inner_gate, inner_order) = (gate.clone(), Arc::clone(&order));
    let (cell, _) = Cell::start_wrapped(config, FaultyDisk::new(1), Box::new(NoSink), move |inner| {
        Box::new(Gated { inner, gate: inner_gate, order: inner_order })
    })
    .unwrap();
    Rigged { cell, gate, order }
}

fn message(tenant: u64, i: u64) -> Inbound<'static> {
    Inbound {
        account: AccountId(1),
        conversation: ConversationId(u128::from(i % 1_000 + 1) << 64),
        event: EventId(u128::from(tenant) << 100 | u128::from(i + 1)),
        customer: CustomerId(0),
        known_n: 0,
        act: InboundAct::Message { body: b"text" },
    }
}

fn busy(result: &Result<(), PortError>) -> bool {
    matches!(result, Err(PortError::Busy { .. }))
}

/// Shuts the gate with one seat's entry in front of it.
fn shut(rigged: &Rigged, tenant: TenantId) {
    rigged.gate.set(true);
    let leave = SeatInput { seat: SeatId(1), command: CommandId(0), act: SeatAct::LinkUp };
    rigged.cell.submit_nowait(tenant, &Input::Seat(leave)).unwrap();
    rigged.gate.wait_for_proposer();
}

#[test]
fn a_tenants_share_of_the_front_is_exact_at_one_above_and_ten_times_above() {
    let hand = Arc::new(Hand::default());
    let other = TenantId(2);
    let mut config = config(&hand);
    config.front = 256;
    config.front_per_tenant = 64;
    config.tenants.push(TenantSeed { id: other, limits: Limits::SMALL });
    let rigged = gated(config);
    bootstrap(&rigged.cell, TENANT);
    bootstrap(&rigged.cell, other);
    shut(&rigged, TENANT);
    let send = |tenant: TenantId, i| rigged.cell.submit_nowait(tenant, &Input::Inbound(message(u64::from(tenant.0), i)));
    for i in 0..64 {
        assert_eq!(send(TENANT, i), Ok(()), "{i} of the share of 64");
    }
    for i in 64..640 {
        assert!(busy(&send(TENANT, i)), "{i}: above the share");
    }
    // Nobody else pays for it, and the tenant's own seats come in.
    assert_eq!(send(other, 0), Ok(()));
    let act = SeatInput { seat: SeatId(1), command: CommandId(5), act: SeatAct::LinkDown };
    assert_eq!(rigged.cell.submit_nowait(TENANT, &Input::Seat(act)), Ok(()));
    let refused = rigged.cell.status().refused;
    assert_eq!((refused.tenant_share, refused.front_full), (576, 0));
    rigged.gate.set(false);
    rigged.cell.query_wait(TENANT, |_| ()).unwrap();
    while busy(&send(TENANT, 1_000)) {}
    rigged.cell.drain().unwrap();
}

#[test]
fn the_front_holds_its_limit_and_no_more_whoever_sends() {
    let hand = Arc::new(Hand::default());
    let mut config = config(&hand);
    config.front = 64;
    config.front_per_tenant = 64;
    config.tenants = (1..=12).map(|id| TenantSeed { id: TenantId(id), limits: Limits::SMALL }).collect();
    let rigged = gated(config);
    shut(&rigged, TENANT);
    // Twelve tenants, none above its share, ten times the ring between them.
    let mut taken = 0;
    for i in 0..640_u64 {
        let tenant = TenantId(1 + (i % 12) as u32);
        taken += u64::from(rigged.cell.submit_nowait(tenant, &Input::Inbound(message(i % 12, i))).is_ok());
    }
    assert_eq!(taken, 64, "the ring's limit, while the proposer takes nothing out");
    let readings = rigged.cell.gauges().read();
    for reading in &readings {
        assert!(reading.length <= reading.limit, "{reading:?}");
    }
    let customers = readings.iter().find(|r| r.name == "front_customers").unwrap();
    assert_eq!((customers.length, customers.limit), (64, 64));
    assert_eq!(rigged.cell.status().refused.front_full, 576);
    rigged.gate.set(false);
    rigged.cell.drain().unwrap();
}

#[test]
fn callers_who_wait_are_limited_too() {
    let hand = Arc::new(Hand::default());
    let mut config = config(&hand);
    config.front = 32;
    config.front_per_tenant = 32;
    let rigged = gated(config);
    shut(&rigged, TENANT);
    let seat = |i: u64| SeatInput { seat: SeatId(1), command: CommandId(u128::from(i) + 9), act: SeatAct::LinkUp };
    let waiting: Vec<_> = (0..16).map(|i| rigged.cell.submit(TENANT, &Input::Inbound(message(1, i)))).collect();
    let seats: Vec<_> = (0..16).map(|i| rigged.cell.submit(TENANT, &Input::Seat(seat(i)))).collect();
    let above = rigged.cell.submit(TENANT, &Input::Inbound(message(1, 99)));
    assert!(matches!(above.wait(), Err(PortError::Busy { .. })));
    rigged.gate.set(false);
    for answer in waiting.into_iter().chain(seats) {
        answer.wait().expect("every one that was taken is answered");
    }
    rigged.cell.drain().unwrap();
}

/// Counted in entries: how many stand before the quiet tenant's last one, with and without the noise.
#[test]
fn a_noisy_tenant_does_not_push_another_back() {
    let place = |noise: u64| {
        let hand = Arc::new(Hand::default());
        let quiet = TenantId(2);
        let mut config = config(&hand);
        config.front = 1 << 14;
        config.front_per_tenant = 1 << 13;
        config.tenants.push(TenantSeed { id: quiet, limits: Limits::SMALL });
        let rigged = gated(config);
        bootstrap(&rigged.cell, TENANT);
        bootstrap(&rigged.cell, quiet);
        shut(&rigged, TENANT);
        rigged.order.lock().unwrap().clear();
        for i in 0..noise {
            rigged.cell.submit_nowait(TENANT, &Input::Inbound(message(1, i))).unwrap();
        }
        for i in 0..32 {
            rigged.cell.submit_nowait(quiet, &Input::Inbound(message(2, i))).unwrap();
        }
        rigged.gate.set(false);
        rigged.cell.drain().unwrap();
        let order: Vec<TenantId> = rigged.order.lock().unwrap().iter().flatten().copied().collect();
        let quiets: Vec<usize> = order.iter().enumerate().filter(|(_, t)| **t == quiet).map(|(i, _)| i).collect();
        assert!(quiets.len() >= 32);
        quiets[31]
    };
    let alone = place(0);
    let beside = place(8_000);
    assert!(
        beside <= 2 * alone + 32,
        "the quiet tenant's 32nd entry stood at place {alone} alone and at {beside} beside the noise"
    );
}

#[test]
fn new_contacts_are_refused_while_apply_is_behind_and_agents_are_not() {
    struct Slow(Gate);
    impl CellSink for Slow {
        fn outputs(&mut self, _: TenantId, _: &[Output]) {
            self.0.pass();
        }
    }
    let hand = Arc::new(Hand::default());
    let gate = Gate::default();
    let mut config = config(&hand);
    // Batches may hold one entry each: so many of them must fit between commit and apply that the backlog can pass its limit.
    config.batches_ahead = 32;
    config.apply_backlog_max = 20;
    config.apply_age_max = Duration::from_millis(60_000);
    let (cell, _) = Cell::start(config, FaultyDisk::new(1), Box::new(Slow(gate.clone()))).unwrap();
    bootstrap(&cell, TENANT);
    gate.set(true);
    // A slow sink holds the egress, then apply: what is committed piles up.
    let begin = |i: u64| {
        let act = InboundAct::Begin { with: FirstOwner::Bot, request: ContactRequest::default() };
        Input::Inbound(Inbound { act, ..message(1, 5_000 + i) })
    };
    let mut i = 0;
    while cell.intake() == Intake::Open {
        i += 1;
        assert!(i < 100_000_000, "the intake never narrowed: {:?}", cell.status());
        let _full = cell.submit_nowait(TENANT, &Input::Inbound(message(1, i)));
    }
    assert_eq!(cell.intake(), Intake::NoNewContacts);
    assert!(busy(&cell.submit_nowait(TENANT, &begin(1))));
    assert!(cell.status().refused.apply_behind >= 1);
    let act = SeatInput { seat: SeatId(1), command: CommandId(5), act: SeatAct::LinkUp };
    assert!(!matches!(cell.submit_nowait(TENANT, &Input::Seat(act)), Err(PortError::Invalid { .. } | PortError::Closed)));
    gate.set(false);
    while cell.intake() != Intake::Open {
        std::thread::yield_now();
    }
    assert!(cell.submit(TENANT, &begin(2)).wait().is_ok(), "the intake is open again");
    cell.drain().unwrap();
}

#[test]
fn inputs_out_of_their_limits_are_refused_by_name() {
    let hand = Arc::new(Hand::default());
    let (cell, _) = Cell::start(config(&hand), FaultyDisk::new(1), Box::new(NoSink)).unwrap();
    bootstrap(&cell, TENANT);
    let send = |input: &Input<'_>| cell.submit(TENANT, input).wait();
    let body = vec![b'x'; BODY_BYTES_MAX * 10];
    let with = |length: usize, id: u128| {
        Input::Inbound(Inbound { event: EventId(id), act: InboundAct::Message { body: &body[..length] }, ..message(1, 1) })
    };
    assert!(send(&with(BODY_BYTES_MAX, 1)).is_ok());
    for (length, id) in [(BODY_BYTES_MAX + 1, 2), (BODY_BYTES_MAX * 10, 3)] {
        let Err(PortError::Invalid { what }) = send(&with(length, id)) else { panic!("taken") };
        assert_eq!(what, format!("body: {length} bytes; expected at most {BODY_BYTES_MAX}"));
    }
    let plan = vec![0; ENTRY_BYTES_MAX];
    let policy = |length: usize| Input::Admin(Admin::Policy { hash: [0; 32], plan: &plan[..length] });
    assert_eq!(send(&policy(ENTRY_BYTES_MAX - 1_024)), Ok(Outcome::Refused(Refusal::Malformed)), "it fits, and is no policy");
    assert!(matches!(send(&policy(ENTRY_BYTES_MAX - 1_023)), Err(PortError::Invalid { .. })));
    // A level that no entry can hold, from a caller who did not ask the model.
    let mut request = ContactRequest::default();
    request.skills[0] = (SkillName::of("english"), Level(11));
    let begin = InboundAct::Begin { with: FirstOwner::Queue, request };
    let Err(PortError::Invalid { what }) = send(&Input::Inbound(Inbound { event: EventId(4), act: begin, ..message(1, 2) })) else {
        panic!("taken")
    };
    assert!(what.contains("out of range"), "{what}");
    for own in [Input::Tick, Input::Hash] {
        assert!(matches!(send(&own), Err(PortError::Invalid { .. })));
    }
    assert_eq!(cell.submit(TenantId(77), &with(5, 9)).wait(), Err(PortError::Unknown));
    assert!(matches!(cell.query_wait(TenantId(77), |_| ()), Err(PortError::Unknown)));
    cell.create_tenant(TenantId(77), Limits::SMALL).wait().unwrap();
    assert_eq!(cell.submit(TenantId(77), &with(5, 9)).wait(), Ok(Outcome::Refused(Refusal::UnknownAccount)));
    cell.drain().unwrap();
    assert_eq!(send(&with(5, 10)), Err(PortError::Closed));
    assert_eq!(cell.drain(), Err(tidegate_router::cell::DrainError::Already));
}

#[test]
fn configuration_is_checked_by_field() {
    let hand = Arc::new(Hand::default());
    struct Wrong(&'static str, fn(&mut CellConfig));
    let wrong = [
        Wrong("front", |c| c.front = 15),
        Wrong("front_per_tenant", |c| c.front_per_tenant = c.front + 1),
        Wrong("batch_entries", |c| c.batch_entries = 40_960),
        Wrong("company", |c| c.company = Duration::from_millis(10)),
        Wrong("tenants", |c| c.tenants = (1..=40_960).map(|id| TenantSeed { id: TenantId(id), limits: Limits::SMALL }).collect()),
        Wrong("clock_limits.catch_up_permille", |c| c.clock_limits.catch_up_permille = 11),
    ];
    for Wrong(field, spoil) in wrong {
        let mut config = config(&hand);
        spoil(&mut config);
        let error = Cell::start(config, FaultyDisk::new(1), Box::new(NoSink)).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cell.{field}: ")) && error.contains("expected"), "{error}");
    }
}

thread_local! {
    static PLANS: Local<u64> = const { Local::new(0) };
}
static PLANTED: AtomicU64 = AtomicU64::new(0);

/// Every 250th plan of this thread panics, live and in the replay alike.
fn planted(f: &mut dyn FnMut()) -> bool {
    PLANS.set(PLANS.get() + 1);
    if PLANS.get().is_multiple_of(250) {
        PLANTED.fetch_add(1, Ordering::Relaxed);
        return tidegate_matcher::catch_plan(&mut || panic!("planted"));
    }
    tidegate_matcher::catch_plan(f)
}

#[test]
fn poison_under_load_costs_its_own_contact_and_replays_the_same() {
    let hand = Arc::new(Hand::default());
    let kept = Kept::new(2);
    let mut config = config(&hand);
    config.guard = Guard(planted);
    config.snapshot_entries = 1 << 30;
    let disk = FaultyDisk::new(1);
    let (cell, _) = Cell::start(config, disk.clone(), Box::new(kept.clone())).unwrap();
    bootstrap(&cell, TENANT);
    std::thread::scope(|scope| {
        for n in 0..2 {
            let (cell, hand, kept) = (cell.clone(), hand.clone(), kept.clone());
            scope.spawn(move || {
                let rig = RigConfig::small(seed(60) + n);
                Driver::new(rig, n as u8, n as usize, &kept).run(&cell, &hand, count(10_000, 100_000)).unwrap();
            });
        }
    });
    let (ledger, digest, until) = loop {
        let before = cell.status().applied;
        let seen = cell.query_wait(TENANT, |tenant| (tenant.ledger(), tenant.full_digest())).unwrap();
        if cell.status().applied == before {
            break (seen.0, seen.1, before);
        }
    };
    let status = cell.status();
    assert_eq!((status.intake, status.broken.clone()), (Intake::Open, None));
    cell.drain().unwrap();
    assert!(ledger.poisoned > 50, "{ledger:?}");
    assert!(ledger.exits[0] > 100, "others were served: {ledger:?}");
    drop(cell);
    let log = crate::support::log_of(disk);
    PLANS.set(0);
    let mut machines = Machines::guarded(Guard(planted));
    let mut outputs = Vec::new();
    for entry in log.iter().take(until.0 as usize) {
        outputs.clear();
        machines.replay(entry, &mut outputs).unwrap();
    }
    assert_eq!(machines.get(TENANT).unwrap().full_digest(), digest);
    assert!(PLANTED.load(Ordering::Relaxed) >= 2 * ledger.poisoned);
}

#[test]
fn a_panicking_sink_costs_its_slice_and_nothing_else() {
    struct Panics(u64);
    impl CellSink for Panics {
        fn outputs(&mut self, _: TenantId, _: &[Output]) {
            self.0 += 1;
            assert!(!self.0.is_multiple_of(3), "planted in the sink");
        }
    }
    let hand = Arc::new(Hand::default());
    let (cell, _) = Cell::start(config(&hand), FaultyDisk::new(1), Box::new(Panics(0))).unwrap();
    bootstrap(&cell, TENANT);
    for i in 0..30 {
        cell.submit(TENANT, &Input::Inbound(message(1, i))).wait().unwrap();
    }
    assert!(cell.status().sink_panics >= 5);
    cell.drain().unwrap();
}

/// What no guard catches (a fault in a commit, here a guard that lets a panic through) ends the cell, loudly, and nobody is
/// left waiting.
#[test]
fn a_fault_of_ours_closes_the_cell_and_says_so() {
    fn leaks(f: &mut dyn FnMut()) -> bool {
        PLANS.set(PLANS.get() + 1);
        assert!(PLANS.get() < 200, "planted where no guard is");
        f();
        true
    }
    let hand = Arc::new(Hand::default());
    let mut config = config(&hand);
    config.guard = Guard(leaks);
    let (cell, _) = Cell::start(config, FaultyDisk::new(1), Box::new(NoSink)).unwrap();
    bootstrap(&cell, TENANT);
    let mut answered = 0;
    for i in 0..1_000 {
        match cell.submit(TENANT, &Input::Inbound(message(1, i))).wait() {
            Ok(_) => answered += 1,
            Err(error) => {
                assert_eq!(error, PortError::Closed);
                break;
            }
        }
    }
    assert!((1..200).contains(&answered), "{answered}");
    assert!(matches!(cell.drain(), Err(tidegate_router::cell::DrainError::Broken(why)) if why.contains("planted")));
    assert!(cell.status().broken.is_some_and(|why| why.starts_with("cell-apply: ")));
    assert_eq!(cell.query_wait(TENANT, |_| ()), Err(PortError::Closed));
}

/// A drain finishes what fuel had put off: whoever was taken is answered.
#[test]
fn a_drain_finishes_what_fuel_left_undone() {
    let hand = Arc::new(Hand::default());
    let mut config = config(&hand);
    config.tenants = vec![TenantSeed { id: TENANT, limits: Limits { fuel: 4, ..Limits::SMALL } }];
    let disk = FaultyDisk::new(1);
    let (cell, _) = Cell::start(config, disk.clone(), Box::new(NoSink)).unwrap();
    bootstrap(&cell, TENANT);
    for i in 0..200 {
        let act = InboundAct::Begin { with: FirstOwner::Queue, request: ContactRequest::default() };
        cell.submit(TENANT, &Input::Inbound(Inbound { act, ..message(1, i) })).wait().unwrap();
    }
    // Every waiting contact is carried over, four work units an entry.
    let policy = Rig::new(RigConfig::small(1)).policy_entry(tidegate_core::rig::OTHER_POLICY, 9);
    let swap = codec::decode(&policy).unwrap();
    let swapped = cell.submit(TENANT, &swap.input);
    let behind: Vec<_> = (500..520).map(|i| cell.submit(TENANT, &Input::Inbound(message(1, i)))).collect();
    let drained = cell.drain().unwrap();
    assert!(swapped.wait().is_ok());
    for answer in behind {
        assert!(matches!(answer.wait(), Ok(Outcome::Done { .. })), "answered though the swap stood before it");
    }
    let log = crate::support::log_of(disk);
    assert_eq!(log.len() as u64, drained.last.0);
    let ticks = log.iter().filter(|entry| matches!(codec::decode(entry).unwrap().input, Input::Tick)).count();
    assert!(ticks >= 20, "only {ticks} ticks: the fuel did not run out");
}
