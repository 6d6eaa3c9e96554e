//! Reading a scenario and judging it: every fault at once, each with file, line, field and remedy.
//!
//! Two steps, because a policy is a file of its own: [`parse`] judges the scenario by itself, [`Scenario::check_against`] judges
//! it beside the policy it names (queues, classes, skills that nobody has). What passes both can be run: no later code finds a
//! fault of the file. Limits are stated where they are checked; each is tested at it, one above and ten times above.

use super::file::{Arrivals, Busyness, Callback, Demand, Profile, Repeat, Scenario};
use super::groups::{AiPool, Group, Shrinkage, Staffing};
use super::place;
use super::quantity::Span;
use super::spread::Spread;
use std::collections::BTreeSet;
use std::fmt;
use thiserror::Error;
use tidegate_model::limits::REQUEST_SKILLS_MAX;
use tidegate_model::policy::Policy;

/// Longest scenario text, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 << 20;
/// Most demands, groups, pools or channels.
pub const ROWS_MAX: usize = 512;
/// Most agents at once, and in all shifts together.
pub const AGENTS_MAX: u64 = 200_000;
/// Most replications of one run.
pub const REPLICATIONS_MAX: u32 = 1_000_000;
/// Most intervals of a grid.
pub const INTERVALS_MAX: u64 = 100_000;
/// Most units of a seat: the router's own bound.
pub const UNITS_MAX: u16 = 64;
/// Highest rate, in contacts a second.
pub const RATE_MAX: f64 = 100_000.0;

/// One fault of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// The file as the caller names it.
    pub file: String,
    /// Line, from 1.
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

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}: {}", self.file, self.line, self.column, self.field, self.problem)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, " ({})", self.remedy) }
    }
}

/// Every fault found.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct ScenarioErrors(pub Vec<ScenarioError>);

impl fmt::Display for ScenarioErrors {
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

/// Reads and judges a scenario. `file` is only named in errors.
///
/// # Errors
/// Every fault found.
pub fn parse(file: &str, text: &str) -> Result<Scenario, ScenarioErrors> {
    let mut faults = Faults::new(file, text);
    if text.len() > TEXT_BYTES_MAX {
        let problem = format!("{} bytes; at most {TEXT_BYTES_MAX} are read", text.len());
        faults.add("scenario", problem, "keep recorded arrivals coarser, or split the scenario");
        return Err(ScenarioErrors(faults.found));
    }
    let scenario: Scenario = match toml::from_str(text) {
        Ok(scenario) => scenario,
        Err(error) => {
            let (line, column) = place::of_offset(text, error.span().map_or(0, |span| span.start));
            let found = ScenarioError {
                file: file.into(),
                line,
                column,
                field: "scenario".into(),
                problem: error.message().into(),
                remedy: "`tidegate config schema --scenario` names every field".into(),
            };
            return Err(ScenarioErrors(vec![found]));
        }
    };
    whole(&scenario, &mut faults);
    faults.done().map(|()| scenario)
}

impl Scenario {
    /// Judges the scenario by itself, as [`parse`] does, when it was made by a program.
    ///
    /// # Errors
    /// Every fault found; without a text all stand at line 1.
    pub fn check(&self) -> Result<(), ScenarioErrors> {
        let mut faults = Faults::new(&self.name, "");
        whole(self, &mut faults);
        faults.done()
    }

