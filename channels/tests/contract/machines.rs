//! The protocol machines alone: virtual time, no sockets, hostile bytes.
//!
//! Cut at every frame, credit, deadlines, and the fuzz entries under random and structured input. A failing case prints its
//! seed by proptest; `TIDEGATE_NIGHTLY=1` raises the cases.

use crate::support::scaled;
use proptest::prelude::*;
use std::sync::Arc;
use tidegate_channels::config::{DeskLimits, WebLimits};
use tidegate_channels::web::machine::close;
use tidegate_channels::{NameTable, desk, web};
use tidegate_model::output::{Item, Outcome, Presence, Rescind, SeatNotice};
use tidegate_model::port::{AgentGrant, CustomerGrant, OpenClaim, OpenOffer, PortError, SeatSnapshot, TranscriptItem};
use tidegate_model::{
    AccountId, ClaimId, ContactId, ConversationId, CustomerId, Millis, OfferId, QueueName, SeatId, TenantId, Timestamp,
};

fn grant() -> CustomerGrant {
    CustomerGrant { tenant: TenantId(1), account: AccountId(1), conversation: ConversationId(9), customer: CustomerId::NONE }
}

fn log(count: u32) -> Vec<TranscriptItem> {
    (1..=count).map(|n| TranscriptItem { n, at: Timestamp(0), item: Item::FromCustomer, body: Arc::from(&b"x"[..]) }).collect()
}

fn page(log: &[TranscriptItem], after: u32, max: usize) -> Result<Vec<TranscriptItem>, PortError> {
    Ok(log.iter().skip(after as usize).take(max).cloned().collect())
}

fn web_limits() -> WebLimits {
    WebLimits { page: 4, ..WebLimits::default() }
}

