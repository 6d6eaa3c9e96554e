//! What was fitted, as a scenario that `simulate` runs.
//!
//! [`recorded_day`]: one recorded day's own arrivals and roster, everything else (patience, handle times, agents' factors, hidden
//! idle time) from a calibration on other days. It is how a calibration is judged: by days that it has not seen.
//!
//! A demand is a class and a standing, a group is an agent of the day. Priority is unknown for callers who did not wait in the
//! record but may wait here: theirs is drawn with the share that waiting callers of their class have. It refuses to know what
//! happened on the day beyond who came when, for what, and who was there.

use super::contact::{AgentId, ClassId, DAY_MS, DayNumber, Ended, Names, Observed, Service, Standing, WEEKDAYS};
use super::fit::{Calibration, FittedClass};
use super::handle::{Family, Handle};
use super::patience::Patience;
use super::presence::{DayServices, HiddenIdle, shifts};
use crate::kernel::{Purpose, Streams};
use crate::scenario::{
    Arrivals, AtEnd, Busyness, Channel, ClockTime, Demand, Group, Part, Pause, Profile, Repeat, Scenario, Shift, Span, Spread,
    Staffing,
};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// The class of customers with a head start, in the policy.
pub const PRIORITY: &str = "priority";
/// The class of all others.
pub const REGULAR: &str = "regular";

/// The channel on which contacts slow each other down.
const CHANNEL: &str = "shared";
/// Intervals of reports, in seconds.
const GRID_S: u32 = 1_800;
/// A class of less than this share of services is so rare that having given none says nothing.
const RARE: f64 = 0.02;
/// Share of the expected services below which those given were exceptions.
const EXCEPTION: f64 = 0.2;
/// Busyness below this variance is none.
const LEAST_VARIANCE: f64 = 1e-4;

/// Why there is no scenario.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// Nobody asked on that day.
    #[error("nobody asked for an agent on {day}")]
    Nobody {
        /// The date.
        day: String,
    },
    /// Nobody served.
    #[error("no agent is named on {day}, so nobody would serve")]
    NoAgents {
        /// The date.
        day: String,
    },
    /// No ordinary day of that weekday.
    #[error("the record has no ordinary {weekday}; choose one of {known}")]
    NoSuchWeekday {
        /// The weekday asked for.
        weekday: &'static str,
        /// Those there are.
        known: String,
    },
    /// Nothing to draw handle times from.
    #[error("the calibration has no handle times at all")]
    NoHandleTimes,
}

/// One recorded day.
#[derive(Clone, Copy, Debug)]
pub struct RecordedDay<'a> {
    /// Which.
    pub day: DayNumber,
    /// Its contacts.
    pub contacts: &'a [Observed],
    /// Their names.
    pub names: &'a Names,
}