    /// Judges the scenario beside its policy. `file` and `text` are those of the scenario, for the places of errors.
    ///
    /// # Errors
    /// Every name that the policy does not know, and every demand that nobody can ever answer.
    pub fn check_against(&self, policy: &Policy, file: &str, text: &str) -> Result<(), ScenarioErrors> {
        let mut faults = Faults::new(file, text);
        let known = |names: &[String], name: &String| names.contains(name);
        for (i, group) in self.group.iter().enumerate() {
            for skill in group.skills.keys().filter(|skill| !known(&policy.skills, skill)) {
                faults.unknown(&format!("group[{i}].skills.{skill}"), skill, &policy.skills);
            }
        }
        let queues: Vec<String> = policy.queues.iter().map(|queue| queue.name.clone()).collect();
        let classes: Vec<String> = policy.classes.iter().map(|class| class.name.clone()).collect();
        for (i, demand) in self.demand.iter().enumerate() {
            for skill in demand.needs.keys().filter(|skill| !known(&policy.skills, skill)) {
                faults.unknown(&format!("demand[{i}].needs.{skill}"), skill, &policy.skills);
            }
            if let Some(class) = demand.class.as_ref().filter(|class| !known(&classes, class)) {
                faults.unknown(&format!("demand[{i}].class"), class, &classes);
            }
            let name = demand.queue_name();
            let Some(queue) = policy.queues.iter().find(|queue| queue.name == name) else {
                faults.unknown(&format!("demand[{i}].queue"), name, &queues);
                continue;
            };
            let can = |group: &Group| {
                let has = |skill: &String, level: u8| group.skills.get(skill).is_some_and(|l| *l >= level);
                group.units >= demand.weight
                    && demand.needs.iter().all(|(skill, level)| has(skill, *level))
                    && queue.steps.iter().any(|step| step.requires.iter().all(|r| has(&r.skill, r.level.0)))
            };
            if !self.group.iter().any(can) && !self.wholly_contained(&demand.name) {
                let problem = format!("no group has the skills and units that queue \"{name}\" and `needs` ask for at any step");
                faults.add(
                    &format!("demand[{i}]"),
                    problem,
                    "give a [[group]] those skills, or add a relaxation step to the queue",
                );
            }
        }
        faults.done()
    }

    fn wholly_contained(&self, demand: &str) -> bool {
        self.ai.iter().any(|pool| pool.containment.get(demand).is_some_and(|share| *share >= 1.0))
    }
}

impl Demand {
    /// The policy's queue that it waits in.
    pub fn queue_name(&self) -> &str {
        self.queue.as_deref().unwrap_or(&self.name)
    }
}

struct Faults<'a> {
    file: &'a str,
    text: &'a str,
    found: Vec<ScenarioError>,
}

impl<'a> Faults<'a> {
    fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, found: Vec::new() }
    }

    fn add(&mut self, field: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        let (line, column) = place::line_and_column(self.text, field);
        let (problem, remedy) = (problem.into(), remedy.into());
        self.found.push(ScenarioError { file: self.file.into(), line, column, field: field.into(), problem, remedy });
    }

    fn unknown(&mut self, field: &str, name: &str, names: &[String]) {
        self.add(field, format!("unknown name \"{name}\""), format!("valid names: {}", names.join(", ")));
    }

    fn share(&mut self, field: &str, share: f64) {
        if !(0.0..=1.0).contains(&share) {
            self.add(field, format!("{share} is no share"), "write a number from 0 to 1");
        }
    }

    fn positive(&mut self, field: &str, number: f64) {
        if !(number.is_finite() && number > 0.0) {
            self.add(field, format!("{number} is not above 0"), "write a finite number above 0");
        }
    }

    fn not_negative(&mut self, field: &str, number: f64) {
        if !(number.is_finite() && number >= 0.0) {
            self.add(field, format!("{number} is negative, or not finite"), "write a finite number from 0 on");
        }
    }

    fn span_above_zero(&mut self, field: &str, span: Span) {
        if span.whole_ms() == 0 {
            self.add(field, "the span is less than a millisecond", "write a span of at least 1ms");
        }
    }

    fn count(&mut self, field: &str, found: u64, least: u64, most: u64) {
        if !(least..=most).contains(&found) {
            self.add(field, format!("{found}; expected {least} to {most}"), "");
        }
    }

    fn names<'n>(&mut self, table: &str, names: impl Iterator<Item = &'n String>) {
        let mut seen = BTreeSet::new();
        for (i, name) in names.enumerate() {
            let field = format!("{table}[{i}].name");
            if name.is_empty() || name.len() > tidegate_model::limits::NAME_BYTES_MAX {
                let most = tidegate_model::limits::NAME_BYTES_MAX;
                self.add(&field, format!("a name has 1 to {most} bytes, this one has {}", name.len()), "");
            } else if !seen.insert(name) {
                self.add(&field, format!("\"{name}\" stands twice"), "rename one of them");
            }
        }
    }

    fn done(mut self) -> Result<(), ScenarioErrors> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|fault| (fault.line, fault.column));
        Err(ScenarioErrors(self.found))
    }
}

