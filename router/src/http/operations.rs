//! The list of everything that this crate serves: each operation with its handler and its words.
//!
//! Router and document are made from it; what stands here is served and described, what does not is neither. Shapes of bodies
//! are as narrow as their readers (`shape`). It refuses to know how an operation works: that is its handler's module.

use super::op::Op;
use super::shape::{self, any_text, anything, integer, pattern};
use super::tokens::DESK_LIFE_S_MAX;
use super::{conversations, pages, policy, roster, seats, signin, status, stream, tokens, wall, webhooks};
use crate::auth::{GRACE_S_MAX, LIFE_S_MAX, LIFE_S_MIN, Permission, Role};
use crate::events::{KINDS, PATTERNS_MAX};
use crate::webhook::URL_BYTES_MAX;
use tidegate_model::limits::{BODY_BYTES_MAX, NAME_BYTES_MAX, REQUEST_SKILLS_MAX, REQUEST_TAGS_MAX};
use utoipa::openapi::{RefOr, Schema};

const NAME: usize = NAME_BYTES_MAX;

fn page(op: Op, after: RefOr<Schema>) -> Op {
    let op = op.query("after", after, "`next` of the page before; absent for the first.");
    op.query("max", integer(1, conversations::PAGE_MAX), "Most rows of the page.")
}

/// Everything that is served.
pub(super) fn all() -> Vec<Op> {
    let mut ops = node();
    ops.extend(contacts());
    ops.extend(people());
    ops.extend(policies());
    ops.extend(events());
    ops.extend(guarded());
    ops
}

/// Tokens, the audit, sign-in.
fn guarded() -> Vec<Op> {
    let object = || Some(("application/json", anything()));
    let token = |role: RefOr<Schema>, places: Vec<(&'static str, bool, RefOr<Schema>)>| {
        let mut fields = vec![("name", true, shape::line(1, NAME)), ("role", true, role)];
        fields.extend(places);
        fields.push(("life_s", false, integer(LIFE_S_MIN, LIFE_S_MAX)));
        shape::object(&fields)
    };
    let words: Vec<_> = Role::ALL.into_iter().filter(|role| *role != Role::Agent).map(Role::word).collect();
    let staff = token(shape::words(&words), vec![("tenant", false, integer(0, u64::from(u32::MAX)))]);
    let place = vec![("tenant", true, integer(1, u64::from(u32::MAX))), ("seat", true, pattern(shape::decimal(u64::MAX)))];
    let agent = token(shape::words(&[Role::Agent.word()]), place);
    let by_role = Role::ALL.map(|role| (role.word(), if role == Role::Agent { "CreateAgentToken" } else { "CreateStaffToken" }));
    let rotate = [("grace_s", false, integer(0, GRACE_S_MAX))];
    let draw = [("life_s", false, integer(LIFE_S_MIN, DESK_LIFE_S_MAX))];
    vec![
        Op::post("/v1/tokens", tokens::create)
            .named("access", "createToken", "Makes an API token")
            .says("Its text is in this answer and nowhere else. Nobody makes a token that may more than the maker. An agent's token names its tenant and \
                   seat; any other names no seat, and without a tenant (or with 0) it reaches the whole node.")
            .needs(Permission::ManageTokens)
            .keyed(false)
            .shape("CreateStaffToken", staff)
            .shape("CreateAgentToken", agent)
            .reads("CreateToken", shape::one_of_by("role", &by_role))
            .answer(201, "The token.", object())
            .problems(&["too-many-tokens", "unknown-tenant", "audit-failed", "no-such-route"]),
        Op::get("/v1/tokens", tokens::list)
            .named("access", "listTokens", "API tokens, without their texts")
            .needs(Permission::ManageTokens)
            .answer(200, "All within reach.", object())
            .problems(&["unknown-parameter", "no-such-route"]),
        Op::delete("/v1/tokens/{id}", tokens::revoke)
            .named("access", "revokeToken", "Ends a token at once")
            .needs(Permission::ManageTokens)
            .answer(200, "It has ended.", object())
            .problems(&["unknown-token", "unknown-parameter", "audit-failed", "no-such-route"]),
        Op::post("/v1/tokens/{id}/rotate", tokens::rotate)
            .named("access", "rotateToken", "Gives a token another secret; both are good for a while")
            .needs(Permission::ManageTokens)
            .keyed(false)
            .reads("RotateToken", shape::object(&rotate))
            .answer(200, "The token with its new text.", object())
            .problems(&["unknown-token", "audit-failed", "no-such-route"]),
        Op::post("/v1/tenants/{tenant}/seats/{seat}/token", tokens::seat)
            .named("access", "drawSeatToken", "A short-lived desk token for a page that embeds the desk")
            .needs(Permission::IssueSeatTokens)
            .reads("DrawSeatToken", shape::object(&draw))
            .answer(201, "The token.", object())
            .problems(&["unknown-seat", "unknown-parameter", "audit-failed", "no-such-route"])
            .problems(&["busy", "closed", "log-failed"]),
        Op::get("/v1/audit", tokens::audit)
            .named("access", "readAudit", "Administrative acts, oldest first")
            .needs(Permission::ReadAudit)
            .query("after", integer(0, tokens::RECORDS_MAX), "Number of the newest record that the reader has.")
            .query("limit", integer(1, 1_000), "Most records of the page.")
            .answer(200, "A page.", object())
            .problems(&["audit-failed", "no-such-route"]),
        Op::get("/v1/auth/methods", signin::methods)
            .named("access", "signInMethods", "How people sign in")
            .answer(200, "The ways.", object())
            .problems(&["unknown-parameter"]),
        Op::get("/v1/auth/oidc/start", signin::start)
            .named("access", "startSignIn", "Leads a browser to the sign-in provider")
            .query("return", any_text(), "A path of this node to come back to.")
            .answer(303, "The way there.", None)
            .problems(&["no-sign-in", "sign-in-unavailable"]),
        Op::get("/v1/auth/oidc/callback", signin::callback)
            .named("access", "finishSignIn", "Where the sign-in provider leads back to")
            .query("code", any_text(), "The provider's code.")
            .query("state", any_text(), "The state of the start.")
            .answer(303, "Back, with a token in the fragment.", None)
            .problems(&["no-sign-in", "sign-in-refused", "sign-in-unavailable", "forbidden", "audit-failed", "internal"]),
    ]
}