/// A day's own arrivals and roster with everything else from a calibration; `policy` is the text by which it is routed, whose
/// queues and skills bear the classes' names. O(n log n).
///
/// # Errors
/// [`ScenarioError`].
pub fn recorded_day(of: RecordedDay<'_>, fitted: &Calibration, policy: &str, streams: &Streams) -> Result<Scenario, ScenarioError> {
    let date = of.day.date();
    let midnight = of.day.midnight();
    let mut asked: BTreeMap<(ClassId, bool), Vec<f64>> = BTreeMap::new();
    let high_shares = high_shares(of.contacts);
    let mut services = DayServices::default();
    for (place, contact) in of.contacts.iter().enumerate() {
        if let (Some(agent), Some(service)) = (contact.agent, contact.service()) {
            services.services.entry(agent).or_default().push((service, contact.class));
        }
        if contact.ended == Ended::BeforeAsking {
            continue;
        }
        services.asked.entry(contact.class).or_default().push(contact.asked.0);
        let high = match contact.standing {
            Standing::High => true,
            Standing::Regular => false,
            Standing::Unknown => {
                let share = high_shares.get(&contact.class).copied().unwrap_or(0.0);
                contact.waited_ms() == Some(0) && streams.for_(Purpose::ContactKind, place as u64).next_u01() < share
            }
        };
        asked.entry((contact.class, high)).or_default().push(contact.asked.since(midnight) as f64 / 1_000.0);
    }
    if asked.is_empty() {
        return Err(ScenarioError::Nobody { day: date });
    }
    if services.services.is_empty() {
        return Err(ScenarioError::NoAgents { day: date });
    }
    let skills = skills(&services, &asked.keys().map(|(class, _)| *class).collect());
    let mut demand = Vec::new();
    for ((class, high), mut moments) in asked {
        moments.sort_by(f64::total_cmp);
        let name = of.names.class_name(class);
        let mut one = demand_of(name, high, fitted)?;
        one.arrivals = Some(Arrivals { recorded: Some(moments.into_iter().map(span).collect()), ..Arrivals::default() });
        demand.push(one);
    }
    let demands: Vec<String> = demand.iter().map(|demand| demand.name.clone()).collect();
    let group = shifts(&services)
        .into_iter()
        .map(|shift| {
            let name = of.names.agent_name(shift.agent);
            let factor = factor_of(name, fitted);
            // A factor that no digit of the file would show is left out.
            let told = (factor - 1.0).abs() > 1e-9;
            let handle_factor = demands.iter().filter(|_| told).map(|demand| (demand.clone(), factor)).collect();
            let from = shift.present.from.since(midnight);
            let until = shift.present.until.since(midnight).min(DAY_MS as u64);
            let pause = |pause: &Service| Pause {
                after: span(pause.from.since(shift.present.from) as f64 / 1_000.0),
                lasts: span(pause.length_ms() as f64 / 1_000.0),
                stagger: Span::ZERO,
            };
            Group {
                name: name.to_owned(),
                skills: skills
                    .get(&shift.agent)
                    .into_iter()
                    .flatten()
                    .map(|class| (of.names.class_name(*class).to_owned(), 1))
                    .collect(),
                units: 1,
                cost: Span::ZERO,
                staffing: Staffing {
                    shift: vec![Shift {
                        from: span(from as f64 / 1_000.0),
                        lasts: span(until.saturating_sub(from).max(1_000) as f64 / 1_000.0),
                        agents: 1,
                        hand_over: Span::ZERO,
                        pauses: shift
                            .breaks
                            .iter()
                            .filter(|pause| pause.until.since(midnight) < DAY_MS as u64)
                            .map(pause)
                            .collect(),
                    }],
                    ..Staffing::default()
                },
                shrinkage: Vec::new(),
                accept: None,
                hidden_idle: None,
                handle_factor,
                handle_cv: 0.0,
                learning: None,
            }
        })
        .collect();
    Ok(whole(&format!("{date} as recorded"), policy, demand, group))
}

/// What each agent can serve. Of an agent's services of the day, so many of a class were to be expected by its share of all; who gave
/// none, or less than a fifth of that, does not serve it, unless it is so rare that giving none says nothing. A class that nobody
/// is left to serve goes to everybody.
fn skills(services: &DayServices, wanted: &BTreeSet<ClassId>) -> BTreeMap<AgentId, BTreeSet<ClassId>> {
    let count = |services: &[(Service, ClassId)], class: ClassId| services.iter().filter(|(_, of)| *of == class).count() as f64;
    let all: f64 = services.services.values().map(|all| all.len() as f64).sum();
    let mut skills: BTreeMap<AgentId, BTreeSet<ClassId>> = BTreeMap::new();
    for class in wanted {
        let share = services.services.values().map(|of| count(of, *class)).sum::<f64>() / all.max(1.0);
        let serves = |of: &[(Service, ClassId)]| {
            let (expected, found) = (share * of.len() as f64, count(of, *class));
            share < RARE || found >= f64::max(1.0, EXCEPTION * expected)
        };
        let anybody = services.services.values().any(|of| serves(of));
        for (agent, of) in &services.services {
            if serves(of) || !anybody {
                skills.entry(*agent).or_default().insert(*class);
            }
        }
    }
    skills
}

