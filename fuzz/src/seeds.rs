//! The seeds of every target: small good inputs, made by the code that writes the format.
//!
//! They stand as files in `corpus/<target>/`, where libFuzzer and the plain run read them; `TIDEGATE_BLESS=1 cargo test -p
//! tidegate-fuzz` writes those that are missing or old. Inputs that once broke something stand beside them and stay.

use tidegate_core::{payload, policy};
use tidegate_journal::frame::{self, Seal};
use tidegate_model::codec;
use tidegate_model::file::{FileHash, FileRef};
use tidegate_model::ids::{ClaimId, CommandId, ConversationId, EffectId, EventId, OfferId, SeatId, Seq, TenantId, Term};
use tidegate_model::input::{
    Admin, ContactRequest, EffectOutcome, EffectResult, EffectResults, FirstOwner, Inbound, InboundAct, Input, SeatAct, SeatInput,
};
use tidegate_model::limits::Limits;
use tidegate_model::output::Presence;
use tidegate_model::policy::{AccountProfile, AgentProfile, Delivery, Requirement};
use tidegate_model::time::{Millis, Timestamp};
use tidegate_model::{AccountId, ContactId, CustomerId, Level};
use tidegate_router::events::{Event, EventNo, Fact, encode_record};
use tidegate_router::webhook::{Letter, Pending, Secret, Standing, Subscription, encode_letters};
use tidegate_sim::run::{Alone, Outcome, RunConfig, simulate};
use tidegate_sim::trace::HEADER;

use crate::mutate::Random;
use crate::targets::tenant::POLICIES;

/// The seeds of a target, each with the name of its file. Empty for a name that is no target.
#[must_use]
pub fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    match target {
        "entry_codec" => entries(),
        "journal_frames" => vec![("frames".into(), frames())],
        "journal_damage" => vec![
            ("clean".into(), (0..200_u8).collect()),
            ("damaged".into(), (0..400_u32).map(|at| (at * 37 % 251) as u8).collect()),
        ],
        "journal_life" => vec![
            ("cuts".into(), (0..240_u32).map(|at| (at * 73 % 249) as u8).collect()),
            // Append and sync, a failing sync, a cut; then on a full disk with short writes.
            (
                "faults".into(),
                b"\x00\x01\x00\x41\x10\x02\x07\x0B\x00\x00\x00\x00\x42\x08\x01\x07\x0F\x01\x02\x03\x04\x0D\x00\x09\x00\x03\x00"
                    .to_vec(),
            ),
        ],
        "policy_text" => policies().map(|(name, policy)| (name, policy.into_bytes())).collect(),
        "payloads" => payloads(),
        "tenant_inputs" => (0..4_u64).map(|seed| (format!("day-{seed}"), day(seed))).collect(),
        "bank_trace" => vec![("rows".into(), trace().into_bytes()), ("crlf".into(), trace().replace('\n', "\r\n").into_bytes())],
        "contact_csv" => vec![
            ("utf-8".into(), [b"\x00".as_slice(), CONTACTS.as_bytes()].concat()),
            ("marked".into(), [b"\x00\xef\xbb\xbf".as_slice(), CONTACTS.as_bytes()].concat()),
            // The same in GB18030: a queue of complaints.
            (
                "gb18030".into(),
                b"\x02time,class,outcome,wait_s,handle_s\n2026/11/11 9:05,\xcd\xb6\xcb\xdf,\xbd\xd3\xcd\xa8,12,180\n".to_vec(),
            ),
        ],
        "scenario_text" => vec![
            ("n-model".into(), include_bytes!("../../examples/scenarios/n-model.toml").to_vec()),
            ("hotline".into(), include_bytes!("../../examples/scenarios/hotline.toml").to_vec()),
            ("three-tiers".into(), include_bytes!("../../examples/scenarios/three-tiers.toml").to_vec()),
        ],
        "simulation_results" => vec![("mmcab".into(), simulation())],
        "web_frames" => vec![("conversation".into(), WEB.into())],
        "desk_frames" => vec![("shift".into(), DESK.into())],
        "tokens" => vec![("minted".into(), vec![0; 8]), ("edited".into(), b"\x01\x07\x00\x01\x02\x03\x20\x00\x00\x41".to_vec())],
        "uploads" => vec![
            ("text".into(), [b"\x03".as_slice(), "你好, plain text\r\n".repeat(600).as_bytes()].concat()),
            ("png".into(), b"\x07\x89PNG\r\n\x1a\n and more".to_vec()),
            ("page".into(), b"\x01<!DOCTYPE html><script>".to_vec()),
        ],
        "event_records" => vec![("record".into(), encode_record(Seq(6), Timestamp(1_000), &events()))],
        "webhook_files" => hook_files(),
        "event_places" => ["0", "4711-2", "18446744073709551615-4294967295", "contact.*", "https://example.com/hook"]
            .into_iter()
            .enumerate()
            .map(|(at, text)| (format!("place-{at}"), text.into()))
            .collect(),
        "file_records" => {
            let facts = FileRef { hash: FileHash([7; 32]), bytes: 4_711, media_type: "image/png", name: "发票.png" };
            let record = tidegate_router::blobs::store::encode_record(facts, 1_000);
            // Without its checksum the target puts one behind it, and a changed content is reached.
            vec![("record".into(), record.clone()), ("content".into(), record[..record.len() - 16].to_vec())]
        }
        "trace_headers" => vec![
            ("parent".into(), b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_vec()),
            ("later".into(), b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more".to_vec()),
            ("file".into(), b"# headers\nauthorization: Bearer abc\r\nx-shop: a:b\n".to_vec()),
        ],
        "api_tokens" => vec![
            ("whole".into(), format!("tg_0123456789ab_{}", "0f".repeat(32)).into_bytes()),
            ("short".into(), b"tg_0123456789ab_".to_vec()),
        ],
        "audit_records" => vec![("asked".into(), RECORD.into())],
        "masking" => vec![
            ("numbers".into(), "1 3800 1380-00 ID 11010519491231002X, 4111 1111 1111 1111 tg_0123456789ab_00".into()),
            ("words".into(), "lin@shop.example eyJhbGciOiJIUzI1NiJ9.e30.c2ln １３８".into()),
        ],
        "unit_text" => ["1h30m", "4.2/min", "100/30min", "80/20s", "5%", "2分钟"]
            .into_iter()
            .enumerate()
            .map(|(at, text)| (format!("text-{at}"), text.into()))
            .collect(),
        _ => Vec::new(),
    }
}

