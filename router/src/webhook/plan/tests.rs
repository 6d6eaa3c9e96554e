//! The plan against any receiver: order within a lane, nothing lost, nothing invented, bounds kept; then each rule by hand.
//!
//! Time is a number here, so that a day of retries takes no time.

use super::{Answer, Next, Pace, Pending, Plan, RETRY_AFTER_MAX_MS, Ticket, Verdict};
use crate::events::{Event, EventNo, Fact};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use tidegate_model::{ConversationId, SeatId, Seq, TenantId, Timestamp};

fn event(seq: u64, conversation: u128) -> Event {
    let fact = match conversation {
        0 => Fact::PresenceChanged { seat: SeatId(1), presence: tidegate_model::output::Presence::Ready },
        id => Fact::MessageFromCustomer { conversation: ConversationId(id), n: 1 },
    };
    Event { no: EventNo { seq: Seq(seq), index: 0 }, tenant: TenantId(1), at: Timestamp(seq), fact }
}

fn failed() -> Answer {
    Answer::Failed { why: "500".to_owned(), retry_after_ms: None }
}

fn send(plan: &mut Plan, now: u64) -> Option<(Event, Ticket)> {
    match plan.next(now) {
        Next::Send(attempt) => Some((attempt.event, attempt.ticket)),
        _ => None,
    }
}

const PACE: Pace =
    Pace { in_flight: 4, window: 32, span_ms: 60_000, base_ms: 1_000, cap_ms: 8_000, breaker_after: 5, letters_max: 3 };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Any receiver, restarts included: each event is delivered or a dead letter, in order within its conversation.
    #[test]
    fn every_event_is_delivered_in_order_or_a_dead_letter(
        conversations in prop::collection::vec(0_u128..6, 1..120),
        dice in prop::collection::vec(any::<u8>(), 400),
        seed in any::<u64>(),
    ) {
        let pace = Pace { letters_max: 1_000, ..PACE };
        let mut plan = Plan::new(pace, seed);
        let mut waiting: std::collections::VecDeque<Event> =
            conversations.iter().zip(1..).map(|(conversation, seq)| event(seq, *conversation)).collect();
        let all: BTreeSet<EventNo> = waiting.iter().map(|event| event.no).collect();
        let mut delivered: BTreeMap<u128, Vec<EventNo>> = BTreeMap::new();
        let mut under_way: Vec<(Event, Ticket)> = Vec::new();
        let (mut now, mut rolls) = (0, dice.iter().cycle());
        for step in 0..20_000 {
            while plan.room() > 0 && let Some(event) = waiting.pop_front() {
                plan.push(event);
            }
            prop_assert!(plan.load().0 <= pace.window && plan.load().1 <= pace.in_flight);
            // Hostile for the first part, then all is well.
            let roll = if step < 300 { *rolls.next().unwrap_or(&0) } else { 255 };
            match plan.next(now) {
                Next::Send(attempt) => {
                    let lane = attempt.event.fact.conversation();
                    prop_assert!(under_way.iter().all(|(other, _)| other.fact.conversation() != lane), "one at a time in a lane");
                    under_way.push((attempt.event, attempt.ticket));
                    if roll > 128 { continue; }
                }
                Next::Wait(until) => { prop_assert!(until > now); if under_way.is_empty() { now = until; } }
                Next::Idle => {}
            }
            if roll == 3 {
                // A kill: what the cursor says is all that is left.
                let (pending, letters, counts) = (plan.pending(), plan.letters(EventNo::START).cloned().collect(), plan.counts());
                plan = Plan::new(pace, seed ^ 1);
                plan.restore(pending, letters, counts);
                under_way.clear();
                continue;
            }
            if under_way.is_empty() {
                if waiting.is_empty() && plan.load() == (0, 0) { break; }
                continue;
            }
            let (event, ticket) = under_way.swap_remove(usize::from(roll) % under_way.len());
            now += u64::from(roll);
            let answer = if roll < 120 { failed() } else { Answer::Taken };
            let taken = answer == Answer::Taken;
            let verdict = plan.done(ticket, answer, now);
            prop_assert_eq!(verdict == Verdict::Delivered, taken);
            if taken {
                delivered.entry(event.fact.conversation().map_or(0, |c| c.0)).or_default().push(event.no);
            }
        }
        let dead: BTreeSet<EventNo> = plan.letters(EventNo::START).map(|letter| letter.event.no).collect();
        for sent in delivered.values() {
            prop_assert!(sent.windows(2).all(|pair| pair[0] < pair[1]), "{sent:?}");
        }
        let done: BTreeSet<EventNo> = delivered.values().flatten().copied().chain(dead.iter().copied()).collect();
        prop_assert_eq!(done, all);
    }
}