/// An ordinary day of a weekday: fitted rates with their busyness, and as many agents with every skill as were there on average.
///
/// # Errors
/// [`ScenarioError`].
pub fn ordinary_day(weekday: usize, fitted: &Calibration) -> Result<Scenario, ScenarioError> {
    let known = || fitted.arrivals.rates.iter().map(|rates| WEEKDAYS[rates.weekday]).collect::<Vec<_>>().join(", ");
    let missing = || ScenarioError::NoSuchWeekday { weekday: WEEKDAYS[weekday.min(6)], known: known() };
    let grid = span(f64::from(fitted.arrivals.interval_s));
    let mut demand = Vec::new();
    for class in &fitted.classes {
        let rates = class.arrivals.rates.iter().find(|rates| rates.weekday == weekday).ok_or_else(missing)?;
        if rates.mean.iter().sum::<f64>() <= 0.0 {
            continue;
        }
        let mut one = demand_of(&class.name, false, fitted)?;
        let busyness = fitted.arrivals.busyness.as_ref().and_then(|all| {
            // One factor is all that a demand may have: with both kinds, a factor an interval whose correlation holds the day's part.
            let (day, own) = (all.day_variance.value, all.interval_variance.value);
            let variance = day + own * (1.0 + day);
            let share = (day + own * (1.0 + day) * all.interval_correlation.value) / variance;
            (variance > LEAST_VARIANCE).then(|| Busyness {
                shape: 1.0 / variance,
                shared: Some("all".to_owned()),
                every: (own > LEAST_VARIANCE).then_some(grid),
                correlation: if own > LEAST_VARIANCE { share.clamp(0.0, 0.99) } else { 0.0 },
            })
        });
        one.class = fitted.head_start.is_some().then(|| REGULAR.to_owned());
        one.arrivals = Some(Arrivals { contacts: Some(rates.mean.clone()), grid: Some(grid), busyness, ..Arrivals::default() });
        one.channel = fitted.slow_down.is_some().then(|| CHANNEL.to_owned());
        one.redial = fitted.redial.as_ref().and_then(|redial| {
            let (share, time) = (redial.probability?.value, redial.time_constant_s?.value);
            (share > 0.0).then(|| Repeat { share, after: Spread::Exponential { mean: span(time) }, times_max: 3 })
        });
        demand.push(one);
    }
    if demand.is_empty() {
        return Err(missing());
    }
    let staffing =
        fitted.presence.as_ref().and_then(|presence| presence.staffing.iter().find(|staffing| staffing.weekday == weekday));
    let staffing = staffing.ok_or_else(|| ScenarioError::NoAgents { day: WEEKDAYS[weekday].to_owned() })?;
    let deviation = fitted.agents.as_ref().map_or(0.0, |agents| agents.factors.log_deviation.value);
    let levels = fitted.slow_down.as_ref().map_or(1, |curve| curve.levels.len().max(1));
    let group = Group {
        name: "agents".to_owned(),
        skills: demand.iter().map(|demand| (demand.name.clone(), 1)).collect(),
        units: u16::try_from(levels).unwrap_or(1),
        cost: Span::ZERO,
        staffing: Staffing {
            // Half an agent is one: the record's presence is a lower bound.
            by_interval: Some(staffing.mean.iter().map(|mean| libm::round(*mean) as u32).collect()),
            grid: Some(grid),
            ..Staffing::default()
        },
        shrinkage: Vec::new(),
        accept: None,
        hidden_idle: None,
        handle_factor: BTreeMap::new(),
        handle_cv: libm::expm1(deviation * deviation).sqrt(),
        learning: None,
    };
    let mut scenario = whole(&format!("an ordinary {}", WEEKDAYS[weekday]), &policy_text(fitted), demand, vec![group]);
    if let Some(curve) = &fitted.slow_down {
        let slow_down = curve.levels.iter().map(|level| level.slower.value).collect();
        scenario.channel = vec![Channel { name: CHANNEL.to_owned(), slow_down }];
    }
    Ok(scenario)
}

