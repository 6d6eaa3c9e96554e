//! Everything that a record says, fitted, and what it cannot say.
//!
//! [`Tally`] counts, [`calibrate`] fits: arrivals of all and of each class, patience, handle times (of work, where agents serve
//! several at once), presence, returns, head start, slow-down. What could not be identified is a sentence each in
//! [`Calibration::unidentified`]: a figure that is missing there is missing everywhere, never filled with a default.
//!
//! It refuses to know scenarios, policies and how figures are printed.

use super::arrivals::{self, Arrivals, DayCounts};
use super::contact::{ClassId, DayNumber};
use super::handle::{AgentFactors, Family, Handle, Lengths};
use super::patience::{Drift, MIN_HANG_UPS, Patience, Waits};
use super::presence::{FittedPresence, HiddenIdle};
use super::read::ReadReport;
use super::redial::{self, Redial};
use super::seniority::{self, ClassHeadStart, HeadStart, MIN_PAIRS, Pairs};
use super::slowdown::{MIN_SHARED, SlowDown};
use super::stats::Estimate;
use super::tally::{ClassTally, Tally, untag};
use crate::kernel::Streams;
use serde::Serialize;
use std::collections::BTreeMap;
use thiserror::Error;

/// Everything fitted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// What was read.
    pub read: ReadReport,
    /// First and last day, as dates.
    pub from: String,
    /// The last day.
    pub until: String,
    /// Days with contacts.
    pub days: u64,
    /// Contacts that asked for an agent.
    pub asked: u64,
    /// Contacts that left before asking.
    pub left_early: u64,
    /// Arrivals of all classes together.
    pub arrivals: Arrivals,
    /// Patience of all classes together.
    pub patience: Option<Patience>,
    /// Each class, the largest first.
    pub classes: Vec<FittedClass>,
    /// Share of served contacts that took no time of a named agent: nobody is named, or the service has no length.
    pub unseen: Estimate,
    /// Handle times by hour of the day, over their class's mean; 1 where fewer than `MIN_HOUR` services say. `None` with
    /// concurrency, where lengths are no work.
    pub handle_by_hour: Option<Vec<f64>>,
    /// Agents' presence.
    pub presence: Option<FittedPresence>,
    /// How agents differ.
    pub agents: Option<NamedFactors>,
    /// Coming again.
    pub redial: Option<Redial>,
    /// Priority customers' head start.
    pub head_start: Option<HeadStart>,
    /// Slow-down by contacts at once.
    pub slow_down: Option<SlowDown>,
    /// What the record cannot say.
    pub unidentified: Vec<Unidentified>,
}

/// One class, fitted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FittedClass {
    /// Its name.
    pub name: String,
    /// Contacts that asked.
    pub asked: u64,
    /// Its arrivals.
    pub arrivals: Arrivals,
    /// Its patience; `None` with fewer than [`MIN_HANG_UPS`] hang-ups: all classes' stands in.
    pub patience: Option<Patience>,
    /// Whether its callers' patience has changed; then the figures are those of the last months.
    pub patience_drift: Drift,
    /// Patience of its callers of high standing and of all others, where both have hang-ups enough.
    pub patience_by_standing: Option<PatienceByStanding>,
    /// By how much its ordinary callers are taken earlier than those of the largest class, where the same agents serve both.
    pub head_start: Option<ClassHeadStart>,
    /// How long agents stay away after serving it although somebody waits, where enough was seen.
    pub hidden_idle: Option<HiddenIdle>,
    /// Its handle times: of work, with a slow-down curve.
    pub handle: Option<Handle>,
    /// Whether its handle times have changed; then the figures are those of the last months.
    pub handle_drift: Drift,
}

/// Services of an hour below which its handle times are taken to be as usual.
pub const MIN_HOUR: u64 = 200;

/// Patience by priority.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PatienceByStanding {
    /// Of high standing.
    pub high: Patience,
    /// All others.
    pub others: Patience,
}

/// Agents' factors with their names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NamedFactors {
    /// The spread between agents and each one's factor.
    #[serde(flatten)]
    pub factors: AgentFactors,
    /// Their names, in the order of the factors.
    pub names: Vec<String>,
}

/// Something that the record cannot say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unidentified {
    /// Of what.
    pub what: String,
    /// Why not.
    pub why: String,
}

/// Why nothing was fitted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CalibrateError {
    /// Nobody asked for an agent.
    #[error(
        "no contact that asked for an agent was read ({rows} rows, {rejected} rejected); is this the right file, and are the columns mapped?"
    )]
    Nobody {
        /// Rows read.
        rows: u64,
        /// Rows rejected.
        rejected: u64,
    },
}

