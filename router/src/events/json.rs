//! Events as CloudEvents 1.0 in JSON: the one rendering that streams and webhooks share.
//!
//! Envelope: `specversion`, `id` (the event's number), `source` (`/v1/tenants/{t}`), `type` (`tidegate.contact.ended.v1`),
//! `subject` (`conversations/{hex}` where there is one), `time` (log time, RFC 3339), `datacontenttype`, `data`, and the
//! extensions `sequence` (sorts as text as the log does) and `tenant`. In `data`: ids of 64 bits are decimal text,
//! conversations hexadecimal, as everywhere in the API; times end in `_ms` and are log time in milliseconds since the epoch.
//! A name that no active policy has held since the start is `#` and its symbol. docs/protocol.md has the table.

use super::fact::{Event, Fact, KINDS};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use tidegate_model::file::FileFacts;
use tidegate_model::output::{Presence, Rescind};
use tidegate_model::policy::Policy;
use tidegate_model::record::{ContactRecord, DecisionRecord, Exit, Face};
use tidegate_model::{ConversationId, Timestamp};

/// Texts of names by symbol; a symbol means the same under every policy, so names are only ever added.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Names(HashMap<u64, String>);

impl Names {
    /// Learns every name of a policy.
    pub fn learn(&mut self, policy: &Policy) {
        let queues = policy.queues.iter().map(|queue| &queue.name);
        let classes = policy.classes.iter().map(|class| &class.name);
        let reasons = policy.refusals.iter().map(|refusal| &refusal.reason);
        for name in queues.chain(classes).chain(reasons).chain(&policy.skills) {
            self.0.entry(tidegate_model::name::symbol(name)).or_insert_with(|| name.clone());
        }
    }

    /// A name's text, when a policy that was learned has it.
    #[must_use]
    pub fn text(&self, symbol: u64) -> Option<&str> {
        self.0.get(&symbol).map(String::as_str)
    }

    fn of(&self, symbol: u64) -> Value {
        match self.0.get(&symbol) {
            _ if symbol == 0 => Value::Null,
            Some(name) => json!(name),
            None => json!(format!("#{symbol:016x}")),
        }
    }
}

/// The body of a message event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Not asked for.
    Withheld,
    /// The text.
    Text(String),
    /// The file's facts; its bytes are fetched over the channels' own routes.
    File(FileFacts),
    /// Asked for, and no longer kept.
    Gone,
}

/// An event in its envelope. O(size of the event).
#[must_use]
pub fn cloud_event(event: &Event, names: &Names, body: &Body) -> Value {
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| drop(out.insert(name.to_owned(), value));
    put("specversion", json!("1.0"));
    put("id", json!(event.no.to_string()));
    put("source", json!(format!("/v1/tenants/{}", event.tenant.0)));
    put("type", json!(format!("tidegate.{}.v1", KINDS[event.fact.kind()])));
    if let Some(conversation) = event.fact.conversation() {
        put("subject", json!(format!("conversations/{:x}", conversation.0)));
    }
    put("time", json!(rfc3339(event.at)));
    put("datacontenttype", json!("application/json"));
    put("sequence", json!(format!("{:020}.{:010}", event.no.seq.0, event.no.index)));
    put("tenant", json!(event.tenant.0.to_string()));
    put("data", data(event, names, body));
    Value::Object(out)
}

fn data(event: &Event, names: &Names, body: &Body) -> Value {
    let mut data = match event.fact {
        Fact::ConversationOpened { account, .. } | Fact::ConversationClosed { account, .. } => json!({ "account": account.0 }),
        Fact::ContactBegan { n, contact, .. } => json!({ "contact": id(contact.0), "n": n }),
        Fact::ContactQueued { n, queue, .. } => json!({ "n": n, "queue": names.of(queue.0) }),
        Fact::ContactOffered { contact, seat, offer, queue, waiting_since, deadline, .. } => json!({
            "contact": id(contact.0), "seat": id(seat.0), "offer": id(offer.0), "queue": names.of(queue.0),
            "waiting_since_ms": waiting_since.0, "deadline_ms": deadline.0,
        }),
        Fact::OfferWithdrawn { contact, seat, offer, why, .. } => json!({
            "contact": id(contact.0), "seat": id(seat.0), "offer": id(offer.0), "why": withdrawn(why),
        }),
        Fact::ContactAssigned { contact, seat, claim, .. } => {
            json!({ "contact": id(contact.0), "seat": id(seat.0), "claim": id(claim.0) })
        }
        Fact::ContactTransferred { n, .. } => json!({ "n": n }),
        Fact::ContactEnded(record) => ended(&record, names),
        Fact::MessageFromCustomer { n, .. } => message(n, body),
        Fact::MessageFromAgent { n, seat, .. } => {
            let mut data = message(n, body);
            data["seat"] = id(seat.0);
            data
        }
        Fact::PresenceChanged { seat, presence } => {
            let (word, reason) = match presence {
                Presence::SignedOut => ("signed_out", Value::Null),
                Presence::Ready => ("ready", Value::Null),
                Presence::Paused { reason } => ("paused", names.of(reason.0)),
                Presence::NotResponding => ("not_responding", Value::Null),
            };
            json!({ "seat": id(seat.0), "presence": word, "reason": reason })
        }
        Fact::WrapUp { contact, seat, claim, until, .. } => {
            json!({ "contact": id(contact.0), "seat": id(seat.0), "claim": id(claim.0), "until_ms": until.0 })
        }
        Fact::ClaimReleased { contact, seat, claim, .. } => {
            json!({ "contact": id(contact.0), "seat": id(seat.0), "claim": id(claim.0) })
        }
        Fact::PolicyActivated { hash, steps_remapped } => {
            let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "hash": hash, "steps_remapped": steps_remapped })
        }
        Fact::ContactPoisoned { contact } => json!({ "contact": id(contact.0) }),
        Fact::Decision(record) => decision(&record, names),
        Fact::Ping => json!({}),
    };
    if let (Some(conversation), Some(data)) = (event.fact.conversation(), data.as_object_mut()) {
        data.insert("conversation".to_owned(), hex(conversation));
    }
    data
}

