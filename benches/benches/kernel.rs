//! The simulator's kernel and the floor: customers a second of CPU, beside a hand-written loop and a calendar queue, in one run.
//!
//! Part 1, one model four times (M/M/s+M with s = 100 and 1,000, load 1, patience twice the handle time, start empty): a loop
//! written for it by hand (its own 4-ary heap, raw MRG32k3a, libm), the kernel ([`Agenda`], [`Stream`], [`Sampler`]), the kernel's
//! [`Calendar`] with its slab, and a calendar queue (Brown 1988) in the agenda's place. All draw the same numbers, so all must give
//! the same counts before a speed is printed. Part 2: the real `Distributor` with full statistics (tallies, histograms, areas,
//! series) on one skill group and on an N-model. `TIDEGATE_BENCH_DAY=1` adds a day of 100 million contacts and its memory.
//!
//! `cargo bench -p tidegate-benches --bench kernel`. Exit code 1 when counts differ or the kernel is below 80 % of the loop.

use std::collections::VecDeque;
use tidegate_benches::{as_the_binary, cpu_ns, load};
use tidegate_model::Timestamp;
use tidegate_sim::floor::Setup;
use tidegate_sim::kernel::{Agenda, Calendar, Mrg32k3a, Purpose, Stream, Streams};
use tidegate_sim::scenario::{Spread, parse};
use tidegate_sim::workload::{Sampler, whole_ms};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 7;
const CUSTOMERS: u64 = 1_500_000;
/// Mean handle time: the unit of the models.
const UNIT_MS: f64 = 60_000.0;

// --- the model, for any list of events and any draws -------------------------------------------------------------------

trait List {
    fn schedule(&mut self, at: u64, kind: u8, place: u32);
    fn next_time(&mut self) -> u64;
    fn pop(&mut self) -> (u64, u8, u32);
}

trait Draws {
    fn gap(&mut self) -> f64;
    fn handle(&mut self) -> u64;
    fn patience(&mut self) -> u64;
}

const END: u8 = 0;
const PATIENCE: u8 = 1;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    served: u64,
    abandoned: u64,
    wait_ms: u64,
    waited: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    Waiting,
    Served,
    HungUp,
}

/// A customer who waits, or waited: the slot is free when his patience has surfaced and he is out of the line.
#[derive(Clone, Copy)]
struct Customer {
    arrived: u64,
    handle: u64,
    stands: Stands,
}

fn model(list: &mut impl List, draws: &mut impl Draws, servers: u32, customers: u64) -> Counted {
    let mut counted = Counted::default();
    let mut slots: Vec<Customer> = Vec::new();
    let mut free: Vec<u32> = Vec::new();
    let mut line: VecDeque<u32> = VecDeque::new();
    let (mut idle, mut came) = (servers, 0);
    let mut clock = draws.gap();
    loop {
        let arrival = if came < customers { clock as u64 } else { u64::MAX };
        let event = list.next_time();
        if event == u64::MAX && arrival == u64::MAX {
            return counted;
        }
        if event <= arrival {
            let (now, kind, place) = list.pop();
            if kind == PATIENCE {
                let customer = &mut slots[place as usize];
                if customer.stands == Stands::Waiting {
                    customer.stands = Stands::HungUp;
                    counted.abandoned += 1;
                    counted.wait_ms += now - customer.arrived;
                } else {
                    free.push(place);
                }
                continue;
            }
            counted.served += 1;
            idle += 1;
            while let Some(next) = line.pop_front() {
                let customer = &mut slots[next as usize];
                if customer.stands == Stands::Waiting {
                    customer.stands = Stands::Served;
                    counted.wait_ms += now - customer.arrived;
                    counted.waited += 1;
                    idle -= 1;
                    list.schedule(now + customer.handle, END, 0);
                    break;
                }
                free.push(next);
            }
            continue;
        }
        came += 1;
        clock += draws.gap();
        let (handle, patience) = (draws.handle(), draws.patience());
        if idle > 0 {
            idle -= 1;
            list.schedule(arrival + handle, END, 0);
            continue;
        }
        let customer = Customer { arrived: arrival, handle, stands: Stands::Waiting };
        let place = match free.pop() {
            Some(place) => {
                slots[place as usize] = customer;
                place
            }
            None => {
                slots.push(customer);
                (slots.len() - 1) as u32
            }
        };
        line.push_back(place);
        list.schedule(arrival + patience, PATIENCE, place);
    }
}