fn node() -> Vec<Op> {
    vec![
        Op::get("/healthz", status::healthz)
            .named("node", "health", "Whether the process lives")
            .answer(200, "It lives.", Some(("application/json", anything())))
            .problems(&["broken"]),
        Op::get("/readyz", status::readyz)
            .named("node", "readiness", "Whether the node should get traffic")
            .answer(200, "It should.", Some(("application/json", anything())))
            .problems(&["closed", "log-failed"]),
        Op::get("/metrics", status::metrics)
            .named("node", "metrics", "Figures for Prometheus")
            .needs(Permission::ReadFigures)
            .answer(200, "The figures, in Prometheus' text format.", Some(("text/plain; version=0.0.4; charset=utf-8", any_text())))
            .problems(&["unknown-parameter"]),
        Op::get("/v1/status", status::status)
            .named("node", "status", "Everything that an operator asks first")
            .says("Intake, log, stages, queues, live halves, and each tenant with ledger and limits. Members are added, never changed.")
            .needs(Permission::ReadFigures)
            .answer(200, "The status.", Some(("application/json", status::document_shape())))
            .problems(&["unknown-parameter"]),
        Op::post("/v1/drain", status::drain)
            .named("node", "drain", "Takes the node out of service gracefully")
            .says("Readiness goes down at once; what was taken is decided and answered; then the node ends. Repeating it does nothing more.")
            .needs(Permission::Drain)
            .answer(202, "It drains.", Some(("application/json", status::drain_shape())))
            .problems(&["unknown-parameter"]),
        Op::get("/v1/wall/events", wall::events)
            .named("metrics", "wallEvents", "A floor at a glance, once a second, as server-sent events")
            .says("The token may come as `token=` for `EventSource`, which cannot set headers. Shape: docs/protocol.md, Wall.")
            .needs(Permission::ReadFigures)
            .query("token", any_text(), "The token, where a header cannot be set.")
            .answer(200, "The stream.", Some(("text/event-stream", any_text())))
            .problems(&["busy"]),
        Op::get("/v1/openapi.json", pages::document)
            .named("reference", "openapi", "This document")
            .answer(200, "OpenAPI 3.1.", Some(("application/json", anything()))),
        Op::get("/docs/api", pages::reference)
            .named("reference", "apiReference", "The API's reference as a page, offline")
            .answer(200, "The page.", Some(("text/html; charset=utf-8", any_text()))),
        Op::get("/docs/api.css", pages::style)
            .named("reference", "apiReferenceStyle", "The style of the pages")
            .answer(200, "The style.", Some(("text/css; charset=utf-8", any_text()))),
        Op::get("/problems", pages::problems)
            .named("reference", "problems", "All types of problems as a page")
            .answer(200, "The page.", Some(("text/html; charset=utf-8", any_text()))),
        Op::get("/problems/{slug}", pages::problem)
            .named("reference", "problem", "A type of problem as a page: where `type` leads")
            .answer(200, "The page.", Some(("text/html; charset=utf-8", any_text())))
            .problems(&["no-such-route"]),
        Op::get("/v1/tenants/{tenant}/metrics", status::tenant_metrics)
            .named("metrics", "tenantMetrics", "Ledger and limits of a tenant")
            .says("`offered` = `exits` + `open`, always. Each limit with what is used of it.")
            .needs(Permission::ReadFigures)
            .answer(200, "The figures.", Some(("application/json", status::tenant_shape())))
            .problems(&["unknown-parameter"]),
    ]
}