/// A plain policy for what was fitted: a queue and a skill a class, longest idle agent first, the head start that was found.
pub fn policy_text(fitted: &Calibration) -> String {
    let quoted = |name: &str| toml::Value::String(name.to_owned()).to_string();
    let names: Vec<String> = fitted.classes.iter().map(|class| quoted(&class.name)).collect();
    let first = names.first().cloned().unwrap_or_default();
    let mut text = format!(
        "name = \"calibrated\"\nselection = \"longest-idle\"\ndefault_queue = {first}\ndefault_class = \"{REGULAR}\"\nskills = [{}]\n",
        names.join(", ")
    );
    text.push_str(&format!("\n[[class]]\nname = \"{REGULAR}\"\n"));
    if let Some(head) = &fitted.head_start {
        text.push_str(&format!("\n[[class]]\nname = \"{PRIORITY}\"\nhead_start = \"{:.0}s\"\n", head.seconds));
    }
    // A head start of a class is its queue's weight; weights begin at zero.
    let start = |class: &FittedClass| class.head_start.as_ref().map_or(0.0, |head| head.seconds);
    let least = fitted.classes.iter().map(start).fold(0.0, f64::min);
    for (class, name) in fitted.classes.iter().zip(names) {
        let weight = start(class) - least;
        text.push_str(&format!("\n[[queue]]\nname = {name}\nweight = \"{weight:.0}s\"\noffer_timeout = \"10min\"\nwrap_up = \"30min\"\n  [[queue.step]]\n  name = \"own\"\n  requires = {{ {name} = 1 }}\n"));
    }
    text
}

/// Share of high standing among callers who waited, by class.
fn high_shares(contacts: &[Observed]) -> BTreeMap<ClassId, f64> {
    let mut counts: BTreeMap<ClassId, (f64, f64)> = BTreeMap::new();
    for contact in contacts.iter().filter(|contact| contact.waited_ms().is_some_and(|ms| ms > 0)) {
        let cell = counts.entry(contact.class).or_default();
        cell.0 += f64::from(u8::from(contact.standing == Standing::High));
        cell.1 += 1.0;
    }
    counts.into_iter().map(|(class, (high, all))| (class, high / all)).collect()
}

/// A demand without its arrivals.
fn demand_of(class: &str, high: bool, fitted: &Calibration) -> Result<Demand, ScenarioError> {
    let own = fitted.classes.iter().find(|fitted| fitted.name == class);
    let largest = || fitted.classes.iter().find_map(|class| class.handle.as_ref());
    let handle = own.and_then(|own| own.handle.as_ref()).or_else(largest).ok_or(ScenarioError::NoHandleTimes)?;
    let by_standing =
        own.and_then(|own| own.patience_by_standing.as_ref()).map(|both| if high { &both.high } else { &both.others });
    let patience = by_standing.or(own.and_then(|own: &FittedClass| own.patience.as_ref())).or(fitted.patience.as_ref());
    // Time away belongs to what was served: with the demand it can be its own.
    let all_idle = fitted.presence.as_ref().and_then(|presence| presence.hidden_idle.as_ref());
    let priority_known = fitted.head_start.is_some();
    Ok(Demand {
        name: if high { format!("{class} {PRIORITY}") } else { class.to_owned() },
        queue: Some(class.to_owned()),
        class: priority_known.then(|| if high { PRIORITY } else { REGULAR }.to_owned()),
        needs: BTreeMap::new(),
        weight: 1,
        channel: None,
        within: None,
        deadline: None,
        arrivals: None,
        patience: patience.and_then(patience_of),
        patience_profile: None,
        handle: seen(handle_of(handle), fitted),
        handle_profile: fitted.handle_by_hour.as_ref().map(|factors| Profile { grid: span(3_600.0), factors: factors.clone() }),
        wrap_up: own.and_then(|own| own.hidden_idle.as_ref()).or(all_idle).map(idle_of),
        redial: None,
        repeat: None,
        transfer: None,
        callback: None,
    })
}

