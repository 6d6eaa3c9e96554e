//! The entry codec: what is encoded decodes to itself, keys stand at their fixed offsets, and no bytes make it panic.

use proptest::prelude::*;
use tidegate_model::codec::{self, CodecError, HEAD_BYTES};
use tidegate_model::file::{FileFacts, FileHash, FileRef, clean_name};
use tidegate_model::input::*;
use tidegate_model::limits::Limits;
use tidegate_model::*;

fn request() -> impl Strategy<Value = ContactRequest> {
    (any::<u64>(), any::<u64>(), any::<u64>(), any::<[u64; 4]>(), any::<[(u64, u8); 4]>()).prop_map(|(q, c, p, tags, skills)| {
        ContactRequest {
            queue: QueueName(q),
            class: ClassName(c),
            preferred: SeatId(p),
            tags: tags.map(TagName),
            skills: skills.map(|(s, l)| (SkillName(s), Level(l % 11))),
        }
    })
}

fn facts() -> impl Strategy<Value = FileFacts> {
    (any::<[u8; 32]>(), any::<u64>(), "[a-z]{1,60}/[a-z]{1,60}", "\\PC{0,60}")
        .prop_map(|(hash, bytes, media_type, name)| FileFacts { hash: FileHash(hash), bytes, media_type, name })
}

fn check(tenant: u32, input: &Input<'_>) {
    let mut bytes = Vec::new();
    codec::encode(&mut bytes, TenantId(tenant), input);
    codec::stamp(&mut bytes, Seq(77), Timestamp(88));
    let entry = codec::decode(&bytes).expect("what was encoded");
    assert_eq!((entry.tenant, entry.seq, entry.at), (TenantId(tenant), Seq(77), Timestamp(88)));
    assert_eq!(&entry.input, input);
    assert_eq!(codec::tenant(&bytes), Some(TenantId(tenant)));
    // Every proper prefix that ends before the body is an error, never another entry with the same meaning.
    for end in 0..HEAD_BYTES {
        assert!(codec::decode(&bytes[..end]).is_err(), "prefix of {end} bytes");
    }
}