fn whole(scenario: &Scenario, faults: &mut Faults<'_>) {
    faults.span_above_zero("length", scenario.length);
    if scenario.warm_up.ms() + scenario.cool_down.ms() >= scenario.length.ms() && scenario.length.whole_ms() > 0 {
        faults.add("warm_up", "warm-up and cool-down leave nothing to count", "shorten them, or lengthen length");
    }
    faults.count("replications", scenario.replications.into(), 1, REPLICATIONS_MAX.into());
    grid("grid", scenario.grid, scenario.length, faults);
    match (&scenario.policy, &scenario.policy_text) {
        (None, None) => faults.add("policy", "no policy", "name a file by policy = \"…\", or write it as policy_text = '''…'''"),
        (Some(_), Some(_)) => faults.add("policy_text", "policy and policy_text are both there", "remove one of them"),
        _ => {}
    }
    faults.count("demand", scenario.demand.len() as u64, 1, ROWS_MAX as u64);
    faults.count("group", scenario.group.len() as u64, 0, ROWS_MAX as u64);
    faults.count("ai", scenario.ai.len() as u64, 0, ROWS_MAX as u64);
    faults.count("channel", scenario.channel.len() as u64, 0, ROWS_MAX as u64);
    faults.names("demand", scenario.demand.iter().map(|d| &d.name));
    faults.names("group", scenario.group.iter().map(|g| &g.name));
    faults.names("ai", scenario.ai.iter().map(|a| &a.name));
    faults.names("channel", scenario.channel.iter().map(|c| &c.name));
    for (i, channel) in scenario.channel.iter().enumerate() {
        let field = format!("channel[{i}].slow_down");
        faults.count(&field, channel.slow_down.len() as u64, 1, UNITS_MAX.into());
        channel.slow_down.iter().for_each(|factor| faults.positive(&field, *factor));
        if channel.slow_down.first().is_some_and(|first| (first - 1.0).abs() > 1e-9) {
            faults.add(&field, "the first factor, with nobody beside, is not 1", "divide all of them by the first");
        }
    }
    for (i, demand) in scenario.demand.iter().enumerate() {
        demand_alone(&format!("demand[{i}]"), demand, scenario, faults);
    }
    let mut agents = 0;
    for (i, group) in scenario.group.iter().enumerate() {
        agents += group_alone(&format!("group[{i}]"), group, scenario, faults);
    }
    faults.count("group", agents, 0, AGENTS_MAX);
    for (i, pool) in scenario.ai.iter().enumerate() {
        pool_alone(&format!("ai[{i}]"), pool, scenario, faults);
    }
    let comes = |demand: &Demand| demand.arrivals.is_some();
    if !scenario.demand.iter().any(comes) {
        faults.add("demand", "nobody ever comes: no demand has arrivals", "give one of them an arrivals table");
    }
}

fn grid(field: &str, grid: Span, length: Span, faults: &mut Faults<'_>) {
    if grid.whole_ms() < 1_000 {
        faults.add(field, "an interval is shorter than 1s", "write 1min, 15min, 30min");
    } else if length.whole_ms() / grid.whole_ms() >= INTERVALS_MAX {
        faults.add(field, format!("more than {INTERVALS_MAX} intervals"), "write a longer interval");
    }
}