/// The curve as a table; nobody gives up where nobody was seen to.
fn patience_of(patience: &Patience) -> Option<Spread> {
    let steps: Vec<&[f64; 2]> = patience.curve.iter().filter(|[at, _]| *at > 0.0).collect();
    (!steps.is_empty()).then(|| Spread::Table {
        at: steps.iter().map(|[at, _]| span(*at)).collect(),
        survival: steps.iter().map(|[_, survival]| *survival).collect(),
        rest: (patience.unknown_share > 0.0).then(|| span(patience.mean_if_exponential_s)),
    })
}

fn handle_of(handle: &Handle) -> Spread {
    let (mean, deviation) = (handle.mean_s.value, handle.log_deviation.value);
    match handle.used {
        Family::LogNormal => {
            let mean = libm::exp(handle.log_mean.value + deviation * deviation / 2.0);
            Spread::LogNormal { mean: span(mean), cv: libm::expm1(deviation * deviation).sqrt() }
        }
        Family::Gamma => Spread::Gamma { mean: span(mean), cv: 1.0 / handle.gamma_shape.value.sqrt() },
        Family::Empirical => Spread::Empirical { values: handle.points_s.iter().map(|s| span(*s)).collect() },
    }
}

/// Contacts that the record shows served by nobody who is named take none of the roster's time.
fn seen(handle: Spread, fitted: &Calibration) -> Spread {
    let unseen = fitted.unseen.value;
    // All of them, in a record without agents: then nothing is known of anybody's time.
    if !(unseen > 0.0 && unseen < 0.5) {
        return handle;
    }
    let nobody = Spread::Constant { value: span(0.001) };
    Spread::Mixture { part: vec![Part { share: 1.0 - unseen, spread: handle }, Part { share: unseen, spread: nobody }] }
}

fn idle_of(idle: &HiddenIdle) -> Spread {
    Spread::Empirical { values: idle.points_s.iter().map(|s| span(*s)).collect() }
}

/// An agent's factor over the mean of all, 1 for one who is not known. The factors' geometric mean is 1; their arithmetic mean over services,
/// which the classes' means already hold, is divided out.
fn factor_of(name: &str, fitted: &Calibration) -> f64 {
    let Some(agents) = &fitted.agents else { return 1.0 };
    let all: Vec<(f64, f64)> = agents.factors.agents.iter().map(|agent| (agent.factor.value, agent.factor.n as f64)).collect();
    let mean = all.iter().map(|(factor, n)| factor * n).sum::<f64>() / all.iter().map(|(_, n)| n).sum::<f64>().max(1.0);
    let place = agents.names.iter().position(|known| known == name);
    place.map_or(1.0, |place| all[place].0 / mean)
}

fn whole(name: &str, policy: &str, demand: Vec<Demand>, group: Vec<Group>) -> Scenario {
    Scenario {
        name: name.to_owned(),
        about: "fitted by calibrate; every figure's interval stands in its JSON".to_owned(),
        policy: None,
        policy_text: Some(policy.to_owned()),
        length: span(86_400.0),
        start: ClockTime::default(),
        warm_up: Span::ZERO,
        cool_down: Span::ZERO,
        at_end: AtEnd::Finish,
        grid: span(f64::from(GRID_S)),
        within: span(20.0),
        replications: 30,
        seed: 1,
        demand,
        group,
        ai: Vec::new(),
        channel: Vec::new(),
    }
}

fn span(seconds: f64) -> Span {
    // Fitted lengths are shorter than a span may be; a longer one becomes the longest.
    Span::from_seconds(seconds.max(0.0)).unwrap_or_else(|| Span::from_seconds(crate::scenario::SPAN_MAX_S).unwrap_or(Span::ZERO))
}