fn contacts() -> Vec<Op> {
    let request = || {
        vec![
            ("queue", false, shape::line(1, NAME)),
            ("class", false, shape::line(1, NAME)),
            ("preferred", false, pattern(shape::decimal(u64::MAX))),
            ("tags", false, shape::list(shape::line(1, NAME), REQUEST_TAGS_MAX)),
            ("skills", false, shape::levels(REQUEST_SKILLS_MAX)),
        ]
    };
    let mut begin = vec![
        ("account", true, integer(1, u64::from(u32::MAX))),
        ("customer", true, shape::line(1, conversations::CUSTOMER_BYTES_MAX)),
        ("with", false, shape::words(&["queue", "bot"])),
    ];
    begin.extend(request());
    let refusals = ["unknown-queue", "unknown-class", "no-policy", "limit-reached", "contradictory", "refused-by-rule"];
    let listing = "Read in many short questions: whoever is in the machine from the first page to the last is listed exactly once.";
    vec![
        Op::post("/v1/tenants/{tenant}/conversations", conversations::begin)
            .named("conversations", "beginContact", "Begins a contact for a customer of the platform")
            .says("`account` is a channel account of the tenant, `customer` the platform's own id of the customer: the same two always name the \
                   same conversation. A conversation has one open contact at a time.")
            .needs(Permission::ActAsCustomer)
            .keyed(true)
            .reads("BeginContact", shape::object(&begin))
            .answers::<conversations::Begun>(201, "It began, durably.")
            .problems(&refusals)
            .problems(&["unknown-account", "already-open"]),
        page(
            Op::get("/v1/tenants/{tenant}/conversations", conversations::list)
                .named("conversations", "listConversations", "Conversations in the machine")
                .says(listing)
                .needs(Permission::ReadFloor)
                .query("state", shape::words(&conversations::STATES), "Only those: `open` with any open contact, `idle` without, or by who has it.")
                .answers::<conversations::ConversationPage>(200, "A page."),
            shape::cursor(),
        ),
        Op::get("/v1/tenants/{tenant}/conversations/{conversation}", conversations::one)
            .named("conversations", "readConversation", "A conversation and its open contact")
            .needs(Permission::ReadFloor)
            .answers::<conversations::Conversation>(200, "The conversation.")
            .problems(&["unknown-conversation", "unknown-parameter"]),
        Op::post("/v1/tenants/{tenant}/conversations/{conversation}/messages", conversations::message)
            .named("messages", "sendMessage", "The customer writes")
            .says("Without an open contact it begins one in the account's queue.")
            .needs(Permission::ActAsCustomer)
            .keyed(true)
            .reads("SendMessage", shape::object(&[("text", true, shape::prose(1, BODY_BYTES_MAX))]))
            .answers::<conversations::Taken>(200, "It was taken, durably.")
            .problems(&refusals)
            .problems(&["unknown-conversation", "unknown-account"]),
        page(
            Op::get("/v1/tenants/{tenant}/conversations/{conversation}/messages", conversations::messages)
                .named("messages", "readMessages", "A conversation's transcript")
                .says("Items are numbered from 1 without a gap; `after` is a number, 0 for the beginning.")
                .needs(Permission::ReadTranscripts)
                .answers::<conversations::TranscriptPage>(200, "A page.")
                .problems(&["unknown-conversation", "busy", "closed"]),
            integer(0, u64::from(u32::MAX)),
        ),
        page(
            Op::get("/v1/tenants/{tenant}/conversations/{conversation}/transcript", conversations::messages)
                .named("messages", "readTranscript", "The same as `readMessages`")
                .needs(Permission::ReadTranscripts)
                .answers::<conversations::TranscriptPage>(200, "A page.")
                .problems(&["unknown-conversation", "busy", "closed"]),
            integer(0, u64::from(u32::MAX)),
        ),
        Op::post("/v1/tenants/{tenant}/conversations/{conversation}/request-agent", conversations::request_agent)
            .named("conversations", "requestAgent", "The customer asks the bot for an agent")
            .needs(Permission::ActAsCustomer)
            .keyed(true)
            .reads("RequestAgent", shape::object(&request()))
            .answers::<conversations::Taken>(200, "It waits, durably.")
            .problems(&refusals)
            .problems(&["unknown-conversation", "unknown-account", "not-open", "already-open"]),
        Op::post("/v1/tenants/{tenant}/conversations/{conversation}/leave", conversations::leave)
            .named("conversations", "leave", "The customer leaves")
            .says("The contact leaves by `abandoned_waiting`, `abandoned_with_bot` or `customer_left`; an open offer is taken back.")
            .needs(Permission::ActAsCustomer)
            .keyed(true)
            .reads("Leave", shape::object(&[]))
            .answers::<conversations::Taken>(200, "It was taken, durably.")
            .problems(&["unknown-conversation", "unknown-account", "not-open", "no-policy", "contradictory"]),
        page(
            Op::get("/v1/tenants/{tenant}/contacts", conversations::contacts)
                .named("contacts", "listContacts", "Open contacts: who has each, since when, at which step")
                .says(format!("{listing} Ended contacts are not kept in the machine: the event stream tells them, the transcript keeps them."))
                .needs(Permission::ReadFloor)
                .query("state", shape::words(&conversations::OPEN_STATES), "Only those, by who has them.")
                .answers::<conversations::ContactPage>(200, "A page."),
            shape::cursor(),
        ),
        Op::get("/v1/tenants/{tenant}/contacts/{contact}", conversations::contact)
            .named("contacts", "readContact", "An open contact")
            .needs(Permission::ReadFloor)
            .answers::<conversations::Contact>(200, "The contact.")
            .problems(&["unknown-contact", "unknown-parameter"]),
    ]
}