fn demand_alone(at: &str, demand: &Demand, scenario: &Scenario, faults: &mut Faults<'_>) {
    let path = |field: &str| format!("{at}.{field}");
    faults.count(&path("weight"), demand.weight.into(), 1, UNITS_MAX.into());
    faults.count(&path("needs"), demand.needs.len() as u64, 0, REQUEST_SKILLS_MAX as u64);
    for (skill, level) in &demand.needs {
        faults.count(&path(&format!("needs.{skill}")), (*level).into(), 1, 10);
    }
    if let Some(channel) = demand.channel.as_ref().filter(|name| !scenario.channel.iter().any(|c| c.name == **name)) {
        let names: Vec<String> = scenario.channel.iter().map(|c| c.name.clone()).collect();
        faults.unknown(&path("channel"), channel, &names);
    }
    if let Some(arrivals) = &demand.arrivals {
        arrivals_alone(&path("arrivals"), arrivals, scenario.length, faults);
    }
    spread(&path("handle"), &demand.handle, false, faults);
    for (field, one) in [("patience", &demand.patience), ("wrap_up", &demand.wrap_up)] {
        if let Some(one) = one {
            spread(&path(field), one, field == "patience", faults);
        }
    }
    for (field, one) in [("patience_profile", &demand.patience_profile), ("handle_profile", &demand.handle_profile)] {
        if let Some(one) = one {
            profile(&path(field), one, scenario.length, faults);
        }
    }
    for (field, one) in [("redial", &demand.redial), ("repeat", &demand.repeat)] {
        if let Some(Repeat { share, after, .. }) = one {
            faults.share(&path(&format!("{field}.share")), *share);
            spread(&path(&format!("{field}.after")), after, false, faults);
        }
    }
    if let Some(transfer) = &demand.transfer {
        faults.share(&path("transfer.share"), transfer.share);
        if !scenario.demand.iter().any(|other| other.name == transfer.to) {
            let names: Vec<String> = scenario.demand.iter().map(|d| d.name.clone()).collect();
            faults.unknown(&path("transfer.to"), &transfer.to, &names);
        }
    }
    if let Some(Callback { accepts, not_reached, .. }) = &demand.callback {
        faults.share(&path("callback.accepts"), *accepts);
        faults.share(&path("callback.not_reached"), *not_reached);
    }
}

fn arrivals_alone(at: &str, arrivals: &Arrivals, length: Span, faults: &mut Faults<'_>) {
    let path = |field: &str| format!("{at}.{field}");
    let named = [arrivals.rate.is_some(), arrivals.contacts.is_some(), arrivals.recorded.is_some()];
    if named.iter().filter(|there| **there).count() != 1 {
        faults.add(at, "exactly one of rate, contacts and recorded says how contacts come", "keep one of them");
    }
    if arrivals.rate.is_some_and(|rate| rate.in_a_second() > RATE_MAX) {
        faults.add(&path("rate"), format!("more than {RATE_MAX} a second"), "");
    }
    if let Some(contacts) = &arrivals.contacts {
        let ms = arrivals.grid.map_or(0, Span::whole_ms);
        if ms < 60_000 {
            faults.add(&path("grid"), "contacts needs a grid of at least 1min", "write grid = \"15min\"");
        } else if contacts.len() as u64 * ms != length.whole_ms() {
            let (n, fits) = (contacts.len(), length.whole_ms().div_ceil(ms));
            let problem = format!("{n} intervals of {} s leave a hole or overlap the end; {fits} fit the length", ms / 1_000);
            faults.add(&path("contacts"), problem, "write one number for each interval of the length, 0 where nobody comes");
        }
        for contacts in contacts {
            faults.not_negative(&path("contacts"), *contacts);
            if ms > 0 && *contacts > RATE_MAX * ms as f64 / 1_000.0 {
                faults.add(&path("contacts"), format!("more than {RATE_MAX} a second"), "");
            }
        }
    } else if arrivals.grid.is_some() {
        faults.add(&path("grid"), "a grid without contacts", "remove it");
    }
    if let Some(recorded) = &arrivals.recorded {
        if let Some(i) = recorded.windows(2).position(|pair| pair[1] < pair[0]) {
            let problem = format!("moment {} is before moment {i}", i + 1);
            faults.add(&path("recorded"), problem, "sort the moments");
        }
        if recorded.last().is_some_and(|last| *last > length) {
            faults.add(&path("recorded"), "a moment lies behind the scenario's length", "lengthen length, or cut the list");
        }
        if arrivals.busyness.is_some() || !arrivals.phase.is_empty() {
            faults.add(&path("recorded"), "busyness and phases change rates, and recorded moments have none", "remove one of them");
        }
    }
    if let Some(Busyness { shape, every, correlation, .. }) = &arrivals.busyness {
        faults.positive(&path("busyness.shape"), *shape);
        if let Some(every) = every {
            grid(&path("busyness.every"), *every, length, faults);
        } else if *correlation > 0.0 {
            faults.add(&path("busyness.correlation"), "a correlation without every", "say every how long a new factor comes");
        }
        if !(0.0..1.0).contains(correlation) {
            faults.add(&path("busyness.correlation"), format!("{correlation} is not from 0 to below 1"), "");
        }
    }
    for (i, phase) in arrivals.phase.iter().enumerate() {
        faults.not_negative(&path(&format!("phase[{i}].factor")), phase.factor);
        faults.not_negative(&path(&format!("phase[{i}].contacts")), phase.contacts);
        faults.span_above_zero(&path(&format!("phase[{i}].lasts")), phase.lasts);
    }
    faults.count(&path("backlog"), arrivals.backlog.into(), 0, 10_000_000);
}

