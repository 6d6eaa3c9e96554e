//! A compiled policy: names become places, rules become look-ups.
//!
//! [`check`] and compilation refuse, by field, whatever would break a premise that the machine rests on: bounds under which no
//! score can overflow, at least one step a queue, names without collision of symbols, and the premise of "nobody starves"
//! (every queue has an overdue tier or an explicit end, or all slopes are equal).

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use thiserror::Error;
use tidegate_matcher::market::{BoundsError, Rule, Skill, check_bounds, check_rule};
use tidegate_model::limits::{NAME_BYTES_MAX, STEPS_MAX};
use tidegate_model::policy::{Policy, Requirement, SLOPE_MAX_Q16, SkipIf};
use tidegate_model::{ClassName, Level, Millis, QueueName, ReasonName, SkillName, TagName};

/// Longest span a policy may name: 2^31 ms, some 24 days.
pub const SPAN_MAX: Millis = Millis(1 << 31);
/// Most queues, classes, skills or refusals in a policy.
pub const ROWS_MAX: usize = 4_096;

/// Why a policy cannot become active.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{field}: {problem}")]
pub struct PolicyFault {
    /// The field, as a path: `queue "sales".step 2.requires`.
    pub field: String,
    /// What is wrong and what was expected.
    pub problem: String,
}

#[derive(Clone, Debug)]
pub(crate) struct StepPlan {
    pub(crate) name: u64,
    pub(crate) requires: Vec<Skill>,
    pub(crate) lasts: Option<Millis>,
    pub(crate) skip_if: SkipIf,
}

#[derive(Clone, Debug)]
pub(crate) struct QueuePlan {
    pub(crate) name: QueueName,
    pub(crate) weight_ms: i64,
    pub(crate) steps: Vec<StepPlan>,
    pub(crate) offer_timeout: Millis,
    pub(crate) wrap_up: Millis,
    pub(crate) overdue_after: Option<Millis>,
    pub(crate) gives_up_after: Option<Millis>,
    pub(crate) length_max: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct ClassPlan {
    pub(crate) name: ClassName,
    pub(crate) head_start: Millis,
    pub(crate) slope_q16: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) hash: [u8; 32],
    pub(crate) policy: Policy,
    pub(crate) queues: Vec<QueuePlan>,
    pub(crate) classes: Vec<ClassPlan>,
    pub(crate) default_queue: u16,
    pub(crate) default_class: u16,
    refusals: Vec<(TagName, ReasonName)>,
}

impl Plan {
    /// Compiles; O(policy).
    pub(crate) fn compile(hash: [u8; 32], policy: Policy) -> Result<Self, PolicyFault> {
        check(&policy)?;
        let queues: Vec<QueuePlan> = policy.queues.iter().map(queue_plan).collect();
        let classes: Vec<ClassPlan> = policy
            .classes
            .iter()
            .map(|c| ClassPlan { name: ClassName::of(&c.name), head_start: c.head_start, slope_q16: c.slope_q16 })
            .collect();
        let refusals = policy.refusals.iter().map(|r| (TagName::of(&r.tag), ReasonName::of(&r.reason))).collect();
        let mut plan = Self { hash, queues, classes, default_queue: 0, default_class: 0, refusals, policy };
        plan.default_queue = plan.queue(QueueName::of(&plan.policy.default_queue)).unwrap_or(0);
        plan.default_class = plan.class(ClassName::of(&plan.policy.default_class)).unwrap_or(0);
        Ok(plan)
    }

    pub(crate) fn queue(&self, name: QueueName) -> Option<u16> {
        self.queues.iter().position(|q| q.name == name).map(|i| i as u16)
    }

    pub(crate) fn class(&self, name: ClassName) -> Option<u16> {
        self.classes.iter().position(|c| c.name == name).map(|i| i as u16)
    }

    /// The reason for which a request with these tags is refused, if any: first rule first.
    pub(crate) fn refusal(&self, tags: &[TagName]) -> Option<ReasonName> {
        self.refusals.iter().find(|(tag, _)| tags.contains(tag)).map(|(_, reason)| *reason)
    }

