//! One short day of the model: a cell, two tenants, eight threads of people around it, and a drain.
//!
//! Everybody keeps what he was told. Fuel is one, so that hardly an input is done in its own entry: continuations, ticks and
//! answers that come late are the rule. It refuses to know what is right: `judge` does.

use crate::judge::{Seen, Told, judge};
use crate::world::{Clock, Log, Sink, Watched, World};
use shuttle::rand::{Rng, thread_rng};
use std::collections::VecDeque;
use std::time::Duration;
use tidegate_core::{payload, policy};
use tidegate_journal::FaultyDisk;
use tidegate_model::input::{Admin, ContactRequest, FirstOwner, Inbound, InboundAct, Input, SeatAct, SeatInput};
use tidegate_model::limits::Limits;
use tidegate_model::output::Outcome;
use tidegate_model::policy::{AccountProfile, AgentProfile, Delivery};
use tidegate_model::port::PortError;
use tidegate_model::{AccountId, CommandId, ConversationId, CustomerId, EventId, Millis, OfferId, ReasonName, SeatId, TenantId};
use tidegate_router::cell::{Cell, CellConfig, CellHandle, Intake, TenantSeed};
use tidegate_router::log_time::{ClockLimits, ClockMode};
use tidegate_router::primitive::atomic::Ordering;
use tidegate_router::primitive::{Arc, model, mpsc, thread};

pub const TENANTS: [TenantId; 2] = [TenantId(1), TenantId(2)];
const SEATS: [SeatId; 2] = [SeatId(1), SeatId(2)];

const POLICY: &str = "name = \"model\"\ndefault_queue = \"all\"\ndefault_class = \"regular\"\nidle_close_after = \"1h\"\n\
    [[class]]\nname = \"regular\"\n[[queue]]\nname = \"all\"\noffer_timeout = \"6s\"\nwrap_up = \"1s\"\n";

fn limits() -> Limits {
    Limits {
        conversations: 32,
        tickets: 16,
        seats: 8,
        lanes: 16,
        classes: 8,
        engagements: 4,
        effects: 8,
        customers: 8,
        dedup_events: 64,
        pending_inputs: 64,
        fuel: 1,
    }
}

fn config() -> CellConfig {
    CellConfig {
        tenants: TENANTS.map(|id| TenantSeed { id, limits: limits() }).to_vec(),
        clock: ClockMode::Real,
        clock_limits: ClockLimits { step_max: Millis(60_000), ..ClockLimits::default() },
        source: std::sync::Arc::new(Clock),
        front: 16,
        front_per_tenant: 8,
        batch_entries: 16,
        batches_ahead: 2,
        apply_age_max: Duration::from_secs(60),
        hash_every: 16,
        snapshot_entries: 64,
        tail_bytes: 1 << 12,
        queries: 4,
        segment_bytes: 1 << 18,
        keep_decisions: true,
        ..CellConfig::default()
    }
}

/// Somebody who submits and keeps what he was told.
pub struct Person {
    cell: CellHandle,
    world: Arc<World>,
    tenant: TenantId,
    next: u128,
    pub told: Vec<(u128, Told)>,
}

impl Person {
    fn new(cell: &CellHandle, world: &Arc<World>, tenant: TenantId, number: u128) -> Self {
        Self { cell: cell.clone(), world: world.clone(), tenant, next: number << 32, told: Vec::new() }
    }

    fn id(&mut self) -> u128 {
        self.next += 1;
        self.next
    }

    fn ask(&mut self, id: u128, input: &Input<'_>) -> Option<Outcome> {
        let answer = self.cell.submit(self.tenant, input).wait();
        match answer {
            Ok(outcome) => {
                let place = self.world.place(id);
                let place = place.unwrap_or_else(|| panic!("{id:#x} is answered and its entry is not durable"));
                assert!(self.cell.status().committed.0 >= place, "{id:#x} is answered before the watermark");
                self.told.push((id, Told::Answered(outcome)));
                let sunk = self.world.sunk.lock().unwrap();
                let heard = sunk.iter().any(|(_, output)| crate::judge::replies_to(output, place));
                drop(sunk);
                assert!(heard || self.world.raising.load(Ordering::SeqCst), "{id:#x} is answered before the sink has it");
                Some(outcome)
            }
            Err(error) => {
                self.told.push((id, Told::NotTaken(error)));
                None
            }
        }
    }

