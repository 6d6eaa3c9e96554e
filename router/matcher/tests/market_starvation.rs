//! Nobody starves, with the overdue tier; without it somebody does.
//!
//! DESIGN's premise put to the test: two classes of slopes 1 and 10, load 1.2, no abandonment, two virtual hours. In
//! overload the wait of the steep class grows by (load - 1) / load a unit of time; ten times that passes one, so a flat
//! contact falls behind for ever. With the tier, past T_max nobody who came later is served first, and the wait beyond
//! T_max is at most what first come, first served would have given.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use tidegate_matcher::market::{Choice, Exclusions, LaneSpec, Market, MarketLimits, Place, SeatSlot, TicketSlot, TicketSpec, Tier};
use tidegate_model::policy::ONE_Q16;
use tidegate_model::{ContactId, Millis, QueueName, SeatId, Timestamp};

const SEATS: u32 = 50;
const HANDLE_MS: f64 = 200_000.0;
const LOAD: f64 = 1.2;
const HORIZON_MS: u64 = 7_200_000;
const T_MAX_MS: u64 = 600_000;

struct Contact {
    arrived: u64,
    handle: u64,
    flat: bool,
    served: Option<u64>,
}

fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    ((*state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// Two hours of arrivals; one contact in fifty is flat.
fn contacts(seed: u64) -> Vec<Contact> {
    let mut state = seed;
    let gap = HANDLE_MS / f64::from(SEATS) / LOAD;
    let (mut at, mut all) = (0.0, Vec::new());
    loop {
        at -= uniform(&mut state).ln() * gap;
        if at as u64 >= HORIZON_MS {
            return all;
        }
        let handle = (-uniform(&mut state).ln() * HANDLE_MS) as u64 + 1;
        all.push(Contact { arrived: at as u64, handle, flat: uniform(&mut state) < 0.02, served: None });
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Ended(u32),
    Overdue(usize),
    Arrived(usize),
}

struct Desk {
    market: Market,
    contacts: Vec<Contact>,
    slots: Vec<Option<TicketSlot>>,
    events: BinaryHeap<Reverse<(u64, Event)>>,
}

impl Desk {
    fn commit(&mut self, choice: Choice, now: u64) {
        let n = choice.contact.0 as usize - 1;
        self.market.ticket_remove(choice.ticket);
        self.market.seat_take(choice.seat, 1, Timestamp(now));
        self.slots[n] = None;
        self.contacts[n].served = Some(now);
        self.events.push(Reverse((now + self.contacts[n].handle, Event::Ended(choice.seat.0))));
    }
}

/// Serves until the horizon; `tier` says whether contacts past T_max become overdue.
fn serve(contacts: Vec<Contact>, tier: bool) -> Vec<Contact> {
    let mut market = Market::new(MarketLimits { tickets: 1 << 16, seats: SEATS, lanes: 4, classes: 1 });
    for n in 0..SEATS {
        let seat = market.seat_insert(SeatId(u64::from(n) + 1), &[], 1, 0);
        market.seat_open(seat, Timestamp(0));
    }
    let mut lane = |slope_q16, tier| {
        let spec = LaneSpec { slope_q16, tier, ..LaneSpec::new(QueueName(1), vec![]) };
        market.lane(&spec).expect("three lanes fit")
    };
    let (steep, flat, overdue) = (lane(10 * ONE_Q16, Tier::Normal), lane(ONE_Q16, Tier::Normal), lane(ONE_Q16, Tier::Overdue));
    let slots = vec![None; contacts.len()];
    let mut events: BinaryHeap<_> = contacts.iter().enumerate().map(|(n, c)| Reverse((c.arrived, Event::Arrived(n)))).collect();
    if tier {
        events.extend(contacts.iter().enumerate().map(|(n, c)| Reverse((c.arrived + T_MAX_MS, Event::Overdue(n)))));
    }
    let mut desk = Desk { market, contacts, slots, events };
    while let Some(Reverse((now, event))) = desk.events.pop() {
        if now > HORIZON_MS {
            break;
        }
        let at = Timestamp(now);
        let selected = match event {
            Event::Arrived(n) => {
                let spec = TicketSpec {
                    contact: ContactId(n as u64 + 1),
                    lane: if desk.contacts[n].flat { flat } else { steep },
                    arrived: at,
                    head_start: Millis(0),
                    excluded: Exclusions::NONE,
                    reserved: None,
                };
                let ticket = desk.market.ticket_insert(spec);
                desk.slots[n] = Some(ticket);
                desk.market.select_agent(ticket, at)
            }
            Event::Ended(seat) => {
                desk.market.seat_give(SeatSlot(seat), 1, Place::Tail(at));
                desk.market.select_contact(SeatSlot(seat), at)
            }
            Event::Overdue(n) => {
                if let Some(ticket) = desk.slots[n] {
                    desk.market.ticket_move(ticket, overdue, None);
                }
                continue;
            }
        };
        if let Some(choice) = selected.choice {
            desk.commit(choice, now);
        }
    }
    desk.contacts
}

/// The longest wait of these contacts when the same seats serve first come, first served.
fn longest_fifo_wait(contacts: &[Contact]) -> u64 {
    let mut free_at: BinaryHeap<Reverse<u64>> = (0..SEATS).map(|_| Reverse(0)).collect();
    let mut longest = 0;
    for c in contacts {
        let Reverse(free) = free_at.pop().expect("seats");
        let start = free.max(c.arrived);
        longest = longest.max(start - c.arrived);
        free_at.push(Reverse(start + c.handle));
    }
    longest
}

/// Flat contacts that should have been served by T_max + `bound` within the horizon, and how many of them were not.
fn starved(contacts: &[Contact], bound: u64) -> (usize, usize) {
    let due: Vec<u64> = contacts.iter().filter(|c| c.flat).map(|c| c.arrived + T_MAX_MS + bound).collect();
    let of = due.iter().filter(|d| **d <= HORIZON_MS).count();
    let late = contacts
        .iter()
        .filter(|c| c.flat)
        .filter(|c| c.arrived + T_MAX_MS + bound <= HORIZON_MS)
        .filter(|c| c.served.is_none_or(|at| at > c.arrived + T_MAX_MS + bound))
        .count();
    (of, late)
}

#[test]
fn overdue_tier_serves_everybody_and_nothing_else_does() {
    let seeds = if std::env::var_os("TIDEGATE_NIGHTLY").is_some_and(|v| v == "1") { 1..101 } else { 1..6 };
    let (mut with, mut without) = ((0, 0), (0, 0));
    for seed in seeds {
        let bound = longest_fifo_wait(&contacts(seed));
        let served = serve(contacts(seed), true);
        let (of, late) = starved(&served, bound);
        assert_eq!(late, 0, "seed {seed}: {late} of {of} flat contacts past T_max + {bound} ms");
        with = (with.0 + of, with.1 + late);
        // Past T_max nobody who came later is served first.
        for (n, c) in served.iter().enumerate().filter(|(_, c)| c.flat) {
            let overdue = c.arrived + T_MAX_MS;
            let until = c.served.unwrap_or(HORIZON_MS);
            let overtaken = served[n + 1..].iter().filter(|o| o.served.is_some_and(|at| at > overdue && at < until)).count();
            assert_eq!(overtaken, 0, "seed {seed}, contact {}", n + 1);
        }
        let (of, late) = starved(&serve(contacts(seed), false), bound);
        without = (without.0 + of, without.1 + late);
    }
    println!("flat contacts late: with the tier {} of {}, without {} of {}", with.1, with.0, without.1, without.0);
    assert!(with.0 > 50, "the test looked at too few contacts");
    assert!(without.1 * 2 > without.0, "without the tier flat contacts starve, or this test proves nothing");
}