fn message(n: u32, body: &Body) -> Value {
    match body {
        Body::Withheld => json!({ "n": n }),
        Body::Text(text) => json!({ "n": n, "text": text }),
        Body::File(file) => json!({ "n": n, "file": {
            "file": file.hash.to_string(), "name": file.name, "media_type": file.media_type, "bytes": file.bytes,
        } }),
        Body::Gone => json!({ "n": n, "text": null }),
    }
}

fn ended(record: &ContactRecord, names: &Names) -> Value {
    let reason = match record.exit {
        Exit::Refused(reason) => names.of(reason.0),
        _ => Value::Null,
    };
    json!({
        "contact": id(record.contact.0), "account": record.account.0, "customer": some(record.customer.0),
        "queue": names.of(record.queue.0), "class": names.of(record.class.0), "exit": record.exit.slug(), "reason": reason,
        "seat": some(record.seat.0), "offers": record.offers, "segments": record.segments,
        "began_ms": record.began_at.0, "requested_ms": ms(record.requested_at), "offered_ms": ms(record.offered_at),
        "assigned_ms": ms(record.assigned_at), "ended_ms": record.ended_at.0,
        // From the customer's first event, never from the queue: transfers do not start it again.
        "wait_ms": record.assigned_at.unwrap_or(record.ended_at).0.saturating_sub(record.began_at.0),
    })
}

fn decision(record: &DecisionRecord, names: &Names) -> Value {
    let terms = record.terms;
    json!({
        "contact": id(record.contact.0), "seat": id(record.seat.0), "offer": id(record.offer.0),
        "queue": names.of(record.queue.0), "step": record.step, "candidates": record.candidates,
        "face": match record.face { Face::SelectAgent => "select_agent", Face::SelectContact => "select_contact" },
        // Milliseconds of virtual wait shifted left by 16: up to 62 bits, hence text.
        "score_q16": terms.score().to_string(),
        "terms_q16": {
            "base": terms.base.to_string(), "queue": terms.queue.to_string(), "wait": terms.wait.to_string(),
            "idle": terms.idle.to_string(), "cost": terms.cost.to_string(), "affinity": terms.affinity.to_string(),
            "overdue": terms.overdue.to_string(),
        },
        "runner_up": record.runner_up.map(|other| json!({ "id": id(other.id), "score_q16": other.score.to_string() })),
        "excluded": record.passed.excluded, "ineligible": record.passed.ineligible, "version": record.version,
    })
}

fn id(id: u64) -> Value {
    json!(id.to_string())
}

fn some(number: u64) -> Value {
    if number == 0 { Value::Null } else { id(number) }
}

fn ms(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| json!(at.0))
}

fn hex(conversation: ConversationId) -> Value {
    json!(format!("{:x}", conversation.0))
}

const fn withdrawn(why: Rescind) -> &'static str {
    match why {
        Rescind::CustomerLeft => "customer_left",
        Rescind::Expired => "expired",
        Rescind::TimedOut => "timed_out",
        Rescind::SeatGone => "seat_gone",
        Rescind::Declined => "declined",
    }
}

/// Milliseconds since the epoch as RFC 3339 in UTC. Civil date from days: Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`. Past the year 9999 the form has no room: the last moment that it can say is said.
fn rfc3339(at: Timestamp) -> String {
    let at = at.0.min(253_402_300_799_999);
    let (days, of_day) = (at / 86_400_000, at % 86_400_000);
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second, milli) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1_000 % 60, of_day % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests {
    use super::rfc3339;
    use tidegate_model::Timestamp;

    #[test]
    fn dates_are_civil() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_001, "2000-02-29T00:00:00.001Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (1_709_251_200_000, "2024-03-01T00:00:00.000Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(Timestamp(ms)), text, "{ms}");
        }
    }
}
