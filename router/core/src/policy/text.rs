//! The policy file: TOML to [`Policy`], with file, line, field, what was expected and the nearest valid name in each error.
//!
//! ```toml
//! name = "shop"
//! selection = "longest-idle"      # or best-skilled, least-skilled, least-loaded
//! default_queue = "sales"
//! default_class = "regular"
//! skills = ["sales", "english"]
//!
//! [[class]]
//! name = "regular"                # head_start = "0s", slope = 1
//!
//! [[queue]]
//! name = "sales"
//! offer_timeout = "20s"
//! wrap_up = "10s"
//! overdue_after = "10min"
//!   [[queue.step]]
//!   name = "strict"
//!   requires = { sales = 5 }
//!   lasts = "30s"
//!   [[queue.step]]
//!   name = "anyone"
//! ```
//! An optional `[desk]` table says what agents' desks show ([`super::desk`] reads it); no decision does.
//! Unknown fields are errors. All faults of the text are reported at once, in order of their lines, as far as it can be read.

use super::desk::{self, RawDesk};
use super::duration;
use super::nearest::nearest;
use super::plan::{PolicyFault, check};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::Deserialize;
use thiserror::Error;
use tidegate_model::policy::{Class, Desk, ONE_Q16, Policy, Queue, Refusal, Requirement, Selection, SkipIf, Step};
use tidegate_model::{Level, Millis};
use toml::Spanned;

/// Longest policy text, in bytes.
pub const POLICY_TEXT_BYTES_MAX: usize = 128 * 1024;

/// One fault of a policy's text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyError {
    /// The file as named by the caller.
    pub file: String,
    /// Line, from 1; 0 when the fault belongs to no line.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// The field, as a path.
    pub field: String,
    /// What is wrong and what was expected.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}: {}", self.file, self.line, self.column, self.field, self.problem)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, " ({})", self.remedy) }
    }
}