/// Fits what was counted; `read` says where it comes from.
///
/// # Errors
/// [`CalibrateError`].
pub fn calibrate(mut tally: Tally, interval_s: u32, read: ReadReport, streams: &Streams) -> Result<Calibration, CalibrateError> {
    tally.close();
    let mut all = DayCounts::new();
    let mut waits = Waits::default();
    let mut left_early = 0;
    for class in tally.classes.values() {
        waits.merge(&class.waits.all());
        left_early += class.left_early;
        for (day, counts) in &class.arrivals {
            let sums = all.entry(*day).or_insert_with(|| vec![0; counts.len()]);
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
        }
    }
    let Some((first, last)) = tally.span.filter(|_| !all.is_empty()) else {
        return Err(CalibrateError::Nobody { rows: read.rows, rejected: read.rejected });
    };
    let special = arrivals::special_days(&all);
    let slow_down = tally.trails.fit();
    let worked = slow_down.as_ref().map(|curve| {
        let mut works: BTreeMap<ClassId, Lengths> = BTreeMap::new();
        for (tag, ms) in tally.trails.work(curve) {
            let (class, held_out) = untag(tag);
            works.entry(class).or_default().add(ms, held_out);
        }
        works
    });
    let total = |days: &DayCounts| days.values().flatten().map(|count| u64::from(*count)).sum::<u64>();
    let mut classes: Vec<FittedClass> = tally
        .classes
        .iter()
        .filter(|(_, class)| !class.arrivals.is_empty())
        .map(|(id, class)| {
            // A day without a contact of this class is a day with none, not a day without a record.
            let mut counts = class.arrivals.clone();
            for (day, sums) in &all {
                counts.entry(*day).or_insert_with(|| vec![0; sums.len()]);
            }
            let (lengths, handle_drift) = match worked.as_ref().and_then(|worked| worked.get(id)) {
                Some(works) => (works.clone(), Drift::Steady),
                None => class.lengths.current(last),
            };
            FittedClass {
                name: tally.known_names().class_name(*id).to_owned(),
                asked: total(&class.arrivals),
                arrivals: arrivals::fit(&counts, interval_s, &special, streams),
                patience: class.waits.current(last).0.fit().filter(|patience| patience.hang_ups >= MIN_HANG_UPS),
                patience_drift: class.waits.current(last).1,
                patience_by_standing: by_standing(class, last),
                hidden_idle: tally.presence.hidden_idle_after(*id),
                head_start: tally.class_pairs.get(id).and_then(|days| seniority::fit_class(days, streams)),
                handle: lengths.fit(),
                handle_drift,
            }
        })
        .collect();
    classes.sort_by(|a, b| b.asked.cmp(&a.asked).then_with(|| a.name.cmp(&b.name)));
    let log_means: BTreeMap<ClassId, f64> =
        tally.classes.iter().filter_map(|(id, class)| Some((*id, class.lengths.all().log_mean()?))).collect();
    let agents = tally.agent_lengths.fit(&log_means).map(|factors| NamedFactors {
        names: factors.agents.iter().map(|agent| tally.known_names().agent_name(agent.agent).to_owned()).collect(),
        factors,
    });
    let mut calibration = Calibration {
        read,
        from: first.date(),
        until: last.date(),
        days: all.len() as u64,
        asked: total(&all),
        left_early,
        arrivals: arrivals::fit(&all, interval_s, &special, streams),
        patience: waits.fit(),
        classes,
        unseen: Estimate::share(tally.unseen, tally.served),
        handle_by_hour: slow_down.is_none().then(|| by_hour(&tally)),
        presence: tally.presence.fit(),
        agents,
        redial: redial::fit(&tally.returns, streams),
        head_start: seniority::fit(&tally.pairs, streams),
        slow_down,
        unidentified: Vec::new(),
    };
    calibration.unidentified = unidentified(&calibration, &tally);
    Ok(calibration)
}

fn by_hour(tally: &Tally) -> Vec<f64> {
    let (mut services, mut found, mut expected) = ([0_u64; 24], [0.0; 24], [0.0; 24]);
    for class in tally.classes.values() {
        let (n, sum) = class.by_hour.iter().fold((0, 0.0), |(n, sum), hour| (n + hour.0, sum + hour.1));
        for (at, hour) in class.by_hour.iter().enumerate() {
            services[at] += hour.0;
            found[at] += hour.1;
            expected[at] += hour.0 as f64 * sum / n.max(1) as f64;
        }
    }
    (0..24).map(|at| if services[at] >= MIN_HOUR && expected[at] > 0.0 { found[at] / expected[at] } else { 1.0 }).collect()
}

