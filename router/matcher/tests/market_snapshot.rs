//! Hostile snapshots: any bytes give a market or a named error, never a panic; every prefix is refused.
//!
//! That a restored market continues alike is shown beside the oracle (`market_oracle`).

use proptest::prelude::*;
use tidegate_matcher::market::{
    DecodeError, Exclusions, LaneSpec, Market, MarketLimits, Place, SeatSlot, Skill, TicketSlot, TicketSpec,
};
use tidegate_model::{ContactId, Level, Millis, QueueName, SeatId, SkillName, Timestamp};

/// A market with everything in it: free handles, held, reserved and exceptional tickets, units in use, a kept place.
fn market() -> Market {
    let mut market = Market::new(MarketLimits { tickets: 64, seats: 16, lanes: 8, classes: 8 });
    let skill = |n: u64| Skill { skill: SkillName(n), level: Level(n as u8) };
    for n in 1..=6_u64 {
        let seat = market.seat_insert(SeatId(n), &[skill(n % 3), skill(4)], 3, 100 * (n as i64 % 2));
        market.seat_open(seat, Timestamp(n * 10));
    }
    market.seat_remove(SeatSlot(2));
    market.seat_shut(SeatSlot(1));
    let lanes: Vec<_> =
        (0..3).map(|n| market.lane(&LaneSpec::new(QueueName(n + 1), vec![skill(n % 3)])).expect("a lane")).collect();
    for n in 0..20_u64 {
        let mut excluded = Exclusions::NONE;
        (0..n % 9).for_each(|s| assert!(excluded.push(SeatId(s + 40))));
        market.ticket_insert(TicketSpec {
            contact: ContactId(n + 1),
            lane: lanes[n as usize % 3],
            arrived: Timestamp(n * 7),
            head_start: Millis(if n % 4 == 0 { 1_000 } else { 0 }),
            excluded,
            reserved: (n % 5 == 0).then_some(SeatSlot(4)),
        });
    }
    (60..64).for_each(|s| {
        market.ticket_exclude(TicketSlot(8), SeatId(s));
    });
    market.ticket_hold(TicketSlot(3));
    market.ticket_remove(TicketSlot(11));
    market.seat_take(SeatSlot(0), 2, Timestamp(500));
    market.seat_take(SeatSlot(5), 1, Timestamp(501));
    market.seat_give(SeatSlot(5), 1, Place::Kept);
    market
}

fn bytes() -> Vec<u8> {
    let mut bytes = Vec::new();
    market().encode(&mut bytes);
    bytes
}

#[test]
fn every_prefix_is_refused_and_nothing_may_follow() {
    let mut bytes = bytes();
    assert!(Market::decode(&bytes).is_ok());
    for end in 0..bytes.len() {
        assert!(matches!(Market::decode(&bytes[..end]), Err(DecodeError::Short(_))), "{end} of {} bytes", bytes.len());
    }
    bytes.push(0);
    assert_eq!(Market::decode(&bytes).err(), Some(DecodeError::Trailing(bytes.len() - 1)));
    bytes[0] = 9;
    assert_eq!(Market::decode(&bytes).err(), Some(DecodeError::Format(9)));
}

/// What was decoded is whole: it answers, and it can be taken apart.
fn exercise(mut market: Market) {
    let now = Timestamp(10_000);
    let seats: Vec<SeatSlot> = (0..64).map(SeatSlot).filter(|s| market.seat_id(*s).is_some()).collect();
    let tickets: Vec<TicketSlot> = (0..128).map(TicketSlot).filter(|t| market.ticket_contact(*t).is_some()).collect();
    for &seat in &seats {
        market.select_contact(seat, now);
    }
    for &ticket in &tickets {
        market.select_agent(ticket, now);
        market.ticket_remove(ticket);
    }
    for &seat in &seats {
        let used = market.seat_used_units(seat);
        market.seat_give(seat, used, Place::Tail(now));
        market.seat_remove(seat);
    }
    assert_eq!(market.waiting(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("TIDEGATE_NIGHTLY").is_some() { 20_000 } else { 1_000 }))]

    #[test]
    fn damaged_words_never_panic(damage in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![0_u64..8, any::<u64>(), Just(u64::MAX)]), 1..4)) {
        let mut bytes = bytes();
        for (word, value) in damage {
            let at = word.index(bytes.len() / 8) * 8;
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        if let Ok(market) = Market::decode(&bytes) {
            let mut again = Vec::new();
            market.encode(&mut again);
            prop_assert_eq!(again, bytes);
            exercise(market);
        }
    }
}