#[test]
fn a_failing_conversation_waits_and_others_go_on() {
    let mut plan = Plan::new(PACE, 1);
    for (seq, conversation) in [(1, 7), (2, 7), (3, 8), (4, 0)] {
        plan.push(event(seq, conversation));
    }
    let sent: Vec<_> = std::iter::from_fn(|| send(&mut plan, 0)).collect();
    assert_eq!(sent.iter().map(|(event, _)| event.no.seq.0).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!(plan.done(sent[0].1, failed(), 10), Verdict::Again);
    assert_eq!(plan.done(sent[1].1, Answer::Taken, 10), Verdict::Delivered);
    assert_eq!(plan.done(sent[2].1, Answer::Taken, 10), Verdict::Delivered);
    assert_eq!(plan.pending().iter().map(|p| (p.event.no.seq.0, p.attempts)).collect::<Vec<_>>(), [(1, 1), (2, 0)]);
    let Next::Wait(until) = plan.next(10) else { panic!("it waits") };
    assert!((10 + 100..=10 + 1_000).contains(&until), "{until}");
    assert_eq!(send(&mut plan, until).map(|(event, _)| event.no.seq.0), Some(1), "the same one again, not the next");
}

#[test]
fn after_the_span_an_event_is_a_dead_letter_and_its_conversation_goes_on() {
    let mut plan = Plan::new(PACE, 2);
    plan.push(event(1, 7));
    plan.push(event(2, 7));
    let (mut now, mut attempts) = (0, 0);
    loop {
        match plan.next(now) {
            Next::Send(attempt) => {
                attempts += 1;
                if plan.done(attempt.ticket, failed(), now) == Verdict::Dead {
                    break;
                }
            }
            Next::Wait(until) => now = until,
            Next::Idle => panic!("nothing to do at {now}"),
        }
    }
    assert!(now >= PACE.span_ms && attempts > 7, "{attempts} attempts in {now} ms");
    let letter = plan.letters(EventNo::START).next().expect("a letter").clone();
    assert_eq!((letter.event.no.seq.0, letter.attempts, letter.first_ms, letter.last_ms), (1, attempts, 0, now));
    plan.revive();
    let (next, ticket) = send(&mut plan, now).expect("the next");
    assert_eq!(next.no.seq.0, 2);
    plan.done(ticket, Answer::Taken, now);
    assert!(plan.resend(letter.event.no) && !plan.resend(letter.event.no), "sent again once");
    let (again, ticket) = send(&mut plan, now).expect("the letter");
    assert_eq!((again.no, plan.pending()[0].again), (letter.event.no, true));
    assert_eq!(plan.done(ticket, Answer::Taken, now), Verdict::Delivered);
    assert_eq!((plan.load(), plan.letters_len()), ((0, 0), 0));
}

#[test]
fn a_dead_receiver_is_tried_by_one_and_left_alone_longer_and_longer() {
    let mut plan = Plan::new(PACE, 3);
    for seq in 1..=20 {
        plan.push(event(seq, u128::from(seq)));
    }
    let (mut now, mut moments) = (0, Vec::new());
    while now < 50_000 {
        match plan.next(now) {
            Next::Send(attempt) => {
                moments.push(now);
                plan.done(attempt.ticket, failed(), now);
            }
            Next::Wait(until) => now = until,
            Next::Idle => panic!("nothing to do at {now}"),
        }
    }
    assert!(plan.is_broken());
    // Twenty conversations at 8 s each would be over a hundred; the receiver sees the breaker's own pace.
    assert!(moments.len() < 60, "{} attempts at a dead receiver in 50 s", moments.len());
    let (_, ticket) = loop {
        match plan.next(now) {
            Next::Send(attempt) => break (attempt.event, attempt.ticket),
            Next::Wait(until) => now = until,
            Next::Idle => panic!("nothing to do"),
        }
    };
    assert_eq!(plan.next(now), Next::Idle, "one probe at a time");
    plan.done(ticket, Answer::Taken, now);
    assert!(!plan.is_broken());
    assert_eq!(std::iter::from_fn(|| send(&mut plan, now)).count(), PACE.in_flight, "all at once again");
}

#[test]
fn what_the_receiver_asks_for_is_honoured_up_to_a_limit() {
    for (asked, until) in [(5_000, 5_000), (RETRY_AFTER_MAX_MS, RETRY_AFTER_MAX_MS), (u64::MAX, RETRY_AFTER_MAX_MS)] {
        let mut plan = Plan::new(PACE, 4);
        plan.push(event(1, 1));
        plan.push(event(2, 2));
        let (_, ticket) = send(&mut plan, 0).expect("sent");
        plan.done(ticket, Answer::Failed { why: "429".to_owned(), retry_after_ms: Some(asked) }, 0);
        assert_eq!(plan.next(0), Next::Wait(until), "the other conversation, too");
    }
}

#[test]
fn dead_letters_have_a_limit_and_the_event_behind_it_stays() {
    let pace = Pace { span_ms: 0, breaker_after: u32::MAX, ..PACE };
    let mut plan = Plan::new(pace, 5);
    for seq in 1..=PACE.letters_max as u64 * 10 {
        plan.push(event(seq, u128::from(seq)));
    }
    let verdicts: Vec<Verdict> = (0..=PACE.letters_max)
        .map(|_| {
            let (_, ticket) = send(&mut plan, 0).expect("sent");
            plan.done(ticket, failed(), 0)
        })
        .collect();
    assert_eq!(verdicts, [Verdict::Dead, Verdict::Dead, Verdict::Dead, Verdict::Full]);
    assert_eq!((plan.letters_len(), plan.load().0), (3, 27));
}

#[test]
fn a_rewind_forgets_what_is_under_way_and_keeps_letters() {
    let mut plan = Plan::new(PACE, 6);
    plan.push(event(1, 1));
    let (_, ticket) = send(&mut plan, 0).expect("sent");
    plan.rewind();
    assert_eq!(plan.done(ticket, Answer::Taken, 0), Verdict::Old);
    assert_eq!((plan.load(), plan.room()), ((0, 0), PACE.window));
    plan.push(event(1, 1));
    assert_eq!(send(&mut plan, 0).map(|(event, _)| event.no.seq.0), Some(1));
}

#[test]
fn gone_keeps_the_event() {
    let mut plan = Plan::new(PACE, 7);
    plan.push(event(1, 1));
    let (_, ticket) = send(&mut plan, 0).expect("sent");
    assert_eq!(plan.done(ticket, Answer::Gone, 0), Verdict::Gone);
    let pending: Vec<Pending> = plan.pending();
    assert_eq!((pending.len(), send(&mut plan, 0).is_some()), (1, true));
}