/// A result of two short days.
fn simulation() -> Vec<u8> {
    let text = include_str!("../../examples/scenarios/mmcab.toml").replace("length = \"8h\"", "length = \"1h\"");
    let scenario = tidegate_sim::scenario::parse("mmcab", &text).expect("the example is good");
    let policy = scenario.policy_text.clone().expect("its policy is inside");
    let setup = tidegate_sim::floor::Setup::new(scenario, "mmcab", &text, "policy", &policy).expect("the example is good");
    let config = RunConfig { seed: 1, replications: 2, antithetic: false, precision: None, shard: (1, 1) };
    let outcome = Outcome::new(&setup, "00".into(), 1, false, simulate(&setup, &config, &Alone));
    serde_json::to_vec(&outcome).expect("a result is JSON")
}

fn events() -> Vec<Event> {
    let conversation = ConversationId(0xada << 64);
    let facts = [
        Fact::ConversationOpened { conversation, account: AccountId(1) },
        Fact::ContactBegan { conversation, n: 1, contact: ContactId(9) },
        Fact::MessageFromAgent { conversation, n: 2, seat: SeatId(77) },
        Fact::PresenceChanged { seat: SeatId(77), presence: Presence::Ready },
        Fact::PolicyActivated { hash: [7; 32], steps_remapped: 2 },
    ];
    let event = |(index, fact)| {
        let no = EventNo { seq: Seq(7), index: index as u32 };
        Event { no, tenant: TenantId(1), at: Timestamp(1_000), fact }
    };
    facts.into_iter().enumerate().map(event).collect()
}

