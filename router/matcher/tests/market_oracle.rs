//! The market against the naive oracle: every decision, every term, every runner-up, over random lives.
//!
//! Default: 120,000 operations; `TIDEGATE_NIGHTLY=1`: 1,200,000. `TIDEGATE_SEED=n` replays the life of one seed. Also here:
//! a restored market continues like the one that was saved, and fifteen planted faults are each seen.

mod market_kit;

use market_kit::Rng;
use market_kit::driver::{Bug, Driver, Regime, Stats};
use market_kit::oracle::{Oracle, Ticket};
use std::collections::BTreeSet;
use tidegate_matcher::market::{Exclusions, LaneSpec, Market, MarketLimits, SeatSlot, TicketSpec, WALK_MAX};
use tidegate_model::{ContactId, Millis, QueueName, SeatId, Timestamp};

const MIXED: Regime =
    Regime { steps: 2_000, tickets: 60, seats: 25, declines: 30, lanes: 30, specs: 48, profiles: 12, excluding: 20 };
/// Every seat another profile, few declines.
const UNIQUE: Regime =
    Regime { steps: 2_000, tickets: 40, seats: 40, declines: 10, lanes: 48, specs: 48, profiles: 100_000, excluding: 5 };
/// One profile, many declines: long lines on both sides, tickets that everybody declined.
const REFUSED: Regime =
    Regime { steps: 2_000, tickets: 50, seats: 30, declines: 80, lanes: 12, specs: 24, profiles: 2, excluding: 60 };
/// Lanes of hundreds of tickets whose heads exclude whoever asks: long walks.
const LONG: Regime =
    Regime { steps: 4_000, tickets: 1_500, seats: 3, declines: 85, lanes: 4, specs: 4, profiles: 1, excluding: 95 };

fn nightly() -> bool {
    std::env::var_os("TIDEGATE_NIGHTLY").is_some_and(|v| v == "1")
}

fn run(seed: u64, regime: Regime, bug: Option<Bug>, restores: BTreeSet<u32>) -> Result<Stats, String> {
    Driver::new(seed, regime, bug, restores).run()
}

#[test]
fn market_decides_like_the_oracle() {
    let only = std::env::var("TIDEGATE_SEED").ok().map(|s| s.parse::<u64>().expect("TIDEGATE_SEED is a number"));
    let rounds = if nightly() { 120 } else { 12 };
    let mut total = Stats::default();
    for seed in only.map_or(0..rounds, |seed| seed..seed + 1) {
        for (n, regime) in [MIXED, UNIQUE, REFUSED, LONG].into_iter().enumerate() {
            let stats = run(seed * 4 + n as u64, regime, None, BTreeSet::new())
                .unwrap_or_else(|difference| panic!("TIDEGATE_SEED={seed}, regime {n}: {difference}"));
            assert_eq!(stats.market_hash, stats.oracle_hash);
            total.operations += stats.operations;
            total.decisions += stats.decisions;
            total.work_max = total.work_max.max(stats.work_max);
            total.exceptional += stats.exceptional;
            total.overdue += stats.overdue;
            total.reserved += stats.reserved;
            total.lanes_refused += stats.lanes_refused;
        }
    }
    println!("{total:?}");
    if only.is_none() {
        assert!(total.operations >= if nightly() { 1_000_000 } else { 100_000 });
        // The lives reached what they are for.
        for reached in [total.exceptional, total.overdue, total.reserved, total.lanes_refused] {
            assert!(reached > 0, "the operations did not reach everything: {total:?}");
        }
        // A bound on the work of one decision: 48 lanes of two kinds, a private list of as many, walks of 256 in three.
        assert!(total.work_max <= 1 + 3 * 48 + 48 * 2 * 256);
    }
}