fn people() -> Vec<Op> {
    let ids = || pattern(shape::decimal(u64::MAX));
    let agent = [
        ("name", true, shape::line(1, NAME)),
        ("skills", false, shape::levels(roster::SKILLS_MAX)),
        ("units", false, integer(1, roster::UNITS_MAX as u64)),
        ("cost_ms", false, shape::signed(-roster::COST_MAX_MS, roster::COST_MAX_MS)),
    ];
    let account = [
        ("name", true, shape::line(1, NAME)),
        ("delivery", true, shape::words(&["view", "push"])),
        ("weight", false, integer(1, roster::UNITS_MAX as u64)),
        ("queue", false, shape::line(0, NAME)),
    ];
    let writes = ["contradictory", "limit-reached", "no-policy"];
    vec![
        page(
            Op::get("/v1/tenants/{tenant}/agents", roster::agents)
                .named("agents", "listAgents", "The roster")
                .needs(Permission::ReadFloor)
                .answers::<roster::AgentPage>(200, "A page."),
            ids(),
        ),
        Op::get("/v1/tenants/{tenant}/agents/{agent}", roster::read_one_agent)
            .named("agents", "readAgent", "An agent")
            .needs(Permission::ReadFloor)
            .answers::<roster::Agent>(200, "The agent.")
            .problems(&["unknown-agent", "unknown-parameter"]),
        Op::put("/v1/tenants/{tenant}/agents/{agent}", roster::agent)
            .named("agents", "putAgent", "Adds or changes an agent")
            .says("Waiting contacts are looked at again at once. An agent is not taken out of the roster in this release: sign the seat out.")
            .needs(Permission::WriteRoster)
            .keyed(false)
            .reads("PutAgent", shape::object(&agent))
            .answer(200, "It is in the log and in force.", Some(("application/json", roster::agent_written())))
            .problems(&writes),
        Op::get("/v1/tenants/{tenant}/accounts", roster::accounts)
            .named("accounts", "listAccounts", "Channel accounts")
            .needs(Permission::ReadFloor)
            .answers::<roster::AccountList>(200, "All of them.")
            .problems(&["unknown-parameter"]),
        Op::get("/v1/tenants/{tenant}/accounts/{account}", roster::read_one_account)
            .named("accounts", "readAccount", "A channel account")
            .needs(Permission::ReadFloor)
            .answers::<roster::Account>(200, "The account.")
            .problems(&["unknown-account", "unknown-parameter"]),
        Op::put("/v1/tenants/{tenant}/accounts/{account}", roster::account)
            .named("accounts", "putAccount", "Adds or changes a channel account")
            .needs(Permission::WriteAccounts)
            .keyed(false)
            .reads("PutAccount", shape::object(&account))
            .answer(200, "It is in the log and in force.", Some(("application/json", roster::account_written())))
            .problems(&writes),
        page(
            Op::get("/v1/tenants/{tenant}/seats", seats::list)
                .named("seats", "listSeats", "Seats: presence and units")
                .needs(Permission::ReadFloor)
                .answers::<seats::SeatPage>(200, "A page."),
            ids(),
        ),
        Op::get("/v1/tenants/{tenant}/seats/{seat}", seats::one)
            .named("seats", "readSeat", "A seat with its offers and claims")
            .needs(Permission::ReadFloor)
            .answers::<seats::SeatDetail>(200, "The seat.")
            .problems(&["unknown-seat", "unknown-parameter"]),
        Op::post("/v1/tenants/{tenant}/seats/{seat}/commands", seats::command)
            .named("seats", "commandSeat", "An act of a seat's agent")
            .says("The acts of a desk, for embedders without WebSocket. `sign_in` starts paused; say `ready`. The machine keeps the outcomes of a \
                   seat's last sixteen commands by their keys.")
            .needs(Permission::ActAtAnySeat)
            .keyed(true)
            .reads("SeatCommand", seats::command_shape())
            .answers::<seats::Commanded>(200, "It was done, durably.")
            .problems(&["unknown-seat", "unknown-queue", "not-signed-in", "offer-gone", "claim-gone", "no-policy", "limit-reached", "contradictory"]),
        Op::get("/v1/tenants/{tenant}/queues", roster::queues)
            .named("queues", "listQueues", "Queues: who waits since when, who could serve")
            .needs(Permission::ReadFloor)
            .answers::<roster::QueueList>(200, "All queues of the active policy.")
            .problems(&["unknown-parameter"]),
    ]
}