    fn send(&mut self, id: u128, input: &Input<'_>) {
        let told = match self.cell.submit_nowait(self.tenant, input) {
            Ok(()) => Told::Taken,
            Err(error) => Told::NotTaken(error),
        };
        self.told.push((id, told));
    }

    fn customer(&mut self, conversation: u128, act: InboundAct<'_>, waits: bool) {
        let id = self.id();
        let input = Input::Inbound(Inbound {
            account: AccountId(1),
            conversation: ConversationId(conversation),
            event: EventId(id),
            customer: CustomerId(0),
            known_n: 0,
            act,
        });
        if waits {
            self.ask(id, &input);
        } else {
            self.send(id, &input);
        }
    }

    fn seat(&mut self, seat: SeatId, act: SeatAct<'_>) -> Option<Outcome> {
        let id = self.id();
        self.ask(id, &Input::Seat(SeatInput { seat, command: CommandId(id), act }))
    }
}

const BEGIN: InboundAct<'static> = InboundAct::Begin {
    with: FirstOwner::Queue,
    request: ContactRequest {
        queue: tidegate_model::QueueName::NONE,
        class: tidegate_model::ClassName::NONE,
        preferred: SeatId::NONE,
        tags: [tidegate_model::TagName::NONE; 4],
        skills: [(tidegate_model::SkillName::NONE, tidegate_model::Level(0)); 4],
    },
};

fn open_up(cell: &CellHandle) {
    let done = |tenant, input: &Input<'_>| {
        let answer = cell.submit(tenant, input).wait();
        assert!(matches!(answer, Ok(Outcome::Done { .. })), "{answer:?}");
    };
    let plan = policy::encode(&policy::parse("model.toml", &POLICY.replace("", "")).expect("the model's policy"));
    let account = AccountProfile { name: "inbox".into(), delivery: Delivery::View, weight: 1, queue: String::new() };
    let account = payload::account(&account);
    for tenant in TENANTS {
        done(tenant, &Input::Admin(Admin::Account { account: AccountId(1), profile: &account }));
        done(tenant, &Input::Admin(Admin::Policy { hash: [1; 32], plan: &plan }));
    }
    let agent = AgentProfile { name: "agent".into(), skills: Vec::new(), units: 1, cost_ms: 0 };
    let agent = payload::agent(&agent);
    for seat in SEATS {
        done(TENANTS[0], &Input::Admin(Admin::Agent { seat, profile: &agent }));
        for (command, act) in [(1, SeatAct::SignIn), (2, SeatAct::Ready)] {
            done(TENANTS[0], &Input::Seat(SeatInput { seat, command: CommandId(u128::from(seat.0) << 8 | command), act }));
        }
    }
}

/// The agent of both seats: accepts and ends, declines, lets an offer run out, in turn; tells when that is done.
fn agent(mut person: Person, offers: mpsc::Receiver<(TenantId, SeatId, OfferId)>, done: mpsc::SyncSender<()>) -> Person {
    let mut turn = 0;
    while let Ok((_, seat, offer)) = offers.recv() {
        turn += 1;
        match turn % 3 {
            1 => {
                if let Some(Outcome::Done { .. }) = person.seat(seat, SeatAct::Accept { offer }) {
                    person.seat(seat, SeatAct::Send { claim: offer.claim(), body: b"good day" });
                    person.seat(seat, SeatAct::End { claim: offer.claim() });
                } else {
                    // Missed: the seat counts as not responding until it says otherwise.
                    person.seat(seat, SeatAct::Ready);
                }
            }
            2 => {
                person.seat(seat, SeatAct::Decline { offer, reason: ReasonName::NONE });
                person.seat(seat, SeatAct::Ready);
            }
            _ => {
                let _nobody_asks = done.try_send(());
            }
        }
    }
    person
}