    /// First eight bytes of the hash, for records.
    pub(crate) fn short_hash(&self) -> u64 {
        let mut word = [0; 8];
        word.copy_from_slice(&self.hash[..8]);
        u64::from_be_bytes(word)
    }
}

pub(crate) fn skills(requirements: &[Requirement]) -> Vec<Skill> {
    requirements.iter().map(|r| Skill { skill: SkillName::of(&r.skill), level: r.level }).collect()
}

fn queue_plan(queue: &tidegate_model::policy::Queue) -> QueuePlan {
    let step = |s: &tidegate_model::policy::Step| StepPlan {
        name: tidegate_model::name::symbol(&s.name),
        requires: skills(&s.requires),
        lasts: s.lasts,
        skip_if: s.skip_if,
    };
    QueuePlan {
        name: QueueName::of(&queue.name),
        weight_ms: queue.weight_ms,
        steps: queue.steps.iter().map(step).collect(),
        offer_timeout: queue.offer_timeout,
        wrap_up: queue.wrap_up,
        overdue_after: queue.overdue_after,
        gives_up_after: queue.gives_up_after,
        length_max: queue.length_max,
    }
}

fn fault(field: String, problem: impl ToString) -> PolicyFault {
    PolicyFault { field, problem: problem.to_string() }
}

fn names<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<(), PolicyFault> {
    let mut seen: Vec<(u64, &str)> = Vec::new();
    for name in names {
        let field = alloc::format!("{what} \"{name}\"");
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(fault(field, alloc::format!("a name has 1 to {NAME_BYTES_MAX} bytes, this one has {}", name.len())));
        }
        let symbol = tidegate_model::name::symbol(name);
        match seen.iter().find(|(s, _)| *s == symbol) {
            Some((_, other)) if other == name => return Err(fault(field, "the name stands twice")),
            Some((_, other)) => {
                return Err(fault(field, alloc::format!("its symbol collides with that of \"{other}\": rename one of them")));
            }
            None => seen.push((symbol, name)),
        }
        if seen.len() > ROWS_MAX {
            return Err(fault(what.to_string(), alloc::format!("at most {ROWS_MAX} of them")));
        }
    }
    Ok(())
}

fn span(field: String, span: Millis, least: Millis) -> Result<(), PolicyFault> {
    if span < least || span > SPAN_MAX {
        return Err(fault(field, alloc::format!("expected {} ms to {} ms, found {} ms", least.0, SPAN_MAX.0, span.0)));
    }
    Ok(())
}

fn requirements(field: &str, list: &[Requirement], skills: &[String]) -> Result<(), PolicyFault> {
    if list.len() > tidegate_model::limits::EXCLUSIONS_MAX {
        return Err(fault(field.to_string(), "at most 8 skills in one requirement"));
    }
    for r in list {
        if !skills.contains(&r.skill) {
            return Err(fault(field.to_string(), alloc::format!("no skill \"{}\" among [[skill]]", r.skill)));
        }
        if r.level < Level(1) || r.level > Level::MAX {
            return Err(fault(field.to_string(), alloc::format!("level of \"{}\" is 1 to 10, found {}", r.skill, r.level.0)));
        }
    }
    Ok(())
}

/// The score's settings as the market takes them.
pub(crate) fn rule_of(policy: &Policy) -> Rule {
    Rule {
        selection: policy.selection,
        idle_slope_q16: policy.idle_slope_q16,
        level_weight_ms: policy.level_weight_ms,
        affinity_ms: policy.affinity_ms,
    }
}

