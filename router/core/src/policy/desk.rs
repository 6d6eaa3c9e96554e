//! The `[desk]` table of a policy file: what agents' desks show, read and checked beside the rules.
//!
//! ```toml
//! [desk]
//! warn_after = "100s"             # a customer's unanswered message is pressing after this
//! breach_after = "180s"           # and overdue after this
//! auto_accept = ["phone"]         # channels whose offers the desk accepts by itself
//! pause = [{ code = "lunch", en = "Lunch", zh = "午餐" }]
//! decline = [{ code = "busy", en = "Busy" }]
//! wrap_up = [{ code = "solved", en = "Solved", zh = "已解决" }]
//!   [[desk.queue]]
//!   name = "sales"                # must be a queue of the file
//!   en = "Sales"
//!   zh = "销售"
//!   transfer = false              # not shown as a target
//!   wrap_up = [{ code = "sold", en = "Sold" }]
//!   answer_within = "20s"         # its service level's target, as the wall shows it: 80 of 100 served within 20 s
//!   answer_percent = 80
//! ```
//! Every field is optional; lists that are absent have defaults. It is versioned with the file, by its hash, and no decision
//! reads it: neither the compiled policy nor an entry holds any of it.

use super::text::Faults;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Deserialize;
use tidegate_model::Millis;
use tidegate_model::limits::NAME_BYTES_MAX;
use tidegate_model::policy::{Code, DESK_CODES_MAX, Desk, DeskQueue, Target};
use toml::Spanned;

/// Longest shown text, in bytes.
pub const SHOWN_BYTES_MAX: usize = 128;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDesk {
    #[serde(default)]
    warn_after: Option<Spanned<String>>,
    #[serde(default)]
    breach_after: Option<Spanned<String>>,
    #[serde(default)]
    auto_accept: Vec<String>,
    #[serde(default)]
    pause: Option<Spanned<Vec<Spanned<RawCode>>>>,
    #[serde(default)]
    decline: Option<Spanned<Vec<Spanned<RawCode>>>>,
    #[serde(default)]
    wrap_up: Option<Spanned<Vec<Spanned<RawCode>>>>,
    #[serde(default)]
    queue: Vec<RawQueue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCode {
    code: String,
    en: String,
    #[serde(default)]
    zh: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawQueue {
    name: Spanned<String>,
    #[serde(default)]
    en: Option<String>,
    #[serde(default)]
    zh: Option<String>,
    #[serde(default)]
    transfer: Option<bool>,
    #[serde(default)]
    wrap_up: Option<Spanned<Vec<Spanned<RawCode>>>>,
    #[serde(default)]
    answer_within: Option<Spanned<String>>,
    #[serde(default)]
    answer_percent: Option<Spanned<i64>>,
}

pub(super) fn build(raw: RawDesk, queues: &[String], faults: &mut Faults<'_>) -> Desk {
    let default = Desk::default();
    let warn = faults.span("desk.warn_after", raw.warn_after.as_ref(), default.warn);
    let breach = faults.span("desk.breach_after", raw.breach_after.as_ref(), default.breach);
    if warn == Millis(0) || breach <= warn {
        let at = raw.breach_after.as_ref().or(raw.warn_after.as_ref()).map_or(0, |value| value.span().start);
        let problem = format!("{} ms is not after warn_after, {} ms", breach.0, warn.0);
        faults.add(at, "desk.breach_after", problem, "let warn_after be above 0s and breach_after above it".into());
    }
    let names: Vec<&str> = queues.iter().map(String::as_str).collect();
    let mut said: Vec<DeskQueue> = Vec::new();
    for queue in &raw.queue {
        let (name, at) = (queue.name.get_ref(), queue.name.span().start);
        if !names.contains(&name.as_str()) {
            faults.unknown(at, "desk.queue.name", name, &names);
        } else if said.iter().any(|other| other.name == *name) {
            faults.add(
                at,
                "desk.queue.name",
                format!("\"{name}\" stands twice"),
                "say all of a queue in one [[desk.queue]]".into(),
            );
        }
        let en = queue.en.clone().unwrap_or_else(|| name.clone());
        said.push(DeskQueue {
            name: name.clone(),
            zh: queue.zh.clone().unwrap_or_else(|| en.clone()),
            en,
            transfer: queue.transfer.unwrap_or(true),
            wrap_up: queue.wrap_up.as_ref().map(|list| codes("desk.queue.wrap_up", list, faults)),
            target: target(queue, faults),
        });
    }
    let mut list = |field: &str, list: Option<&Spanned<Vec<Spanned<RawCode>>>>, default: Vec<Code>| match list {
        Some(list) => codes(field, list, faults),
        None => default,
    };
    Desk {
        pause: list("desk.pause", raw.pause.as_ref(), default.pause),
        decline: list("desk.decline", raw.decline.as_ref(), default.decline),
        wrap_up: list("desk.wrap_up", raw.wrap_up.as_ref(), default.wrap_up),
        warn,
        breach,
        auto_accept: raw.auto_accept,
        queues: said,
    }
}

fn target(queue: &RawQueue, faults: &mut Faults<'_>) -> Target {
    let default = Target::default();
    let within = faults.span("desk.queue.answer_within", queue.answer_within.as_ref(), default.within);
    if let Some(raw) = queue.answer_within.as_ref().filter(|_| within == Millis(0)) {
        let at = raw.span().start;
        faults.add(
            at,
            "desk.queue.answer_within",
            "nobody is served within 0 s".into(),
            "write a span above it, such as 20s".into(),
        );
    }
    let percent = queue.answer_percent.as_ref().map_or(Ok(default.percent), |raw| match u8::try_from(*raw.get_ref()) {
        Ok(percent @ 1..=100) => Ok(percent),
        _ => Err(raw),
    });
    let percent = percent.unwrap_or_else(|raw| {
        let problem = format!("{} of a hundred", raw.get_ref());
        faults.add(raw.span().start, "desk.queue.answer_percent", problem, "write a whole number from 1 to 100".into());
        default.percent
    });
    Target { within, percent }
}

fn codes(field: &str, list: &Spanned<Vec<Spanned<RawCode>>>, faults: &mut Faults<'_>) -> Vec<Code> {
    if list.get_ref().len() > DESK_CODES_MAX {
        let problem = format!("{} entries; at most {DESK_CODES_MAX} can be shown", list.get_ref().len());
        faults.add(list.span().start, field, problem, "leave out those that are used least".into());
    }
    let mut found: Vec<Code> = Vec::new();
    for entry in list.get_ref() {
        let (at, raw) = (entry.span().start, entry.get_ref());
        let zh = raw.zh.as_deref().unwrap_or(&raw.en);
        if raw.code.is_empty() || raw.code.len() > NAME_BYTES_MAX {
            faults.add(
                at,
                field,
                format!("a code has 1 to {NAME_BYTES_MAX} bytes, this one has {}", raw.code.len()),
                String::new(),
            );
        }
        if raw.en.is_empty() || raw.en.len().max(zh.len()) > SHOWN_BYTES_MAX {
            faults.add(at, field, format!("a shown text has 1 to {SHOWN_BYTES_MAX} bytes"), String::new());
        }
        if found.iter().any(|other| other.code == raw.code) {
            faults.add(at, field, format!("code \"{}\" stands twice", raw.code), "rename or remove one of them".into());
        }
        found.push(Code::new(&raw.code, &raw.en, zh));
    }
    found
}