/// The day.
pub fn day(kind: Log, see: impl FnMut(Seen)) {
    model::reset();
    let disk = FaultyDisk::new(1);
    let world = Arc::new(World::default());
    let (sender, offers) = mpsc::sync_channel(64);
    let sink = Sink { world: world.clone(), offers: sender };
    let watched = world.clone();
    let (cell, _) = Cell::start_wrapped(config(), disk.clone(), Box::new(sink), move |log| {
        Box::new(Watched { log: Box::new(log), world: watched, kind, early: VecDeque::new(), late: VecDeque::new(), proposed: 0 })
    })
    .expect("the cell starts");
    open_up(&cell);

    let person = |tenant, number| Person::new(&cell, &world, tenant, number);
    let (done, seen_all) = mpsc::sync_channel(1);
    let agent = {
        let person = person(TENANTS[0], 1);
        thread::spawn(move || agent(person, offers, done))
    };
    // One waits for every answer and leaves, perhaps while an offer is out; one does not wait and stays.
    let leaves = {
        let mut person = person(TENANTS[0], 2);
        thread::spawn(move || {
            person.customer(10, BEGIN, true);
            person.customer(10, InboundAct::Message { body: b"is anybody there?" }, false);
            person.customer(10, InboundAct::Leave, true);
            person
        })
    };
    let stays = {
        let mut person = person(TENANTS[0], 3);
        thread::spawn(move || {
            for conversation in [20, 21, 22] {
                person.customer(conversation, BEGIN, false);
            }
            person.customer(20, InboundAct::Message { body: b"I wait" }, true);
            person
        })
    };
    // The other tenant's customers never wait but once, and are at it again when the cell is drained.
    let (closing, soon) = mpsc::sync_channel(1);
    let late = {
        let mut person = person(TENANTS[1], 4);
        thread::spawn(move || {
            for i in 0..9 {
                if i == 4 {
                    let _drains = soon.recv();
                }
                person.customer(30 + i % 2, InboundAct::Message { body: b"hello" }, i == 2);
            }
            person
        })
    };
    let questions = {
        let cell = cell.clone();
        thread::spawn(move || {
            for tenant in TENANTS {
                match cell.query_wait(tenant, tidegate_core::Tenant::check) {
                    Ok(sound) => assert_eq!(sound, Ok(())),
                    Err(error) => assert!(matches!(error, PortError::Busy { .. }), "{error:?}"),
                }
            }
            cell.request_snapshot();
        })
    };
    // In half of the days another leads from some moment on: nothing of the old term comes out after that.
    let newer = thread_rng().gen_bool(0.5).then(|| {
        let (cell, world) = (cell.clone(), world.clone());
        thread::spawn(move || {
            for _ in 0..thread_rng().gen_range(0..40) {
                thread::yield_now();
            }
            world.raising.store(true, Ordering::SeqCst);
            cell.fence().raise(cell.term().0 + 1);
            world.raised.store(true, Ordering::SeqCst);
        })
    });
    let clock = thread::spawn(|| {
        for _ in 0..4 {
            model::pass(Duration::from_secs(1));
            thread::yield_now();
        }
    });

    let mut people = vec![leaves.join().expect("he ends well"), stays.join().expect("he ends well")];
    questions.join().expect("the questioner ends well");
    clock.join().expect("the clock ends well");
    match newer {
        Some(newer) => newer.join().expect("the raiser ends well"),
        None => seen_all.recv().expect("three contacts wait for two seats"),
    }
    // What the agent has left to run out does so now, on both sides of the drain.
    model::pass(Duration::from_secs(8));
    let settled = TENANTS.map(|tenant| settled(&cell, tenant));
    closing.send(()).expect("they wait for it");
    let drained = cell.drain().expect("a clean drain");
    people.push(late.join().expect("he ends well"));
    people.push(agent.join().expect("the agent ends well"));

    let status = cell.status();
    assert_eq!((status.intake, status.broken.as_deref(), status.sink_panics), (Intake::Closed, None, 0));
    assert_eq!((drained.last, drained.snapshot), (status.applied, status.applied), "drained, decided and in a snapshot");
    let decisions = TENANTS.map(|tenant| cell.decisions(tenant));
    let told = people.into_iter().flat_map(|person| person.told).collect();
    judge(&disk, &world, told, settled, &decisions, see);
}

/// A tenant's digest, and how far the cell was: between two readings of it that agree.
fn settled(cell: &CellHandle, tenant: TenantId) -> (u64, u64) {
    loop {
        let before = cell.status().applied;
        let digest = cell.query_wait(tenant, |tenant| tenant.full_digest()).expect("the tenant is there");
        if cell.status().applied == before {
            return (digest, before.0);
        }
    }
}