/// `refused` tickets that exclude the seat stand before two that do not, beside a lane of one ticket that came last.
#[test]
fn walk_past_exclusions_is_bounded() {
    for refused in [0, 1, WALK_MAX - 1, WALK_MAX, WALK_MAX + 1, 10 * WALK_MAX] {
        let specs = vec![LaneSpec::new(QueueName(1), vec![]), LaneSpec::new(QueueName(2), vec![])];
        let mut market = Market::new(MarketLimits { tickets: 5_000, seats: 1, lanes: 2, classes: 1 });
        let mut oracle = Oracle::new(specs.clone());
        let lanes = [0, 1].map(|n| market.lane(&specs[n]).expect("two lanes"));
        market.seat_insert(SeatId(7), &[], 1, 0);
        oracle.seat_insert(SeatId(7), vec![], 1, 0);
        market.seat_open(SeatSlot(0), Timestamp(0));
        oracle.seat_open(0, 0);
        let mut excluded = Exclusions::NONE;
        excluded.push(SeatId(7));
        for n in 0..refused + 3 {
            let (contact, lane) = (ContactId(u64::from(n) + 1), usize::from(n == refused + 2));
            let (arrived, excluded) = (u64::from(n), if n < refused { excluded } else { Exclusions::NONE });
            let set = excluded.as_slice().iter().copied().collect();
            let head_start = Millis(0);
            let lane_id = lanes[lane];
            market.ticket_insert(TicketSpec {
                contact,
                lane: lane_id,
                arrived: Timestamp(arrived),
                head_start,
                excluded,
                reserved: None,
            });
            oracle.ticket_insert(Ticket { contact, lane, arrived, head_start: 0, excluded: set, reserved: None, held: false });
        }
        let got = market.select_contact(SeatSlot(0), Timestamp(9_000));
        assert_eq!(got.choice, oracle.select_contact(0, 9_000), "{refused} refused");
        let choice = got.choice.expect("the second lane has a ticket at least");
        assert_eq!(choice.passed.excluded, refused.min(WALK_MAX));
        // At the bound the lane gives nothing, one below it does.
        assert_eq!(choice.contact, ContactId(u64::from(refused) + if refused < WALK_MAX { 1 } else { 3 }));
        assert!(got.work <= 3 + WALK_MAX);
    }
}

/// A reservation is for a seat, not for its slot: whoever signs in into the slot later has no claim to the ticket.
#[test]
fn reservation_ends_with_its_seat() {
    let mut market = Market::new(MarketLimits { tickets: 2, seats: 2, lanes: 1, classes: 1 });
    let lane = market.lane(&LaneSpec::new(QueueName(1), vec![])).expect("a lane");
    let other = market.seat_insert(SeatId(1), &[], 1, 0);
    market.seat_open(other, Timestamp(0));
    let preferred = market.seat_insert(SeatId(2), &[], 1, 0);
    let (arrived, head_start, excluded) = (Timestamp(5), Millis(0), Exclusions::NONE);
    let spec = |contact, reserved| TicketSpec { contact: ContactId(contact), lane, arrived, head_start, excluded, reserved };
    let (held, waiting) = (market.ticket_insert(spec(1, Some(preferred))), market.ticket_insert(spec(2, Some(preferred))));
    market.ticket_hold(held);
    assert_eq!(market.select_contact(other, Timestamp(9)).choice, None);
    market.seat_remove(preferred);
    assert_eq!(market.seat_insert(SeatId(3), &[], 1, 0), preferred, "the slot is given again");
    market.ticket_return(held);
    for ticket in [held, waiting] {
        assert_eq!(market.ticket_reserved(ticket), None);
        assert_eq!(market.select_agent(ticket, Timestamp(9)).choice.map(|c| c.seat_id), Some(SeatId(1)));
    }
}

#[test]
fn restored_market_continues_alike() {
    let rounds = if nightly() { 60 } else { 6 };
    for seed in 0..rounds {
        let mut rng = Rng(seed ^ 0x5eed);
        for regime in [MIXED, UNIQUE, REFUSED] {
            let straight = run(seed, regime, None, BTreeSet::new()).expect("equal to the oracle");
            let restores = (0..6).map(|_| rng.below(u64::from(regime.steps)) as u32).collect();
            let restored = run(seed, regime, None, restores).expect("equal to the oracle after a restore");
            assert_eq!(straight, restored, "seed {seed}");
        }
    }
}

#[test]
fn planted_faults_are_seen() {
    let bugs = [
        Bug::ReturnAtTail,
        Bug::KeptAtTail,
        Bug::ExclusionForgotten,
        Bug::HeadStartIgnored,
        Bug::ReservationIgnored,
        Bug::LevelIgnored,
        Bug::WeightIgnored,
        Bug::MoveIgnored,
        Bug::RuleIgnored,
        Bug::ShutIgnored,
        Bug::OverdueIgnored,
        Bug::SecondWins,
        Bug::TermOff,
        Bug::RunnerUpLost,
        Bug::ClockAhead,
    ];
    assert!(run(1, MIXED, None, BTreeSet::new()).is_ok(), "the control run, without a fault");
    for bug in bugs {
        // A fault may also trip an assertion of the market: that counts as seen, a quiet run does not.
        let seen = std::panic::catch_unwind(|| run(1, MIXED, Some(bug), BTreeSet::new()).is_err()).unwrap_or(true);
        assert!(seen, "{bug:?} went unseen");
    }
}