fn by_standing(class: &ClassTally, last: DayNumber) -> Option<PatienceByStanding> {
    let enough = |waits: &Waits| waits.fit().filter(|patience| patience.hang_ups >= MIN_HANG_UPS);
    // Both of the same days.
    let (waits, high) = match class.waits.current(last) {
        (recent, Drift::Changed) => (recent, class.waits_high.recent(last)),
        (all, Drift::Steady) => (all, class.waits_high.all()),
    };
    Some(PatienceByStanding { high: enough(&high)?, others: enough(&waits.without(&high))? })
}

fn unidentified(of: &Calibration, tally: &Tally) -> Vec<Unidentified> {
    let mut found = Vec::new();
    let mut say = |what: &str, why: String| found.push(Unidentified { what: what.to_owned(), why });
    match &of.patience {
        Some(patience) if patience.hang_ups > 0 && patience.unknown_share > 0.0 => say(
            "patience of the most patient",
            format!(
                "nobody was seen to hang up after {:.0} s; {:.0} % of callers are more patient than that, by how much the record does not say",
                patience.known_until_s,
                patience.unknown_share * 100.0
            ),
        ),
        Some(patience) if patience.hang_ups == 0 => say("patience", "nobody hung up".to_owned()),
        _ => {}
    }
    for class in &of.classes {
        if class.patience.is_none() {
            say(
                &format!("patience of {}", class.name),
                format!("fewer than {MIN_HANG_UPS} hang-ups; all classes' curve stands in"),
            );
        }
        match &class.handle {
            None => say(&format!("handle time of {}", class.name), "fewer than two services with usable times".to_owned()),
            Some(handle) if handle.fit.is_empty() => say(
                &format!("goodness of fit of {}'s handle time", class.name),
                "too few services on held-out days (every fifth day) to judge by".to_owned(),
            ),
            _ => {}
        }
    }
    if of.arrivals.busyness.is_none() {
        say("busyness of days", "no weekday was seen twice, or nobody came".to_owned());
    }
    let [unknown, _, high] = tally.standings;
    let pairs: u64 = tally.pairs.iter().map(|day| Pairs::len(day) as u64).sum();
    if high > 0 && unknown > 0 {
        let share = unknown as f64 / tally.contacts.max(1) as f64 * 100.0;
        say("priority of everybody", format!("it is censored: {share:.0} % of contacts carry none"));
    }
    if of.head_start.is_none() {
        let why = if high == 0 {
            "no contact is of high priority".to_owned()
        } else {
            format!("{pairs} comparable pairs, fewer than {MIN_PAIRS}")
        };
        say("head start of priority customers", why);
    }
    match &of.redial {
        None => say("redials", "no identified customer gave up".to_owned()),
        Some(redial) if redial.time_constant_s.is_none() => {
            say("time constant of redials", "giving up makes nobody come sooner, as far as an hour shows".to_owned());
        }
        _ => {}
    }
    if of.redial.is_some() && tally.identified < tally.contacts {
        let share = 100.0 - tally.identified as f64 / tally.contacts as f64 * 100.0;
        say("redials of the unidentified", format!("{share:.0} % of contacts name no customer"));
    }
    match &of.presence {
        None => say("agents' presence", "no row names an agent with service times".to_owned()),
        Some(presence) => {
            say(
                "sign-in and sign-out",
                "presence runs from the first service to the end of the last: idle time outside is not seen".to_owned(),
            );
            if presence.hidden_idle.is_none() {
                say("hidden idle time", "nobody waited through a gap between two services of an agent".to_owned());
            }
        }
    }
    if of.slow_down.is_none() {
        let share = tally.trails.shared() * 100.0;
        say(
            "slow-down by concurrency",
            format!("{share:.1} % of served time is shared, below {:.0} %: one contact at a time", MIN_SHARED * 100.0),
        );
    }
    if of
        .classes
        .iter()
        .any(|class| class.handle.as_ref().is_some_and(|handle| handle.used == Family::Empirical && !handle.fit.is_empty()))
    {
        say(
            "a smooth family of handle times",
            "where “record” is used, neither log-normal nor Gamma stays near the held-out days".to_owned(),
        );
    }
    if tally.late > 0 {
        let late = tally.late;
        say(
            "contacts out of order",
            format!(
                "{late} came after their day was closed: they count by themselves, not for presence, redials and head start; sort the file by time"
            ),
        );
    }
    found
}