/// Every fault found.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub struct PolicyErrors(pub Vec<PolicyError>);

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicy {
    name: String,
    #[serde(default)]
    selection: Option<Spanned<String>>,
    #[serde(default)]
    idle_slope: Option<Spanned<Number>>,
    #[serde(default)]
    level_weight: Option<Spanned<String>>,
    #[serde(default)]
    affinity: Option<Spanned<String>>,
    #[serde(default)]
    preferred_for: Option<Spanned<String>>,
    #[serde(default)]
    last_seat_within: Option<Spanned<String>>,
    #[serde(default)]
    idle_close_after: Option<Spanned<String>>,
    default_queue: Spanned<String>,
    default_class: Spanned<String>,
    #[serde(default)]
    skills: Vec<String>,
    #[serde(default)]
    class: Vec<RawClass>,
    #[serde(default)]
    queue: Vec<RawQueue>,
    #[serde(default)]
    refuse: Vec<RawRefusal>,
    #[serde(default)]
    desk: RawDesk,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClass {
    name: String,
    #[serde(default)]
    head_start: Option<Spanned<String>>,
    #[serde(default)]
    slope: Option<Spanned<Number>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawQueue {
    name: Spanned<String>,
    #[serde(default)]
    weight: Option<Spanned<String>>,
    #[serde(default)]
    offer_timeout: Option<Spanned<String>>,
    #[serde(default)]
    wrap_up: Option<Spanned<String>>,
    #[serde(default)]
    overdue_after: Option<Spanned<String>>,
    #[serde(default)]
    gives_up_after: Option<Spanned<String>>,
    #[serde(default)]
    length_max: Option<u32>,
    #[serde(default)]
    step: Vec<RawStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    name: String,
    #[serde(default)]
    requires: BTreeMap<Spanned<String>, Spanned<u8>>,
    #[serde(default)]
    lasts: Option<Spanned<String>>,
    #[serde(default)]
    skip_if: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRefusal {
    tag: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Whole(i64),
    Decimal(f64),
    Text(String),
}

impl Number {
    /// The decimal text: Display of f64 is the shortest that reads back, the same on every machine.
    fn text(&self) -> String {
        match self {
            Self::Whole(n) => n.to_string(),
            Self::Decimal(n) => n.to_string(),
            Self::Text(t) => t.clone(),
        }
    }
}

pub(super) struct Faults<'a> {
    file: &'a str,
    text: &'a str,
    found: Vec<PolicyError>,
}

impl Faults<'_> {
    fn place(&self, offset: usize) -> (u32, u32) {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        (line as u32, column as u32)
    }

    pub(super) fn add(&mut self, offset: usize, field: &str, problem: String, remedy: String) {
        let (line, column) = self.place(offset);
        self.found.push(PolicyError { file: self.file.into(), line, column, field: field.into(), problem, remedy });
    }

    pub(super) fn span(&mut self, field: &str, value: Option<&Spanned<String>>, default: Millis) -> Millis {
        let Some(value) = value else { return default };
        duration::parse(value.get_ref()).unwrap_or_else(|| {
            let problem = alloc::format!("\"{}\" is no span", value.get_ref());
            self.add(value.span().start, field, problem, "write a whole number and a unit: 500ms, 30s, 5min, 2h, 7d".into());
            default
        })
    }

    fn optional(&mut self, field: &str, value: Option<&Spanned<String>>) -> Option<Millis> {
        value.map(|v| self.span(field, Some(v), Millis(1)))
    }

    /// A span that may carry a minus sign, as a score term in milliseconds.
    fn signed(&mut self, field: &str, value: Option<&Spanned<String>>) -> i64 {
        let Some(value) = value else { return 0 };
        let text = value.get_ref();
        let (sign, magnitude) = text.strip_prefix('-').map_or((1, text.as_str()), |rest| (-1, rest));
        match duration::parse(magnitude).and_then(|m| i64::try_from(m.0).ok()) {
            Some(ms) => sign * ms,
            None => {
                let problem = alloc::format!("\"{text}\" is no span");
                self.add(value.span().start, field, problem, "write a whole number and a unit: 30s, -5min".into());
                0
            }
        }
    }

    fn slope(&mut self, field: &str, value: Option<&Spanned<Number>>, default: i64) -> i64 {
        let Some(value) = value else { return default };
        duration::slope_q16(&value.get_ref().text()).unwrap_or_else(|| {
            let problem = alloc::format!("{} is no slope", value.get_ref().text());
            self.add(value.span().start, field, problem, "write a decimal from 0 to 256 with at most six places".into());
            default
        })
    }

    fn one_of<T: Copy>(&mut self, field: &str, value: Option<&Spanned<String>>, choices: &[(&str, T)], default: T) -> T {
        let Some(value) = value else { return default };
        if let Some((_, choice)) = choices.iter().find(|(name, _)| name == value.get_ref()) {
            return *choice;
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        self.unknown(value.span().start, field, value.get_ref(), &names);
        default
    }

    pub(super) fn unknown(&mut self, offset: usize, field: &str, wrong: &str, names: &[&str]) {
        let remedy = match nearest(wrong, names.iter().copied()) {
            Some(name) => alloc::format!("did you mean \"{name}\"?"),
            None => alloc::format!("valid names: {}", names.join(", ")),
        };
        self.add(offset, field, alloc::format!("unknown name \"{wrong}\""), remedy);
    }
}

/// Reads and checks a policy file. `file` is only named in errors.
///
/// # Errors
/// Every fault found, with line, column, field and remedy.
pub fn parse(file: &str, text: &str) -> Result<Policy, PolicyErrors> {
    parse_whole(file, text).map(|(policy, _)| policy)
}

/// As [`parse`], with what the `[desk]` table says, defaults filled in.
///
/// # Errors
/// As [`parse`].
pub fn parse_whole(file: &str, text: &str) -> Result<(Policy, Desk), PolicyErrors> {
    let mut faults = Faults { file, text, found: Vec::new() };
    if text.len() > POLICY_TEXT_BYTES_MAX {
        let problem = alloc::format!("{} bytes; at most {POLICY_TEXT_BYTES_MAX} are read", text.len());
        faults.add(0, "policy", problem, "split the tenant, or shorten the policy".into());
        return Err(PolicyErrors(faults.found));
    }
    let raw: RawPolicy = match toml::from_str(text) {
        Ok(raw) => raw,
        Err(error) => {
            let offset = error.span().map_or(0, |s| s.start);
            let remedy = unknown_field_remedy(error.message());
            faults.add(offset, "policy", error.message().into(), remedy);
            return Err(PolicyErrors(faults.found));
        }
    };
    let mut raw = raw;
    let queue_names: Vec<String> = raw.queue.iter().map(|queue| queue.name.get_ref().clone()).collect();
    let desk = desk::build(core::mem::take(&mut raw.desk), &queue_names, &mut faults);
    let policy = build(raw, &mut faults);
    let checked = if faults.found.is_empty() { check(&policy) } else { Ok(()) };
    if let Err(PolicyFault { field, problem }) = checked {
        let offset = super::place::offset_of(text, &field);
        faults.add(offset, &field, problem, String::new());
    }
    if faults.found.is_empty() {
        return Ok((policy, desk));
    }
    faults.found.sort_by_key(|e| (e.line, e.column));
    Err(PolicyErrors(faults.found))
}

/// Serde's message lists the fields that it expected; name the nearest one.
fn unknown_field_remedy(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let Some(wrong) = message.starts_with("unknown field").then(|| quoted.next()).flatten() else { return String::new() };
    nearest(wrong, quoted).map(|name| alloc::format!("did you mean \"{name}\"?")).unwrap_or_default()
}

fn build(raw: RawPolicy, faults: &mut Faults<'_>) -> Policy {
    let selections = [
        ("longest-idle", Selection::LongestIdle),
        ("best-skilled", Selection::BestSkilled),
        ("least-skilled", Selection::LeastSkilled),
        ("least-loaded", Selection::LeastLoaded),
    ];
    let queue_names: Vec<&str> = raw.queue.iter().map(|q| q.name.get_ref().as_str()).collect();
    if !queue_names.contains(&raw.default_queue.get_ref().as_str()) {
        faults.unknown(raw.default_queue.span().start, "default_queue", raw.default_queue.get_ref(), &queue_names);
    }
    let class_names: Vec<&str> = raw.class.iter().map(|c| c.name.as_str()).collect();
    if !class_names.contains(&raw.default_class.get_ref().as_str()) {
        faults.unknown(raw.default_class.span().start, "default_class", raw.default_class.get_ref(), &class_names);
    }
    let classes = raw
        .class
        .iter()
        .map(|c| Class {
            name: c.name.clone(),
            head_start: faults.span("class.head_start", c.head_start.as_ref(), Millis(0)),
            slope_q16: faults.slope("class.slope", c.slope.as_ref(), ONE_Q16),
        })
        .collect();
    let skills: Vec<&str> = raw.skills.iter().map(String::as_str).collect();
    let queues = raw.queue.iter().map(|q| queue(q, &skills, faults)).collect();
    Policy {
        selection: faults.one_of("selection", raw.selection.as_ref(), &selections, Selection::LongestIdle),
        idle_slope_q16: faults.slope("idle_slope", raw.idle_slope.as_ref(), 0),
        level_weight_ms: faults.span("level_weight", raw.level_weight.as_ref(), Millis(60_000)).0 as i64,
        affinity_ms: faults.span("affinity", raw.affinity.as_ref(), Millis(0)).0 as i64,
        preferred_for: faults.span("preferred_for", raw.preferred_for.as_ref(), Millis(30_000)),
        last_seat_within: faults.span("last_seat_within", raw.last_seat_within.as_ref(), Millis(0)),
        idle_close_after: faults.span("idle_close_after", raw.idle_close_after.as_ref(), Millis(48 * 3_600_000)),
        default_queue: raw.default_queue.get_ref().clone(),
        default_class: raw.default_class.get_ref().clone(),
        classes,
        queues,
        refusals: raw.refuse.iter().map(|r| Refusal { tag: r.tag.clone(), reason: r.reason.clone() }).collect(),
        skills: raw.skills,
        name: raw.name,
    }
}

fn queue(raw: &RawQueue, skills: &[&str], faults: &mut Faults<'_>) -> Queue {
    let mut steps: Vec<Step> = raw.step.iter().map(|s| step(s, skills, faults)).collect();
    if steps.is_empty() {
        // A queue without steps asks for nothing: any seat may serve it.
        steps.push(Step { name: "any".into(), requires: Vec::new(), lasts: None, skip_if: SkipIf::Never });
    }
    Queue {
        name: raw.name.get_ref().clone(),
        weight_ms: faults.signed("queue.weight", raw.weight.as_ref()),
        steps,
        offer_timeout: faults.span("queue.offer_timeout", raw.offer_timeout.as_ref(), Millis(20_000)),
        wrap_up: faults.span("queue.wrap_up", raw.wrap_up.as_ref(), Millis(0)),
        overdue_after: faults.optional("queue.overdue_after", raw.overdue_after.as_ref()),
        gives_up_after: faults.optional("queue.gives_up_after", raw.gives_up_after.as_ref()),
        length_max: raw.length_max.unwrap_or(100_000),
    }
}

fn step(raw: &RawStep, skills: &[&str], faults: &mut Faults<'_>) -> Step {
    let requires = raw
        .requires
        .iter()
        .map(|(skill, level)| {
            if !skills.contains(&skill.get_ref().as_str()) {
                faults.unknown(skill.span().start, "queue.step.requires", skill.get_ref(), skills);
            }
            Requirement { skill: skill.get_ref().clone(), level: Level(*level.get_ref()) }
        })
        .collect();
    Step {
        name: raw.name.clone(),
        requires,
        lasts: faults.optional("queue.step.lasts", raw.lasts.as_ref()),
        skip_if: faults.one_of(
            "queue.step.skip_if",
            raw.skip_if.as_ref(),
            &[("never", SkipIf::Never), ("no-seat", SkipIf::NoSeat)],
            SkipIf::Never,
        ),
    }
}