fn hook_files() -> Vec<(String, Vec<u8>)> {
    let events = events();
    let subscription = Subscription {
        id: 1,
        tenant: TenantId(1),
        url: "https://example.com/hook".into(),
        types: vec!["contact.*".into()],
        include_bodies: true,
        pause: None,
        secrets: vec![Secret { text: "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldY".into(), until_ms: Some(9) }],
        created_ms: 5,
        from: EventNo::START,
    };
    let pending = |event: &Event| Pending { event: *event, again: false, attempts: 1, first_ms: Some(4) };
    let standing = Standing { read: events[4].no, pending: events.iter().map(pending).collect(), ..Standing::default() };
    let letters: Vec<Letter> =
        events.iter().map(|event| Letter { event: *event, attempts: 3, first_ms: 1, last_ms: 2, why: "500".into() }).collect();
    vec![
        ("subscription".into(), subscription.encode()),
        ("standing".into(), standing.encode()),
        ("letters".into(), encode_letters(letters.iter())),
    ]
}

/// A record of the audit, with a tenant and details.
const RECORD: &str = r#"{"n":1,"at_ms":1800000000000,"action":"policy.activate","actor":{"name":"ada","role":"admin","token":"0123456789ab","from":"127.0.0.1"},"tenant":1,"outcome":"asked","of":null,"details":{"path":"/v1/tenants/1/policy"},"prev":"0000000000000000000000000000000000000000000000000000000000000000","hash":"00000000000000000000000000000000000000000000000000000000000000ff"}"#;

/// A customer's frames, one a line; the last two are refused.
const WEB: &str = r#"{"type":"begin","client_msg_id":"1","queue":"retail","class":"vip","tags":["red"],"skills":{"english":3},"preferred":"2a"}
{"type":"message","client_msg_id":"2","text":"你好 \u0041 \n"}
{"type":"ack","n":2}
{"type":"message","client_msg_id":"6","file":"0707070707070707070707070707070707070707070707070707070707070707","name":"../a.png","media_type":"image/png"}
{"type":"typing"}
{"type":"ping"}
{"type":"request_agent","client_msg_id":"3"}
{"type":"leave","client_msg_id":"4"}
{"type":"message","client_msg_id":"5","text":"","more":[[[1]]]}
{"type":"nothing"
"#;

/// A desk's frames, one a line; the last is refused.
const DESK: &str = r#"{"type":"presence","command_id":"1","state":"ready"}
{"type":"accept","command_id":"2","offer":"1"}
{"type":"send","command_id":"3","claim":"1","text":"您好"}
{"type":"send","command_id":"11","claim":"1","file":"0707070707070707070707070707070707070707070707070707070707070707"}
{"type":"follow","conversation":"00000000000000000000000000000001","after":1}
{"type":"transfer","command_id":"4","claim":"1","to":{"queue":"retail"}}
{"type":"decline","command_id":"5","offer":"2","reason":"busy"}
{"type":"end","command_id":"6","claim":"1"}
{"type":"wrap_up","command_id":"7","claim":"1","code":"solved"}
{"type":"presence","command_id":"8","state":"paused","reason":"tea"}
{"type":"typing","claim":"1"}
{"type":"typing"}
{"type":"sign_out","command_id":"9"}
{"type":"accept","command_id":"10","offer":-1}
"#;

fn policies() -> impl Iterator<Item = (String, String)> {
    POLICIES.iter().enumerate().map(|(at, text)| (format!("policy-{at}"), (*text).to_owned()))
}

fn payloads() -> Vec<(String, Vec<u8>)> {
    let skills = vec![Requirement { skill: "sales".into(), level: Level(7) }];
    let agent = AgentProfile { name: "Mei".into(), skills, units: 3, cost_ms: -5 };
    let account = AccountProfile { name: "web".into(), delivery: Delivery::Push, weight: 2, queue: "sales".into() };
    let policy = policy::parse("policy.toml", POLICIES[0]).expect("the policy is good");
    vec![
        ("agent".into(), payload::agent(&agent)),
        ("account".into(), payload::account(&account)),
        ("policy".into(), payload::policy(&policy)),
    ]
}

/// A long sequence of choices: any bytes are one.
fn day(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..2_400).map(|_| random.number() as u8).collect()
}