/// Checks every rule of a policy; O(policy).
///
/// # Errors
/// The first [`PolicyFault`], with its field.
pub fn check(policy: &Policy) -> Result<(), PolicyFault> {
    names("policy", core::iter::once(&policy.name))?;
    names("skill", policy.skills.iter())?;
    names("class", policy.classes.iter().map(|c| &c.name))?;
    names("queue", policy.queues.iter().map(|q| &q.name))?;
    names("refuse.tag", policy.refusals.iter().map(|r| &r.tag))?;
    if policy.queues.is_empty() {
        return Err(fault("queue".into(), "at least one [[queue]] is needed"));
    }
    if policy.classes.is_empty() {
        return Err(fault("class".into(), "at least one [[class]] is needed"));
    }
    if !policy.queues.iter().any(|q| q.name == policy.default_queue) {
        return Err(fault("default_queue".into(), alloc::format!("no queue \"{}\"", policy.default_queue)));
    }
    if !policy.classes.iter().any(|c| c.name == policy.default_class) {
        return Err(fault("default_class".into(), alloc::format!("no class \"{}\"", policy.default_class)));
    }
    if policy.affinity_ms < 0 {
        return Err(fault("affinity".into(), alloc::format!("expected at least 0, found {}", policy.affinity_ms)));
    }
    check_rule(&rule_of(policy)).map_err(|error| {
        let field = match error {
            BoundsError::IdleSlope(_) => "idle_slope",
            BoundsError::Affinity(_) => "affinity",
            _ => "level_weight",
        };
        fault(field.into(), error)
    })?;
    span("preferred_for".into(), policy.preferred_for, Millis(0))?;
    span("last_seat_within".into(), policy.last_seat_within, Millis(0))?;
    span("idle_close_after".into(), policy.idle_close_after, Millis(1_000))?;
    for class in &policy.classes {
        span(alloc::format!("class \"{}\".head_start", class.name), class.head_start, Millis(0))?;
        if !(1..=SLOPE_MAX_Q16).contains(&class.slope_q16) {
            let field = alloc::format!("class \"{}\".slope", class.name);
            return Err(fault(field, "expected more than 0 and at most 256"));
        }
    }
    let equal_slopes = policy.classes.windows(2).all(|pair| pair[0].slope_q16 == pair[1].slope_q16);
    for queue in &policy.queues {
        check_queue(queue, policy, equal_slopes)?;
    }
    for refusal in &policy.refusals {
        names("refuse.reason", core::iter::once(&refusal.reason))?;
    }
    Ok(())
}

fn check_queue(queue: &tidegate_model::policy::Queue, policy: &Policy, equal_slopes: bool) -> Result<(), PolicyFault> {
    let at = |field: &str| alloc::format!("queue \"{}\".{field}", queue.name);
    for class in &policy.classes {
        // The market's own proof, so that nothing passes here that it would refuse where nothing may fail.
        let proved = check_bounds(&rule_of(policy), queue.weight_ms, class.slope_q16, 0);
        proved.map_err(|error| fault(at("weight"), error))?;
    }
    if queue.steps.is_empty() || queue.steps.len() > STEPS_MAX {
        return Err(fault(at("step"), alloc::format!("1 to {STEPS_MAX} steps, found {}", queue.steps.len())));
    }
    names(&at("step"), queue.steps.iter().map(|s| &s.name))?;
    for (i, step) in queue.steps.iter().enumerate() {
        let field = alloc::format!("queue \"{}\".step \"{}\"", queue.name, step.name);
        requirements(&alloc::format!("{field}.requires"), &step.requires, &policy.skills)?;
        let last = i + 1 == queue.steps.len();
        match step.lasts {
            Some(lasts) if !last => span(alloc::format!("{field}.lasts"), lasts, Millis(1))?,
            Some(_) => return Err(fault(alloc::format!("{field}.lasts"), "the last step lasts until the contact leaves")),
            None if !last => return Err(fault(alloc::format!("{field}.lasts"), "every step but the last needs a span")),
            None => {}
        }
    }
    span(at("offer_timeout"), queue.offer_timeout, Millis(100))?;
    span(at("wrap_up"), queue.wrap_up, Millis(0))?;
    for (field, value) in [("overdue_after", queue.overdue_after), ("gives_up_after", queue.gives_up_after)] {
        if let Some(value) = value {
            span(at(field), value, Millis(1))?;
        }
    }
    if queue.overdue_after.is_none() && queue.gives_up_after.is_none() && !equal_slopes {
        let problem = "with unequal slopes a queue needs overdue_after or gives_up_after, else a contact may wait for ever";
        return Err(fault(at("overdue_after"), problem));
    }
    if queue.length_max == 0 {
        return Err(fault(at("length_max"), "at least 1"));
    }
    Ok(())
}