/// An open web machine; acts up to the first fetch are carried out.
fn open_web(limits: WebLimits, after: u32) -> web::Machine {
    let mut machine = web::Machine::new(limits, NameTable::new(["retail"]), Timestamp(0), Timestamp(0));
    let hello = format!(r#"{{"type":"hello","token":"t","after":{after}}}"#);
    machine.on_frame(Timestamp(0), hello.as_bytes());
    assert_eq!(machine.poll(), Some(web::Act::Check { token: "t".to_owned() }));
    machine.on_admission(Ok(web::Admission { grant: grant(), may_write: true }));
    assert!(matches!(machine.poll(), Some(web::Act::Watch { .. })));
    machine
}

/// Carries out everything until nothing is left; the numbers sent.
fn settle_web(machine: &mut web::Machine, log: &[TranscriptItem], stop_after: Option<usize>) -> Vec<u32> {
    let mut sent = Vec::new();
    while stop_after.is_none_or(|stop| sent.len() < stop) {
        let Some(act) = machine.poll() else { break };
        match act {
            web::Act::Fetch { after, max, .. } => machine.on_page(Timestamp(0), page(log, after, max)),
            web::Act::SendItem(text) => {
                let frame: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                sent.push(frame["n"].as_u64().expect("a number") as u32);
            }
            web::Act::Close { code, reason } => panic!("closed {code} {reason}"),
            _ => {}
        }
    }
    sent
}

/// For every transcript length and every frame at which the connection is cut: the resumed one continues at the next number.
#[test]
fn a_cut_at_every_frame_resumes_gap_free() {
    for length in 0..14 {
        let log = log(length);
        for cut in 0..=length as usize {
            let mut first = open_web(web_limits(), 0);
            let got = if cut == 0 { Vec::new() } else { settle_web(&mut first, &log, Some(cut)) };
            assert_eq!(got, (1..=cut as u32).collect::<Vec<_>>());
            let mut second = open_web(web_limits(), cut as u32);
            let rest = settle_web(&mut second, &log, None);
            assert_eq!(rest, (cut as u32 + 1..=length).collect::<Vec<_>>(), "length {length}, cut {cut}");
        }
    }
}

/// One page at most is held, and none is asked for before the last has gone: the reader's own credit.
#[test]
fn a_machine_that_is_not_polled_asks_for_nothing() {
    let log = log(100);
    let mut machine = open_web(web_limits(), 0);
    let mut fetched = 0;
    for taken in 0..100 {
        machine.on_wake(100);
        // Take exactly one item.
        loop {
            match machine.poll().expect("something to do") {
                web::Act::Fetch { after, max, .. } => {
                    assert_eq!(after, taken, "a fetch continues where sending stands");
                    machine.on_page(Timestamp(0), page(&log, after, max));
                    fetched += 1;
                }
                web::Act::SendItem(_) => break,
                _ => {}
            }
        }
        assert!(fetched * 4 < taken + 1 + 4, "at most one page ahead: {fetched} pages at item {taken}");
    }
}

/// A wake that runs ahead of the transcript is asked again after a pause, not in a circle.
#[test]
fn an_early_wake_does_not_spin() {
    let mut machine = open_web(web_limits(), 0);
    settle_web(&mut machine, &[], None);
    machine.on_wake(1);
    assert!(matches!(machine.poll(), Some(web::Act::Fetch { .. })));
    machine.on_page(Timestamp(0), Ok(Vec::new()));
    assert_eq!(machine.poll(), None);
    let at = machine.next_deadline().expect("a deadline");
    assert_eq!(at, Timestamp(50));
    machine.on_time(at);
    assert_eq!(settle_web(&mut machine, &log(1), None), [1]);
}

#[test]
fn a_gap_in_the_transcript_is_an_error_and_never_sent() {
    let mut machine = open_web(web_limits(), 0);
    while let Some(act) = machine.poll() {
        match act {
            web::Act::Fetch { .. } => machine.on_page(Timestamp(0), Ok(log(4).split_off(2))),
            web::Act::SendItem(text) => panic!("{text}"),
            web::Act::Close { code, .. } => return assert_eq!(code, close::INTERNAL),
            _ => {}
        }
    }
    panic!("the gap went unseen");
}

/// Busy gives back everything behind it, so that a later act is never decided before an earlier one.
#[test]
fn busy_gives_back_what_is_behind_it() {
    let mut machine = open_web(web_limits(), 0);
    settle_web(&mut machine, &[], None);
    for id in ["a", "b", "c"] {
        let frame = format!(r#"{{"type":"message","client_msg_id":"{id}","text":"x"}}"#);
        assert!(machine.on_frame(Timestamp(1), frame.as_bytes()));
    }
    assert!(matches!(machine.poll(), Some(web::Act::Submit { submission, .. }) if submission.client_msg_id == "a"));
    assert_eq!(machine.poll(), None, "one at a time");
    machine.on_outcome(Err(PortError::Busy { retry_after: Millis(7) }));
    for id in ["a", "b", "c"] {
        let Some(web::Act::Send(text)) = machine.poll() else { panic!("an answer for {id}") };
        assert_eq!(text, format!(r#"{{"type":"busy","client_msg_id":"{id}","retry_after_ms":7}}"#));
    }
    assert_eq!(machine.poll(), None);
    assert_eq!(machine.pending(), 0);
}

#[test]
fn silence_is_pinged_and_then_closed() {
    let limits = web_limits();
    let mut machine = open_web(limits, 0);
    settle_web(&mut machine, &[], None);
    let ping = machine.next_deadline().expect("a deadline");
    assert_eq!(ping.0, limits.ping.0);
    machine.on_time(ping);
    assert_eq!(machine.poll(), Some(web::Act::Ping));
    machine.on_heard(Timestamp(ping.0 + 1));
    let next = machine.next_deadline().expect("a deadline");
    assert_eq!(next.0, ping.0 + 1 + limits.ping.0, "an answer begins a new silence");
    machine.on_time(next);
    assert_eq!(machine.poll(), Some(web::Act::Ping));
    let end = machine.next_deadline().expect("a deadline");
    machine.on_time(end);
    assert!(matches!(machine.poll(), Some(web::Act::Close { code: close::POLICY, .. })));
    assert_eq!(machine.next_deadline(), None);
}

fn open_desk(limits: DeskLimits, named: &str) -> desk::Machine {
    let mut machine = desk::Machine::new(limits, NameTable::new(["retail"]), Timestamp(0));
    machine.on_frame(Timestamp(0), format!(r#"{{"type":"sign_in","token":"t","after":{named}}}"#).as_bytes());
    assert!(matches!(machine.poll(), Some(desk::Act::Bind { .. })));
    let grant = AgentGrant { tenant: TenantId(1), seat: SeatId(1) };
    machine.on_bound(Ok(desk::Bound { grant, resume: "r".to_owned(), resumed: true }));
    assert!(!machine.wants_notices(), "not before the snapshot");
    machine
}

fn seat(claims: &[(u64, u128, u32)]) -> SeatSnapshot {
    SeatSnapshot {
        presence: Presence::Ready,
        at: Timestamp(5),
        offers: Vec::new(),
        claims: claims
            .iter()
            .map(|(claim, conversation, n)| OpenClaim {
                claim: ClaimId(*claim),
                contact: ContactId(1),
                conversation: ConversationId(*conversation),
                wrap_up_until: None,
                n: *n,
            })
            .collect(),
    }
}

fn settle_desk(machine: &mut desk::Machine, state: &SeatSnapshot, log: &[TranscriptItem]) -> Vec<serde_json::Value> {
    let mut out = Vec::new();
    while let Some(act) = machine.poll() {
        match act {
            desk::Act::Snapshot { .. } => machine.on_snapshot(Ok(state.clone())),
            desk::Act::Fetch { after, max, .. } => machine.on_page(Timestamp(0), page(log, after, max)),
            desk::Act::Send(text) | desk::Act::SendItem(text) => out.push(serde_json::from_str(&text).expect("JSON")),
            desk::Act::Close { code, reason } => panic!("closed {code} {reason}"),
            _ => {}
        }
    }
    out
}

fn items(frames: &[serde_json::Value]) -> Vec<(String, u64)> {
    let items = frames.iter().filter(|frame| frame["type"] == "item");
    items
        .map(|frame| (frame["conversation"].as_str().unwrap_or_default()[31..].to_owned(), frame["n"].as_u64().unwrap_or(0)))
        .collect()
}

/// Several conversations resume from the numbers that the desk names, in turns, without a gap.
#[test]
fn a_desk_resumes_each_conversation_where_it_stood() {
    let named =
        r#"{"00000000000000000000000000000001":3,"00000000000000000000000000000002":0,"00000000000000000000000000000003":9}"#;
    let mut machine = open_desk(DeskLimits { page: 2, ..DeskLimits::default() }, named);
    let frames = settle_desk(&mut machine, &seat(&[(1, 1, 5), (2, 2, 5)]), &log(5));
    let of = |name: &str| items(&frames).into_iter().filter(|(c, _)| c == name).map(|(_, n)| n).collect::<Vec<_>>();
    assert_eq!(of("1"), [4, 5]);
    assert_eq!(of("2"), [1, 2, 3, 4, 5]);
    assert!(of("3").is_empty(), "a conversation that is not served is not read");
    let first_page: Vec<String> = items(&frames).into_iter().take(4).map(|(c, _)| c).collect();
    assert!(first_page.contains(&"1".to_owned()) && first_page.contains(&"2".to_owned()), "in turns: {first_page:?}");
}

/// A desk that names a number beyond the transcript is told, and gets everything.
#[test]
fn a_desk_ahead_of_the_transcript_begins_again() {
    let mut machine = open_desk(DeskLimits::default(), r#"{"00000000000000000000000000000001":7}"#);
    let frames = settle_desk(&mut machine, &seat(&[(1, 1, 2)]), &log(2));
    assert!(frames.iter().any(|frame| frame["problem"]["type"] == "/problems/resume-ahead"));
    assert_eq!(items(&frames), [("1".to_owned(), 1), ("1".to_owned(), 2)]);
}

/// What a snapshot told is not told again by a notice on its way; what it did not know is.
#[test]
fn notices_after_a_snapshot_bring_news_only() {
    let mut machine = open_desk(DeskLimits::default(), "{}");
    let mut first = seat(&[(1, 1, 1)]);
    let (queue, at) = (QueueName::of("retail"), Timestamp(1));
    first.offers.push(OpenOffer {
        offer: OfferId(7),
        contact: ContactId(1),
        conversation: ConversationId(5),
        queue,
        waiting_since: at,
        deadline: Timestamp(105),
    });
    let told = settle_desk(&mut machine, &first, &log(1));
    assert_eq!((told[1]["offers"][0]["timeout_ms"].as_u64(), told[1]["at"].as_u64()), (Some(100), Some(5)));
    assert!(machine.wants_notices());
    let offered = |offer| SeatNotice::Offered {
        offer: OfferId(offer),
        contact: ContactId(1),
        conversation: ConversationId(4),
        queue: QueueName::of("retail"),
        waiting_since: Timestamp(1),
        deadline: Timestamp(105),
        timeout: Millis(100),
    };
    let assigned = |claim, conversation| SeatNotice::Assigned {
        claim: ClaimId(claim),
        contact: ContactId(1),
        conversation: ConversationId(conversation),
    };
    for (notice, told) in [
        (assigned(1, 1), false),
        (offered(7), false),
        (SeatNotice::Rescinded { offer: OfferId(7), why: Rescind::Expired }, true),
        (offered(2), true),
        (offered(2), false),
        (SeatNotice::Rescinded { offer: OfferId(3), why: Rescind::Expired }, false),
        (assigned(2, 4), true),
        (SeatNotice::Rescinded { offer: OfferId(2), why: Rescind::Expired }, false),
        (SeatNotice::Released { claim: ClaimId(9) }, false),
        (SeatNotice::WrapUp { claim: ClaimId(2), until: Timestamp(9) }, true),
        (SeatNotice::Released { claim: ClaimId(2) }, true),
    ] {
        machine.on_notice(&notice);
        let frames: Vec<_> =
            settle_desk(&mut machine, &seat(&[]), &[]).into_iter().filter(|frame| frame["type"] != "item").collect();
        assert_eq!(!frames.is_empty(), told, "{notice:?}: {frames:?}");
        if notice == offered(2) && told {
            assert_eq!((frames[0]["now"].as_u64(), frames[0]["deadline"].as_u64()), (Some(5), Some(105)));
        }
    }
}

/// The right to read moves with the assignment: after the release nothing further of the conversation goes out.
#[test]
fn a_released_conversation_is_read_no_further() {
    let mut machine = open_desk(DeskLimits::default(), "{}");
    settle_desk(&mut machine, &seat(&[(1, 1, 3)]), &log(3));
    machine.on_wake(ConversationId(1), 4);
    machine.on_notice(&SeatNotice::Released { claim: ClaimId(1) });
    machine.on_wake(ConversationId(1), 6);
    let frames = settle_desk(&mut machine, &seat(&[]), &log(6));
    assert_eq!(items(&frames), [("1".to_owned(), 4)], "its own last item, and none of its successor's");
    machine.on_wake(ConversationId(1), 7);
    assert!(items(&settle_desk(&mut machine, &seat(&[]), &log(7))).is_empty());
    machine.on_frame(Timestamp(1), br#"{"type":"follow","conversation":"00000000000000000000000000000001"}"#);
    let frames = settle_desk(&mut machine, &seat(&[]), &log(7));
    assert_eq!(frames[0]["problem"]["type"], "/problems/foreign-conversation");
}

#[test]
fn a_sign_out_ends_the_connection_and_the_lease() {
    let mut machine = open_desk(DeskLimits::default(), "{}");
    settle_desk(&mut machine, &seat(&[]), &[]);
    machine.on_frame(Timestamp(1), br#"{"type":"sign_out","command_id":"x"}"#);
    assert!(matches!(machine.poll(), Some(desk::Act::Submit { .. })));
    machine.on_outcome(Ok(Outcome::Done { contact: ContactId::NONE, n: 0 }));
    assert!(matches!(machine.poll(), Some(desk::Act::Send(_))));
    assert_eq!(machine.poll(), Some(desk::Act::SignedOut));
    assert!(matches!(machine.poll(), Some(desk::Act::Close { code: close::NORMAL, .. })));
}

/// Frames that are nearly right: words of the protocol in a random order, with random values.
fn nearly(kinds: &'static [&'static str], fields: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        Just(String::from("null")),
        Just(String::from("\"\"")),
        Just(String::from("\"00000000000000000000000000000001\"")),
        Just(String::from("\"1\"")),
        Just(String::from("\"ready\"")),
        Just(String::from("{\"queue\":\"retail\"}")),
        Just(String::from("{\"a\":1}")),
        Just(String::from("[\"a\"]")),
        Just(String::from("-1")),
        any::<u64>().prop_map(|n| n.to_string()),
        "[ -~]{0,20}".prop_map(|text| serde_json::Value::String(text).to_string()),
        Just(String::from("\"\\ud83d\"")),
    ];
    let field = (prop::sample::select(fields), value).prop_map(|(name, value)| format!("\"{name}\":{value}"));
    let frame = (prop::sample::select(kinds), prop::collection::vec(field, 0..5)).prop_map(|(kind, fields)| {
        format!("{{\"type\":\"{kind}\"{}{}}}", if fields.is_empty() { "" } else { "," }, fields.join(","))
    });
    let line = prop_oneof![4 => frame.prop_map(String::into_bytes), 1 => prop::collection::vec(any::<u8>(), 0..40)];
    prop::collection::vec(line, 1..30).prop_map(|lines| lines.join(&b'\n'))
}

const WEB_KINDS: &[&str] = &["hello", "begin", "request_agent", "message", "leave", "ack", "typing", "ping", "x"];
const WEB_FIELDS: &[&str] =
    &["token", "after", "client_msg_id", "text", "with", "queue", "class", "preferred", "tags", "skills", "n", "type"];
const DESK_KINDS: &[&str] =
    &["sign_in", "presence", "accept", "decline", "send", "end", "wrap_up", "transfer", "sign_out", "follow", "typing", "ping"];
const DESK_FIELDS: &[&str] =
    &["token", "resume", "after", "command_id", "offer", "claim", "text", "state", "reason", "code", "to", "conversation"];

proptest! {
    #![proptest_config(ProptestConfig { cases: scaled(400, 20_000) as u32, ..ProptestConfig::default() })]

    #[test]
    fn web_never_panics_on_bytes(data in prop::collection::vec(any::<u8>(), 0..400)) {
        web::fuzz_frame(&data);
    }

    #[test]
    fn web_never_panics_on_frames(data in nearly(WEB_KINDS, WEB_FIELDS)) {
        web::fuzz_frame(&data);
    }

    #[test]
    fn desk_never_panics_on_bytes(data in prop::collection::vec(any::<u8>(), 0..400)) {
        desk::fuzz_frame(&data);
    }

    #[test]
    fn desk_never_panics_on_frames(data in nearly(DESK_KINDS, DESK_FIELDS)) {
        desk::fuzz_frame(&data);
    }

    /// Tokens of any shape are refused without a panic.
    #[test]
    fn tokens_never_panic(token in "[A-Za-z0-9_.=-]{0,120}") {
        let authority = tidegate_channels::TokenAuthority::new(crate::support::ring(1), Arc::new(|| 0));
        prop_assert!(tidegate_model::port::Authenticator::customer(&authority, &token).is_err());
    }
}