/// Rows in the trace's columns, one of each outcome, one that contradicts itself and one that cannot be read.
fn trace() -> String {
    let rows = [
        "1999-05-23,PS,0,0,25000,12,25012,8,AGENT,25020,180,AGENT-A",
        "1999-05-23,NE,2,123456,25100,5,25105,40,HANG,,0,",
        "1999-05-23,IN,1,77,25200,9,,0,PHANTOM,,0,",
        "1999-05-23,PS,0,0,25300,-3,25300,0,AGENT,25200,10,",
        "not,a,row",
    ];
    format!("{HEADER}\n{}\n", rows.join("\n"))
}

fn frames() -> Vec<u8> {
    let seal = Seal::new(7, 3);
    let mut stream = vec![0; frame::HEAD_BYTES];
    frame::set_mark(&mut stream, seal, 0, (3, 0), 0);
    for (index, payload) in [&b""[..], b"a record", &[0xAB; 300]].into_iter().enumerate() {
        let offset = u32::try_from(stream.len()).expect("a few hundred bytes");
        frame::put_record(&mut stream, seal, offset, 1, index as u64, payload);
    }
    stream
}

fn entries() -> Vec<(String, Vec<u8>)> {
    let outcomes = [(1, EffectResult::Sent), (2, EffectResult::Failed), (u64::MAX, EffectResult::InDoubt)];
    let packed = codec::pack_effect_results(&outcomes.map(|(id, result)| EffectOutcome { effect: EffectId(id), result }));
    let inbound = |act| {
        let (conversation, event) = (ConversationId(0x1234_5678_9ABC), EventId(u128::MAX - 5));
        Input::Inbound(Inbound { account: AccountId(2), conversation, event, customer: CustomerId(9), known_n: 3, act })
    };
    let seat = |act| Input::Seat(SeatInput { seat: SeatId(77), command: CommandId(1 << 100), act });
    let request = ContactRequest::default();
    let file = FileRef { hash: FileHash([7; 32]), bytes: 9, media_type: "image/png", name: "票.png" };
    let named: Vec<(&str, Input<'_>)> = vec![
        ("begin-queue", inbound(InboundAct::Begin { with: FirstOwner::Queue, request })),
        ("begin-bot", inbound(InboundAct::Begin { with: FirstOwner::Bot, request })),
        ("request-agent", inbound(InboundAct::RequestAgent { request })),
        ("message", inbound(InboundAct::Message { body: "你好, is anyone there?".as_bytes() })),
        ("file", inbound(InboundAct::File { file })),
        ("leave", inbound(InboundAct::Leave)),
        ("sign-in", seat(SeatAct::SignIn)),
        ("accept", seat(SeatAct::Accept { offer: OfferId(5) })),
        ("send", seat(SeatAct::Send { claim: ClaimId(6), body: b"Good morning." })),
        ("send-file", seat(SeatAct::SendFile { claim: ClaimId(6), file })),
        ("end", seat(SeatAct::End { claim: ClaimId(6) })),
        ("effects", Input::Effects(EffectResults { packed: &packed })),
        ("limits", Input::Admin(Admin::Limits(Limits::SMALL))),
        ("version", Input::Admin(Admin::Version(1))),
        ("tick", Input::Tick),
        ("hash", Input::Hash),
        ("leader-started", Input::LeaderStarted { term: Term(4), gap: Millis(800) }),
    ];
    named
        .into_iter()
        .map(|(name, input)| {
            let mut bytes = Vec::new();
            codec::encode(&mut bytes, TenantId(1), &input);
            codec::stamp(&mut bytes, Seq(42), Timestamp(1_000_000));
            (name.to_owned(), bytes)
        })
        .collect()
}

/// A record of contacts: one good row of each kind, some bad ones.
const CONTACTS: &str = "time,class,outcome,wait_s,handle_s,agent,customer,priority\n\
    2026-11-11 09:30:00,voice,served,12,180,A01,77,2\n2026-11-11T09:31:00+08:00,voice,abandoned,60,,,78,\n\
    1794398400,chat,left,,,,,\nnoon,voice,served,-1,x,A01,77,2\n\"2026-11-11 10:00\",voice,served,1,2\n";