proptest! {
    #[test]
    fn inbound_round_trips(
        tenant: u32, account: u32, conversation: u128, event: u128, customer: u64, known_n: u32,
        kind in 0..6_u8, request in request(), facts in facts(), body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let act = match kind {
            0 => InboundAct::Begin { with: FirstOwner::Bot, request },
            1 => InboundAct::Begin { with: FirstOwner::Queue, request },
            2 => InboundAct::RequestAgent { request },
            3 => InboundAct::Message { body: &body },
            4 => InboundAct::File { file: facts.as_ref() },
            _ => InboundAct::Leave,
        };
        let input = Input::Inbound(Inbound {
            account: AccountId(account), conversation: ConversationId(conversation), event: EventId(event),
            customer: CustomerId(customer), known_n, act,
        });
        check(tenant, &input);
        let mut bytes = Vec::new();
        codec::encode(&mut bytes, TenantId(tenant), &input);
        prop_assert_eq!(codec::key(&bytes), conversation);
        prop_assert_eq!(codec::event(&bytes), event);
        prop_assert_eq!(codec::precedence(&bytes), codec::Precedence::Second);
    }

    #[test]
    fn seat_acts_round_trip(tenant: u32, seat: u64, command: u128, a: u64, b: u64, kind in 0..15_u8, body: Vec<u8>, facts in facts()) {
        let act = match kind {
            0 => SeatAct::SignIn,
            1 => SeatAct::SignOut,
            2 => SeatAct::Ready,
            3 => SeatAct::Pause { reason: ReasonName(a) },
            4 => SeatAct::Accept { offer: OfferId(a) },
            5 => SeatAct::Decline { offer: OfferId(a), reason: ReasonName(b) },
            6 => SeatAct::Send { claim: ClaimId(a), body: &body },
            7 => SeatAct::End { claim: ClaimId(a) },
            8 => SeatAct::WrapUp { claim: ClaimId(a), code: ReasonName(b) },
            9 => SeatAct::Transfer { claim: ClaimId(a), to: TransferTo::Queue(QueueName(b)) },
            10 => SeatAct::Transfer { claim: ClaimId(a), to: TransferTo::Seat(SeatId(b)) },
            11 => SeatAct::LinkDown,
            12 => SeatAct::LinkUp,
            13 => SeatAct::SendFile { claim: ClaimId(a), file: facts.as_ref() },
            _ => SeatAct::LeaseEnd,
        };
        check(tenant, &Input::Seat(SeatInput { seat: SeatId(seat), command: CommandId(command), act }));
    }

    #[test]
    fn the_rest_round_trips(tenant: u32, seat: u64, hash: [u8; 32], payload: Vec<u8>, words: [u32; 11], results in proptest::collection::vec((any::<u64>(), 0..3_u8), 0..50)) {
        let [conversations, tickets, seats, lanes, classes, engagements, effects, customers, dedup_events, pending_inputs, fuel] = words;
        let limits = Limits { conversations, tickets, seats, lanes, classes, engagements, effects, customers, dedup_events, pending_inputs, fuel };
        let outcomes: Vec<EffectOutcome> = results.iter().map(|&(effect, kind)| EffectOutcome {
            effect: EffectId(effect),
            result: [EffectResult::Sent, EffectResult::Failed, EffectResult::InDoubt][kind as usize],
        }).collect();
        let packed = codec::pack_effect_results(&outcomes);
        let read: Result<Vec<EffectOutcome>, CodecError> = codec::effect_results(&packed).collect();
        prop_assert_eq!(read.expect("what was packed"), outcomes);
        for input in [
            Input::Effects(EffectResults { packed: &packed }),
            Input::Admin(Admin::Policy { hash, plan: &payload }),
            Input::Admin(Admin::Agent { seat: SeatId(seat), profile: &payload }),
            Input::Admin(Admin::Account { account: AccountId(words[0]), profile: &payload }),
            Input::Admin(Admin::Limits(limits)),
            Input::Admin(Admin::Version(words[1])),
            Input::Tick,
            Input::Hash,
            Input::LeaderStarted { term: Term(seat), gap: Millis(u64::from(words[2])) },
        ] {
            check(tenant, &input);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(mut bytes: Vec<u8>, kind: u8, sane: bool) {
        if sane && bytes.len() > 2 {
            bytes[0] = codec::FORMAT;
            bytes[1] = kind;
        }
        let _ = codec::decode(&bytes);
        let _ = codec::effect_results(&bytes).count();
        let _ = (codec::precedence(&bytes), codec::tenant(&bytes), codec::key(&bytes), codec::event(&bytes));
    }
}

#[test]
fn errors_name_what_is_wrong() {
    let mut tick = Vec::new();
    codec::encode(&mut tick, TenantId(1), &Input::Tick);
    let mut other = tick.clone();
    other[0] = 9;
    assert_eq!(codec::decode(&other), Err(CodecError::Format(9)));
    other = tick.clone();
    other[1] = 200;
    assert_eq!(codec::decode(&other), Err(CodecError::Kind(200)));
    other = tick.clone();
    other.push(0);
    assert_eq!(codec::decode(&other), Err(CodecError::Trailing { offset: 64 }));
    assert_eq!(codec::decode(&tick[..10]), Err(CodecError::Short { needed: 16 }));
    assert_eq!(codec::decode(&other).unwrap_err().to_string(), "bytes after the end of the entry, from offset 64");
}

#[test]
fn the_encoding_of_version_one_is_what_it_was() {
    // A golden entry: should this ever differ, the format version must rise and logs of version 1 stay readable.
    let mut bytes = Vec::new();
    let inbound = Inbound {
        account: AccountId(0x0a0b_0c0d),
        conversation: ConversationId(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
        event: EventId(0x11),
        customer: CustomerId(0x22),
        known_n: 3,
        act: InboundAct::Message { body: b"hi" },
    };
    codec::encode(&mut bytes, TenantId(7), &Input::Inbound(inbound));
    codec::stamp(&mut bytes, Seq(5), Timestamp(6));
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let head = "010300000700000005000000000000000600000000000000";
    let keys = "100f0e0d0c0b0a090807060504030201110000000000000000000000000000002200000000000000";
    assert_eq!(hex, format!("{head}{keys}0d0c0b0a030000006869"));
}

const HASH_HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn report() -> FileFacts {
    let hash = FileHash::parse(HASH_HEX).expect("64 digits");
    FileFacts { hash, bytes: 0x0102_0304, media_type: "image/png".to_owned(), name: "票.png".to_owned() }
}

/// Golden: kinds 5 and 30 were added to format 1; what was written before them reads as before (the test above).
#[test]
fn the_encoding_of_files_is_what_it_was() {
    let facts = report();
    let file = facts.as_ref();
    let inbound = Inbound {
        account: AccountId(0x0a0b_0c0d),
        conversation: ConversationId(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
        event: EventId(0x11),
        customer: CustomerId(0x22),
        known_n: 3,
        act: InboundAct::File { file },
    };
    let of_file = format!("{HASH_HEX}040302010000000009696d6167652f706e67e7a5a82e706e67");
    let hex = |input: &Input<'_>| {
        let mut bytes = Vec::new();
        codec::encode(&mut bytes, TenantId(7), input);
        codec::stamp(&mut bytes, Seq(5), Timestamp(6));
        assert!(codec::holds_body(&bytes));
        bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()
    };
    let keys = "100f0e0d0c0b0a090807060504030201110000000000000000000000000000002200000000000000";
    let head = |kind: &str| format!("01{kind}00000700000005000000000000000600000000000000");
    assert_eq!(hex(&Input::Inbound(inbound)), format!("{}{keys}0d0c0b0a03000000{of_file}", head("05")));
    let send = SeatInput { seat: SeatId(0x33), command: CommandId(0x44), act: SeatAct::SendFile { claim: ClaimId(0x55), file } };
    let keys = "3300000000000000000000000000000044000000000000000000000000000000";
    assert_eq!(hex(&Input::Seat(send)), format!("{}{keys}5500000000000000{of_file}", head("1e")));
}

#[test]
fn what_is_said_of_a_file_is_read_with_its_limits() {
    let mut good = Vec::new();
    report().as_ref().encode(&mut good);
    assert_eq!(FileRef::decode(&good, 0), Ok(report().as_ref()));
    for end in 0..50 {
        assert!(FileRef::decode(&good[..end], 64).is_err(), "{end} bytes");
    }
    assert_eq!(FileRef::decode(&good[..40], 64), Err(CodecError::Short { needed: 64 + 41 }));
    for (media, name, fine) in [(127, 255, true), (128, 1, false), (127, 256, false), (255, 1, false), (1, 2_550, false)] {
        let mut bytes = vec![0; 40];
        bytes.push(media);
        bytes.resize(41 + usize::from(media) + name, b'x');
        assert_eq!(FileRef::decode(&bytes, 0).is_ok(), fine, "media type of {media}, name of {name}");
    }
    let mut broken = good.clone();
    let last = broken.len() - 1;
    broken[last] = 0xff;
    assert_eq!(FileRef::decode(&broken, 64), Err(CodecError::Field { offset: 64 + last }));
    assert_eq!(FileHash::parse(HASH_HEX).map(|hash| hash.to_string()).as_deref(), Some(HASH_HEX));
    for wrong in ["", &HASH_HEX[1..], &HASH_HEX.to_uppercase(), &format!("{HASH_HEX}0"), &HASH_HEX.replace("00", "+0")] {
        assert_eq!(FileHash::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn what_may_not_be_logged_is_named() {
    let refused = |change: fn(&mut FileFacts), field: &str| {
        let mut facts = report();
        change(&mut facts);
        let refused = facts.as_ref().check().expect_err(field);
        assert!(refused.starts_with(field), "{refused}");
    };
    assert_eq!(report().as_ref().check(), Ok(()));
    refused(|f| f.bytes = 0, "bytes");
    for media_type in ["", "image", "image/", "/png", "Image/png", "image/png; a=b", "image/p ng", "a/b/c"] {
        let facts = FileFacts { media_type: media_type.to_owned(), ..report() };
        assert!(facts.as_ref().check().is_err(), "{media_type}");
    }
    refused(|f| f.media_type = format!("image/{}", "x".repeat(122)), "media_type");
    refused(|f| f.name.clear(), "name");
    refused(|f| f.name = "x".repeat(256), "name");
    for name in ["../x", "a\\b", "..", "a\u{202e}b", "a\u{200b}", "a\0", "\u{feff}a", "a\nb"] {
        let facts = FileFacts { name: name.to_owned(), ..report() };
        assert!(facts.as_ref().check().is_err(), "{name:?}");
    }
}

proptest! {
    #[test]
    fn a_cleaned_name_is_fit_and_no_longer(name in "[\\PC\\u{0}-\\u{20}\\u{200b}-\\u{202e}./\\\\]{1,60}") {
        let cleaned = clean_name(&name);
        prop_assert!(cleaned.len() <= name.len());
        prop_assert_eq!(cleaned.chars().count(), name.chars().count());
        prop_assert_eq!(clean_name(&cleaned), cleaned.clone());
        let facts = FileFacts { name: cleaned, ..report() };
        if facts.name.len() <= 255 {
            prop_assert_eq!(facts.as_ref().check(), Ok(()));
        }
    }
}