// --- lists -------------------------------------------------------------------------------------------------------------

/// What one would write for this model alone: a 4-ary heap of (time, sequence and event) with plain sifting.
#[derive(Default)]
struct HandHeap {
    keys: Vec<(u64, u64)>,
    next: u64,
}

impl List for HandHeap {
    #[inline]
    fn schedule(&mut self, at: u64, kind: u8, place: u32) {
        let key = (at, self.next << 33 | u64::from(place) << 1 | u64::from(kind));
        self.next += 1;
        let mut hole = self.keys.len();
        self.keys.push(key);
        while hole > 0 {
            let parent = (hole - 1) / 4;
            if self.keys[parent] < key {
                break;
            }
            self.keys[hole] = self.keys[parent];
            hole = parent;
        }
        self.keys[hole] = key;
    }

    #[inline]
    fn next_time(&mut self) -> u64 {
        self.keys.first().map_or(u64::MAX, |key| key.0)
    }

    #[inline]
    fn pop(&mut self) -> (u64, u8, u32) {
        let top = self.keys[0];
        let last = self.keys.pop().unwrap_or(top);
        let len = self.keys.len();
        if len > 0 {
            let mut hole = 0;
            loop {
                let first = 4 * hole + 1;
                if first >= len {
                    break;
                }
                let end = (first + 4).min(len);
                let mut least = first;
                for child in first + 1..end {
                    if self.keys[child] < self.keys[least] {
                        least = child;
                    }
                }
                if last < self.keys[least] {
                    break;
                }
                self.keys[hole] = self.keys[least];
                hole = least;
            }
            self.keys[hole] = last;
        }
        (top.0, (top.1 & 1) as u8, (top.1 >> 1) as u32)
    }
}

impl List for Agenda {
    #[inline]
    fn schedule(&mut self, at: u64, kind: u8, place: u32) {
        Agenda::schedule(self, Timestamp(at), kind, place);
    }
    #[inline]
    fn next_time(&mut self) -> u64 {
        Agenda::next_time(self).map_or(u64::MAX, |at| at.0)
    }
    #[inline]
    fn pop(&mut self) -> (u64, u8, u32) {
        Agenda::pop(self).map_or((u64::MAX, 0, 0), |entry| (entry.at.0, entry.kind, entry.place))
    }
}

impl List for Calendar<(u8, u32)> {
    fn schedule(&mut self, at: u64, kind: u8, place: u32) {
        Calendar::schedule(self, Timestamp(at), (kind, place));
    }
    fn next_time(&mut self) -> u64 {
        self.peek_time().map_or(u64::MAX, |at| at.0)
    }
    fn pop(&mut self) -> (u64, u8, u32) {
        Calendar::pop(self).map_or((u64::MAX, 0, 0), |due| (due.at.0, due.event.0, due.event.1))
    }
}

/// Brown's calendar queue: days of equal width in a year of a power of two, each day sorted, the width from the spread of the
/// next events whenever the number of days changes.
struct CalendarQueue {
    days: Vec<Vec<(u64, u64)>>,
    width: u64,
    len: usize,
    next: u64,
    /// The day in which the search goes on, and the end of that day in this year.
    day: usize,
    until: u64,
    last: u64,
    found: Option<usize>,
}