fn policies() -> Vec<Op> {
    // No longest length here: it is told in the description, and nobody gains by generating texts of 128 KiB.
    let text = any_text;
    let etag = || pattern("^(\\*|\"[0-9a-f]{64}\")$");
    vec![
        Op::get("/v1/tenants/{tenant}/policy", policy::read)
            .named("policies", "readPolicy", "The active policy's text")
            .needs(Permission::ReadPolicy)
            .header("If-None-Match", any_text(), "An ETag: 304 when that policy is still active.")
            .answer(200, "The text.", Some(("application/toml", any_text())))
            .with_header("ETag", "BLAKE3 of the text, in quotes.")
            .answer(304, "Unchanged.", None)
            .problems(&["unknown-policy", "unknown-parameter"]),
        Op::put("/v1/tenants/{tenant}/policy", policy::write)
            .named("policies", "putPolicy", "Activates a policy")
            .says("TOML of at most 128 KiB, checked whole before it is an entry; a swap keeps offers, claims and seniority.")
            .needs(Permission::WritePolicy)
            .keyed(false)
            .header("If-Match", etag(), "Activate only if this policy is active.")
            .header("If-None-Match", pattern("^\\*$"), "`*`: activate only the first policy.")
            .query("dry_run", shape::words(&["true", "false"]), "Check only.")
            .reads_text(&policy::TEXT_KINDS, text())
            .answer(200, "It is active.", Some(("application/json", policy::activated_shape())))
            .with_header("ETag", "BLAKE3 of the text, in quotes.")
            .problems(&["policy-invalid", "policy-changed", "policy-under-way", "contradictory", "limit-reached"]),
        Op::post("/v1/tenants/{tenant}/policy/validate", policy::validate)
            .named("policies", "validatePolicy", "Checks a policy and says what a swap would do")
            .says("Nothing changes. Every fault with line, column, field, problem and remedy; for a good policy, how many waiting contacts would lose \
                   their step or queue.")
            .needs(Permission::CheckPolicy)
            .reads_text(&policy::TEXT_KINDS, text())
            .answers::<policy::PolicyChecked>(200, "What was found.")
            .problems(&["unknown-parameter"]),
    ]
}

