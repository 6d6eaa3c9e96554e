//! Log time in the live cell: jumps of the wall clock, freezes, restarts; no negative wait, no lost deadline, no early one.
//!
//! Sources: K8 of the cell's review, DESIGN §6 (clocks). The clock is the test's own; deadlines fire by ticks that the cell
//! proposes itself.

use crate::support::{Hand, TENANT, bootstrap, config, log_of};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tidegate_journal::FaultyDisk;
use tidegate_model::codec;
use tidegate_model::input::{ContactRequest, FirstOwner, Inbound, InboundAct, Input, SeatAct, SeatInput};
use tidegate_model::name::QueueName;
use tidegate_model::output::{Output, Rescind, SeatNotice};
use tidegate_model::{AccountId, CommandId, ConversationId, CustomerId, EventId, Millis, SeatId, TenantId, Timestamp};
use tidegate_router::cell::{Cell, CellHandle, CellSink, NoSink};
use tidegate_router::log_time::ClockMode;

struct Notices(SyncSender<SeatNotice>);

impl CellSink for Notices {
    fn outputs(&mut self, _: TenantId, outputs: &[Output]) {
        for output in outputs {
            if let Output::Seat { notice, .. } = output {
                self.0.try_send(*notice).expect("the test reads on");
            }
        }
    }
}

fn seat(cell: &CellHandle, n: u128, act: SeatAct<'_>) {
    cell.submit(TENANT, &Input::Seat(SeatInput { seat: SeatId(1), command: CommandId(n), act })).wait().unwrap();
}

fn begin(cell: &CellHandle, n: u128) {
    let request = ContactRequest { queue: QueueName::of("support"), ..ContactRequest::default() };
    let act = InboundAct::Begin { with: FirstOwner::Queue, request };
    let (conversation, event) = (ConversationId(n << 64), EventId(n));
    let inbound = Inbound { account: AccountId(1), conversation, event, customer: CustomerId(0), known_n: 0, act };
    cell.submit(TENANT, &Input::Inbound(inbound)).wait().unwrap();
}

fn offered(notices: &Receiver<SeatNotice>) -> (Timestamp, Timestamp) {
    loop {
        if let SeatNotice::Offered { waiting_since, deadline, .. } = notices.recv().expect("an offer comes") {
            return (waiting_since, deadline);
        }
    }
}

/// Moves the clock in small steps until the offer is withdrawn; gives the log time that had passed.
fn until_expired(hand: &Hand, cell: &CellHandle, notices: &Receiver<SeatNotice>, most_ms: u64) -> Option<Millis> {
    let from = cell.log_time();
    for _ in 0..most_ms / 50 {
        hand.pass_ms(50);
        // Any query wakes nobody; an input of another seat lets time pass, as on a busy floor.
        seat(cell, u128::from(cell.log_time().0) << 32, SeatAct::LinkUp);
        for notice in notices.try_iter() {
            if let SeatNotice::Rescinded { why: Rescind::Expired, .. } = notice {
                return Some(cell.log_time().since(from));
            }
        }
    }
    None
}

#[test]
fn jumps_of_the_wall_clock_neither_lose_nor_hasten_a_deadline() {
    for jump in [3_600_000_i64, -3_600_000] {
        let hand = Arc::new(Hand::default());
        hand.wall_ms.store(10_000_000, std::sync::atomic::Ordering::SeqCst);
        let (sender, notices) = sync_channel(1 << 16);
        let disk = FaultyDisk::new(1);
        let (cell, _) = Cell::start(config(&hand), disk.clone(), Box::new(Notices(sender))).unwrap();
        bootstrap(&cell, TENANT);
        seat(&cell, 1, SeatAct::SignIn);
        seat(&cell, 2, SeatAct::Ready);
        begin(&cell, 1);
        let (since, deadline) = offered(&notices);
        assert!(since <= deadline && deadline.since(since) <= Millis(20_000));
        hand.wall_ms.store((10_000_000 + jump) as u64, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(cell.log_time().since(since), Millis(0), "the jump moved log time");
        let passed = until_expired(&hand, &cell, &notices, 30_000).expect("the deadline was lost");
        assert!((7_900..=8_200).contains(&passed.0), "jump {jump}: expired after {passed:?} of 8 s");
        drop(cell.drain());
        drop(cell);
        let times: Vec<Timestamp> = log_of(disk).iter().map(|entry| codec::decode(entry).unwrap().at).collect();
        assert!(times.is_sorted(), "log time went back");
        assert!(times.last().unwrap().since(times[0]) < Millis(60_000));
    }
}

#[test]
fn a_tick_comes_by_itself_when_nobody_sends_anything() {
    // The real clock this time: nothing but the cell's own thread can wake the deadline.
    let (sender, notices) = sync_channel(1 << 16);
    let hand = Arc::new(Hand::default());
    let mut config = config(&hand);
    config.source = Arc::new(tidegate_router::log_time::SystemClock::new());
    config.clock = ClockMode::Scaled { start: Timestamp(1_000), speed: 200 };
    let (cell, _) = Cell::start(config, FaultyDisk::new(1), Box::new(Notices(sender))).unwrap();
    bootstrap(&cell, TENANT);
    seat(&cell, 1, SeatAct::SignIn);
    seat(&cell, 2, SeatAct::Ready);
    begin(&cell, 1);
    offered(&notices);
    loop {
        // Blocks for good if no tick ever comes.
        if let SeatNotice::Rescinded { why: Rescind::Expired, .. } = notices.recv().unwrap() {
            break;
        }
    }
    cell.drain().unwrap();
}

#[test]
fn a_restart_lengthens_open_deadlines_by_the_gap_and_a_clock_behind_the_log_moves_nothing() {
    for (wall_after, gap) in [(10_000_000 + 900_000, 900_000_u64), (10_000_000 - 3_600_000, 0)] {
        let hand = Arc::new(Hand::default());
        hand.wall_ms.store(10_000_000, std::sync::atomic::Ordering::SeqCst);
        let disk = FaultyDisk::new(2);
        let (sender, notices) = sync_channel(1 << 16);
        let (cell, _) = Cell::start(config(&hand), disk.clone(), Box::new(Notices(sender))).unwrap();
        bootstrap(&cell, TENANT);
        seat(&cell, 1, SeatAct::SignIn);
        seat(&cell, 2, SeatAct::Ready);
        begin(&cell, 1);
        let (_, deadline) = offered(&notices);
        drop(cell.drain());
        drop(cell);
        disk.power_cut(1);
        hand.wall_ms.store(wall_after, std::sync::atomic::Ordering::SeqCst);
        let (cell, report) = Cell::start(config(&hand), disk, Box::new(NoSink)).unwrap();
        assert_eq!((report.gap, report.term.0), (Millis(gap), 2));
        let now = cell.log_time();
        let snapshot = cell.query_wait(TENANT, |tenant| tenant.seat_snapshot(SeatId(1))).unwrap().unwrap();
        assert_eq!(snapshot.offers.len(), 1, "the offer expired over the gap");
        assert_eq!(snapshot.offers[0].deadline, deadline + Millis(gap));
        assert!(snapshot.offers[0].waiting_since <= now, "a negative wait");
        cell.drain().unwrap();
    }
}