impl CalendarQueue {
    fn new() -> Self {
        Self { days: vec![Vec::new(); 2], width: 1_000, len: 0, next: 0, day: 0, until: 1_000, last: 0, found: None }
    }

    fn insert(&mut self, key: (u64, u64)) {
        let day = (key.0 / self.width) as usize & (self.days.len() - 1);
        let at = self.days[day].partition_point(|other| *other > key);
        self.days[day].insert(at, key);
        if key.0 < self.until.saturating_sub(self.width) {
            self.turn_to(key.0);
        }
    }

    fn turn_to(&mut self, at: u64) {
        self.day = (at / self.width) as usize & (self.days.len() - 1);
        self.until = (at / self.width + 1) * self.width;
    }

    fn resize(&mut self, days: usize) {
        let mut keys: Vec<(u64, u64)> = self.days.iter_mut().flat_map(std::mem::take).collect();
        keys.sort_unstable();
        // Three times the mean gap among the next 25, as Brown advises.
        let near = &keys[..keys.len().min(25)];
        let gap = near.last().map_or(1, |last| (last.0 - near[0].0) / near.len().max(2) as u64);
        self.width = (3 * gap).max(1);
        self.days = vec![Vec::new(); days];
        self.turn_to(self.last);
        keys.into_iter().for_each(|key| self.insert(key));
    }

    fn find(&mut self) -> Option<usize> {
        if self.found.is_some() || self.len == 0 {
            return self.found;
        }
        for _ in 0..self.days.len() {
            if self.days[self.day].last().is_some_and(|key| key.0 < self.until) {
                self.found = Some(self.day);
                return self.found;
            }
            self.day = (self.day + 1) & (self.days.len() - 1);
            self.until += self.width;
        }
        let least = self.days.iter().filter_map(|day| day.last()).min().map_or(0, |key| key.0);
        self.turn_to(least);
        self.found = Some(self.day);
        self.found
    }
}

impl List for CalendarQueue {
    fn schedule(&mut self, at: u64, kind: u8, place: u32) {
        let key = (at, self.next << 33 | u64::from(place) << 1 | u64::from(kind));
        self.next += 1;
        self.len += 1;
        self.found = None;
        self.insert(key);
        if self.len > 2 * self.days.len() {
            self.resize(2 * self.days.len());
        }
    }
    fn next_time(&mut self) -> u64 {
        self.find().and_then(|day| self.days[day].last()).map_or(u64::MAX, |key| key.0)
    }
    fn pop(&mut self) -> (u64, u8, u32) {
        let Some(key) = self.find().and_then(|day| self.days[day].pop()) else { return (u64::MAX, 0, 0) };
        self.found = None;
        self.len -= 1;
        self.last = key.0;
        if self.days.len() > 2 && self.len < self.days.len() / 2 {
            self.resize(self.days.len() / 2);
        }
        (key.0, (key.1 & 1) as u8, (key.1 >> 1) as u32)
    }
}

// --- draws -------------------------------------------------------------------------------------------------------------

/// Raw generators and inversion in place.
struct HandDraws {
    streams: [Mrg32k3a; 3],
    gap_ms: f64,
}

impl Draws for HandDraws {
    #[inline]
    fn gap(&mut self) -> f64 {
        self.gap_ms * -libm::log(self.streams[0].next_u01())
    }
    #[inline]
    fn handle(&mut self) -> u64 {
        (UNIT_MS * -libm::log(self.streams[1].next_u01()) + 0.5) as u64
    }
    #[inline]
    fn patience(&mut self) -> u64 {
        (2.0 * UNIT_MS * -libm::log(self.streams[2].next_u01()) + 0.5) as u64
    }
}

/// The kernel's.
struct KernelDraws {
    streams: [Stream; 3],
    gap: Sampler,
    handle: Sampler,
    patience: Sampler,
}