fn events() -> Vec<Op> {
    // Kinds, the first word of kinds, and everything.
    let mut kinds: Vec<String> = KINDS.iter().map(|kind| (*kind).to_owned()).collect();
    kinds.extend(KINDS.iter().filter_map(|kind| Some(format!("{}.*", kind.split_once('.')?.0))));
    kinds.push("*".to_owned());
    kinds.sort();
    kinds.dedup();
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    let settings = || {
        vec![
            ("types", false, shape::list(shape::words(&kinds), PATTERNS_MAX)),
            ("include_bodies", false, shape::switch()),
            ("paused", false, shape::switch()),
        ]
    };
    let secret = || shape::line(1, 128);
    let url = || shape::line(1, URL_BYTES_MAX);
    let mut create = vec![("url", true, url()), ("secret", false, secret())];
    create.extend(settings());
    let mut change = vec![("url", false, url())];
    change.extend(settings());
    let rotate = [("keep_old_s", false, integer(0, 7 * 86_400)), ("secret", false, secret())];
    let webhook = || Some(("application/json", webhooks::shape()));
    let one = |op: Op| op.problems(&["no-webhooks", "unknown-webhook"]);
    let write = |op: Op| one(op.needs(Permission::ManageWebhooks).keyed(false));
    vec![
        Op::get("/v1/tenants/{tenant}/events", stream::read)
            .named("events", "streamEvents", "What happens at the tenant, as server-sent events")
            .says(
                "CloudEvents with ids; `Last-Event-ID` or `after` resumes, `after=0` is the oldest kept, without a place it begins now. A silent \
                 stream sends an id every 15 s; what retention took from a reader is told as an event `gap`. Bodies of messages never stand here.",
            )
            .needs(Permission::ReadFloor)
            .query("types", any_text(), "Kinds, separated by commas: `contact.*,message.from_customer`.")
            .query("conversation", pattern("^(?!0+$)[0-9a-fA-F]{1,32}$"), "Only this conversation's.")
            .query("after", shape::event(), "The newest event that the reader has.")
            .answer(200, "The stream.", Some(("text/event-stream", any_text())))
            .problems(&["no-events", "events-gone", "busy"]),
        Op::get("/v1/tenants/{tenant}/webhooks", webhooks::list)
            .named("webhooks", "listWebhooks", "Webhooks: at most 32 of a tenant")
            .needs(Permission::ReadWebhooks)
            .answer(200, "All of them.", Some(("application/json", shape::open_object(&[("webhooks", anything())]))))
            .problems(&["no-webhooks", "unknown-parameter"]),
        Op::post("/v1/tenants/{tenant}/webhooks", webhooks::create)
            .named("webhooks", "createWebhook", "Subscribes a receiver")
            .says("The secret is in this answer and nowhere else. Deliveries are CloudEvents signed as Standard Webhooks.")
            .needs(Permission::ManageWebhooks)
            .keyed(false)
            .reads("CreateWebhook", shape::object(&create))
            .answer(201, "It delivers.", webhook())
            .problems(&["no-webhooks", "limit-reached"]),
        one(Op::get("/v1/tenants/{tenant}/webhooks/{id}", webhooks::read)
            .named("webhooks", "readWebhook", "A webhook")
            .needs(Permission::ReadWebhooks)
            .answer(200, "The webhook.", webhook())
            .problems(&["unknown-parameter"])),
        write(Op::patch("/v1/tenants/{tenant}/webhooks/{id}", webhooks::change).named("webhooks", "changeWebhook", "Changes a webhook"))
            .reads("ChangeWebhook", shape::object(&change))
            .optional_body()
            .answer(200, "It was changed.", webhook()),
        write(Op::delete("/v1/tenants/{tenant}/webhooks/{id}", webhooks::remove).named("webhooks", "removeWebhook", "Removes a webhook"))
            .answer(200, "It is gone.", Some(("application/json", shape::open_object(&[("removed", shape::switch())]))))
            .problems(&webhooks::BODY_PROBLEMS),
        write(
            Op::post("/v1/tenants/{tenant}/webhooks/{id}/rotate", webhooks::rotate)
                .named("webhooks", "rotateWebhook", "A new secret; the old one goes on signing for a while"),
        )
        .reads("RotateWebhook", shape::object(&rotate))
        .optional_body()
        .answer(200, "The new secret is in this answer and nowhere else.", webhook()),
        write(
            Op::post("/v1/tenants/{tenant}/webhooks/{id}/rewind", webhooks::rewind)
                .named("webhooks", "rewindWebhook", "Delivers from a place again"),
        )
        .reads("RewindWebhook", shape::object(&[("after", true, shape::event())]))
        .answer(200, "It delivers from there.", webhook()),
        write(
            Op::post("/v1/tenants/{tenant}/webhooks/{id}/test", webhooks::test)
                .named("webhooks", "testWebhook", "Sends a ping and says how it went"),
        )
        .answer(200, "How it went.", Some(("application/json", shape::open_object(&[("delivered", shape::switch())]))))
        .problems(&webhooks::BODY_PROBLEMS),
        one(Op::get("/v1/tenants/{tenant}/webhooks/{id}/dead-letters", webhooks::letters)
            .named("webhooks", "listDeadLetters", "What could not be delivered")
            .needs(Permission::ReadWebhooks)
            .query("after", shape::event(), "`next` of the page before; absent for the first.")
            .query("max", integer(1, 100), "Most rows of the page.")
            .answer(200, "A page.", Some(("application/json", shape::open_object(&[("dead_letters", anything())]))))),
        write(
            Op::post("/v1/tenants/{tenant}/webhooks/{id}/dead-letters/{event}/resend", webhooks::resend)
                .named("webhooks", "resendDeadLetter", "Sends a dead letter again"),
        )
        .answer(202, "It is on its way.", Some(("application/json", shape::open_object(&[("id", any_text())]))))
        .problems(&["unknown-dead-letter"])
        .problems(&webhooks::BODY_PROBLEMS),
    ]
}