fn profile(at: &str, profile: &Profile, length: Span, faults: &mut Faults<'_>) {
    grid(&format!("{at}.grid"), profile.grid, length, faults);
    faults.count(&format!("{at}.factors"), profile.factors.len() as u64, 1, INTERVALS_MAX);
    profile.factors.iter().for_each(|factor| faults.positive(&format!("{at}.factors"), *factor));
}

/// `ends` says whether the quantity may be for ever.
fn spread(at: &str, spread_: &Spread, for_ever: bool, faults: &mut Faults<'_>) {
    let path = |field: &str| format!("{at}.{field}");
    match spread_ {
        Spread::Constant { .. } => {}
        Spread::Exponential { mean } => faults.span_above_zero(&path("mean"), *mean),
        Spread::LogNormal { mean, cv } | Spread::Gamma { mean, cv } => {
            faults.span_above_zero(&path("mean"), *mean);
            faults.positive(&path("cv"), *cv);
        }
        Spread::Weibull { scale, shape } => {
            faults.span_above_zero(&path("scale"), *scale);
            faults.positive(&path("shape"), *shape);
        }
        Spread::Empirical { values } => faults.count(&path("values"), values.len() as u64, 1, 10_000_000),
        Spread::Table { at: moments, survival, rest } => {
            if moments.len() != survival.len() || moments.is_empty() {
                faults.add(&path("survival"), "at and survival are not of one length, at least 1", "write a share for each moment");
            }
            if moments.windows(2).any(|pair| pair[1] <= pair[0]) || survival.windows(2).any(|pair| pair[1] > pair[0]) {
                faults.add(&path("survival"), "the curve is not one: moments rise, shares fall", "sort the table");
            }
            survival.iter().for_each(|share| faults.share(&path("survival"), *share));
            let left = survival.last().is_some_and(|last| *last > 0.0);
            if left && rest.is_none() && !for_ever {
                faults.add(&path("rest"), "a share is left after the last step, and only patience may be for ever", "write rest");
            }
            if let Some(rest) = rest {
                faults.span_above_zero(&path("rest"), *rest);
            }
        }
        Spread::Mixture { part } => {
            let sum: f64 = part.iter().map(|p| p.share).sum();
            if part.is_empty() || (sum - 1.0).abs() > 1e-9 {
                faults.add(&path("part"), format!("the shares sum to {sum}, expected 1"), "");
            }
            for (i, one) in part.iter().enumerate() {
                faults.share(&path(&format!("part[{i}].share")), one.share);
                if matches!(one.spread, Spread::Mixture { .. }) {
                    faults.add(&path(&format!("part[{i}].spread")), "a mixture inside a mixture", "write all parts in one");
                } else {
                    spread(&path(&format!("part[{i}].spread")), &one.spread, for_ever, faults);
                }
            }
        }
    }
}