impl Draws for KernelDraws {
    #[inline]
    fn gap(&mut self) -> f64 {
        self.gap.sample(&mut self.streams[0])
    }
    #[inline]
    fn handle(&mut self) -> u64 {
        whole_ms(self.handle.sample(&mut self.streams[1]))
    }
    #[inline]
    fn patience(&mut self) -> u64 {
        whole_ms(self.patience.sample(&mut self.streams[2]))
    }
}

fn generators() -> [Mrg32k3a; 3] {
    let streams = Streams::seeded(1);
    [Purpose::Arrivals, Purpose::Handle, Purpose::Patience].map(|purpose| streams.for_(purpose, 0))
}

fn hand_draws(servers: u32) -> HandDraws {
    HandDraws { streams: generators(), gap_ms: UNIT_MS / f64::from(servers) }
}

fn kernel_draws(servers: u32) -> KernelDraws {
    let sampler = |mean_ms: f64| Sampler::new(&Spread::exponential_seconds(mean_ms / 1_000.0)).expect("a mean above 0");
    KernelDraws {
        streams: generators().map(|generator| Stream::new(generator, false)),
        gap: sampler(UNIT_MS / f64::from(servers)),
        handle: sampler(UNIT_MS),
        patience: sampler(2.0 * UNIT_MS),
    }
}

// --- the floor ---------------------------------------------------------------------------------------------------------

fn floor(queues: &str, demands: &str) -> Setup {
    let policy = format!(
        "name = \"bench\"\ndefault_queue = \"a\"\ndefault_class = \"all\"\nskills = [\"a\", \"b\"]\n[[class]]\nname = \"all\"\n{queues}"
    );
    let text = format!("name = \"bench\"\npolicy_text = '''\n{policy}'''\n{demands}");
    let scenario = parse("bench", &text).unwrap_or_else(|errors| panic!("{errors}"));
    Setup::new(scenario, "bench", &text, "policy", &policy).unwrap_or_else(|error| panic!("{error}"))
}

fn queue(name: &str, weight: &str) -> String {
    format!(
        "[[queue]]\nname = \"{name}\"\nweight = \"{weight}\"\n  [[queue.step]]\n  name = \"own\"\n  requires = {{ {name} = 1 }}\n"
    )
}

fn demand(name: &str, per_minute: u32) -> String {
    format!(
        "[[demand]]\nname = \"{name}\"\narrivals = {{ rate = \"{per_minute}/min\" }}\n\
         handle = {{ kind = \"exponential\", mean = \"1min\" }}\npatience = {{ kind = \"exponential\", mean = \"2min\" }}\n"
    )
}

fn one_group(servers: u32) -> Setup {
    let hours = CUSTOMERS as f64 / f64::from(servers) / 60.0;
    let group = format!("[[group]]\nname = \"g\"\nskills = {{ a = 1 }}\nstaffing = {{ agents = {servers} }}\n");
    floor(&queue("a", "0s"), &format!("length = \"{hours}h\"\ngrid = \"1h\"\n{}{group}", demand("a", servers)))
}

/// The N-model of the reference's full size: 60 and 50 a minute, pools of 40 and 70.
fn n_model() -> Setup {
    let hours = CUSTOMERS as f64 / 110.0 / 60.0;
    let demands = demand("a", 60) + &demand("b", 50);
    let groups = "[[group]]\nname = \"one\"\nskills = { a = 1 }\nstaffing = { agents = 40 }\n\
                  [[group]]\nname = \"two\"\nskills = { a = 1, b = 1 }\ncost = \"24h\"\nstaffing = { agents = 70 }\n";
    floor(&(queue("a", "0s") + &queue("b", "7d")), &format!("length = \"{hours}h\"\ngrid = \"1h\"\n{demands}{groups}"))
}

// --- the run -----------------------------------------------------------------------------------------------------------

/// Best CPU time of the rounds, and what was counted (equal in all).
fn timed<T: PartialEq + std::fmt::Debug>(mut run: impl FnMut() -> T) -> (u64, T) {
    let mut once = || {
        let from = cpu_ns();
        let counted = run();
        (cpu_ns() - from, counted)
    };
    let (mut best, counted) = once();
    for _ in 1..ROUNDS {
        let (cpu, again) = once();
        assert_eq!(again, counted, "a run gave other counts");
        best = best.min(cpu);
    }
    (best, counted)
}

fn show(what: &str, customers: u64, cpu: u64, loop_cpu: Option<u64>) {
    let rate = customers as f64 * 1e3 / cpu as f64;
    let share = loop_cpu.map_or(String::new(), |loop_cpu| format!("  {:>4.0} % of the loop", 100.0 * loop_cpu as f64 / cpu as f64));
    println!("  {what:44} {rate:>6.2} M customers/s of CPU{share}");
}

fn main() {
    as_the_binary();
    println!("kernel, one thread, best of {ROUNDS} rounds of {CUSTOMERS} customers; load average {}", load());
    let mut fine = true;
    for servers in [100, 1_000] {
        println!("M/M/{servers}+M, load 1, patience twice the handle time, from empty");
        let (hand, counted) = timed(|| model(&mut HandHeap::default(), &mut hand_draws(servers), servers, CUSTOMERS));
        let (kernel, same) = timed(|| model(&mut Agenda::new(), &mut kernel_draws(servers), servers, CUSTOMERS));
        let (slab, third) = timed(|| model(&mut Calendar::new(Timestamp(0)), &mut kernel_draws(servers), servers, CUSTOMERS));
        let (days, fourth) = timed(|| model(&mut CalendarQueue::new(), &mut kernel_draws(servers), servers, CUSTOMERS));
        let equal = [same, third, fourth] == [counted; 3];
        println!("  {counted:?}{}", if equal { "" } else { ": NOT THE SAME IN ALL" });
        show("hand-written loop", CUSTOMERS, hand, None);
        show("kernel: agenda, streams, samplers", CUSTOMERS, kernel, Some(hand));
        show("kernel: calendar with its slab", CUSTOMERS, slab, Some(hand));
        show("calendar queue", CUSTOMERS, days, Some(hand));
        fine &= equal && kernel as f64 <= hand as f64 / 0.8;
    }
    println!("the real distributor, full statistics");
    let floors =
        [("one group of 100", one_group(100)), ("one group of 1,000", one_group(1_000)), ("N-model, 40 and 70", n_model())];
    for (name, setup) in floors {
        let mut tallies = setup.tallies();
        let (cpu, run) = timed(|| setup.replicate(1, 0, false, &mut tallies));
        let contacts = run.demands.iter().map(|demand| demand.counts.contacts).sum();
        show(name, contacts, cpu, None);
    }
    if std::env::var_os("TIDEGATE_BENCH_DAY").is_some() {
        day();
    }
    if !fine {
        std::process::exit(1);
    }
}

/// A day of a million contacts and one of a hundred million, on 120,000 agents: the memory of both.
fn day() {
    println!("a day of 24 h, handle time 100 s, 120,000 agents");
    for millions in [1_u64, 100] {
        let demands = format!(
            "[[demand]]\nname = \"a\"\narrivals = {{ rate = \"{}/d\" }}\nhandle = {{ kind = \"exponential\", mean = \"100s\" }}\n\
             patience = {{ kind = \"exponential\", mean = \"2min\" }}\n[[group]]\nname = \"g\"\nskills = {{ a = 1 }}\n\
             staffing = {{ agents = 120000 }}\n",
            millions * 1_000_000
        );
        let setup = floor(&queue("a", "0s"), &format!("length = \"24h\"\n{demands}"));
        let from = cpu_ns();
        let run = setup.replicate(1, 0, false, &mut setup.tallies());
        let contacts = run.demands[0].counts.contacts;
        show(&format!("{contacts} contacts, at most {} MiB resident so far", resident_mib()), contacts, cpu_ns() - from, None);
    }
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1_024
}