/// Agents that the group has in all.
fn group_alone(at: &str, group: &Group, scenario: &Scenario, faults: &mut Faults<'_>) -> u64 {
    let path = |field: &str| format!("{at}.{field}");
    faults.count(&path("units"), group.units.into(), 1, UNITS_MAX.into());
    for (skill, level) in &group.skills {
        faults.count(&path(&format!("skills.{skill}")), (*level).into(), 1, 10);
    }
    for (demand, factor) in &group.handle_factor {
        let field = path(&format!("handle_factor.{demand}"));
        faults.positive(&field, *factor);
        if !scenario.demand.iter().any(|d| d.name == *demand) {
            let names: Vec<String> = scenario.demand.iter().map(|d| d.name.clone()).collect();
            faults.unknown(&field, demand, &names);
        }
    }
    faults.not_negative(&path("handle_cv"), group.handle_cv);
    for (field, one) in [("accept", &group.accept), ("hidden_idle", &group.hidden_idle)] {
        if let Some(one) = one {
            spread(&path(field), one, false, faults);
        }
    }
    if let Some(learning) = &group.learning {
        faults.not_negative(&path("learning.extra"), learning.extra);
        faults.positive(&path("learning.over"), learning.over);
    }
    let mut absent = 0.0;
    for (i, Shrinkage { share, spell, .. }) in group.shrinkage.iter().enumerate() {
        faults.share(&path(&format!("shrinkage[{i}].share")), *share);
        absent += share;
        if let Some(spell) = spell {
            spread(&path(&format!("shrinkage[{i}].spell")), spell, false, faults);
        }
    }
    if absent >= 1.0 {
        faults.add(&path("shrinkage"), format!("the shares sum to {absent}: nobody is ever there"), "shares are of paid time");
    }
    staffing(&path("staffing"), &group.staffing, scenario, faults)
}

fn staffing(at: &str, staffing: &Staffing, scenario: &Scenario, faults: &mut Faults<'_>) -> u64 {
    let path = |field: &str| format!("{at}.{field}");
    let named = [staffing.agents.is_some(), staffing.by_interval.is_some(), !staffing.shift.is_empty()];
    if named.iter().filter(|there| **there).count() != 1 {
        faults.add(at, "exactly one of agents, by_interval and shift says who is there", "keep one of them");
    }
    if let Some(counts) = &staffing.by_interval {
        faults.count(&path("by_interval"), counts.len() as u64, 1, INTERVALS_MAX);
        match staffing.grid {
            Some(span) => grid(&path("grid"), span, scenario.length, faults),
            None => faults.add(&path("grid"), "by_interval needs a grid", "write grid = \"30min\""),
        }
    }
    for (i, shift) in staffing.shift.iter().enumerate() {
        faults.span_above_zero(&path(&format!("shift[{i}].lasts")), shift.lasts);
        if shift.hand_over > shift.lasts {
            faults.add(&path(&format!("shift[{i}].hand_over")), "the hand-over is longer than the shift", "shorten it");
        }
        for (j, pause) in shift.pauses.iter().enumerate() {
            let end = pause.after.ms() + pause.lasts.ms() + pause.stagger.ms();
            if end > shift.lasts.ms() {
                let field = path(&format!("shift[{i}].break[{j}]"));
                faults.add(&field, "the break, with its stagger, ends after the shift", "move it forward");
            }
        }
    }
    let shifts: u64 = staffing.shift.iter().map(|shift| u64::from(shift.agents)).sum();
    let most = staffing.by_interval.iter().flatten().copied().max().unwrap_or(0).max(staffing.agents.unwrap_or(0));
    shifts + u64::from(most)
}

fn pool_alone(at: &str, pool: &AiPool, scenario: &Scenario, faults: &mut Faults<'_>) {
    let path = |field: &str| format!("{at}.{field}");
    faults.count(&path("slots"), pool.slots.into(), 1, 10_000_000);
    for (demand, share) in &pool.containment {
        let field = path(&format!("containment.{demand}"));
        faults.share(&field, *share);
        if !scenario.demand.iter().any(|d| d.name == *demand) {
            let names: Vec<String> = scenario.demand.iter().map(|d| d.name.clone()).collect();
            faults.unknown(&field, demand, &names);
        }
        if scenario.ai.iter().any(|other| other.name != pool.name && other.containment.contains_key(demand)) {
            faults.add(&field, format!("another pool takes \"{demand}\" too"), "a demand meets one pool");
        }
    }
    spread(&path("latency"), &pool.latency, false, faults);
    for (field, one) in [("hand_over_after", &pool.hand_over_after), ("repeats_after", &pool.repeats_after)] {
        if let Some(one) = one {
            spread(&path(field), one, false, faults);
        }
    }
    faults.positive(&path("residual_handle"), pool.residual_handle);
    faults.share(&path("repeats"), pool.repeats);
    for (i, outage) in pool.outage.iter().enumerate() {
        faults.span_above_zero(&path(&format!("outage[{i}].lasts")), outage.lasts);
    }
}
