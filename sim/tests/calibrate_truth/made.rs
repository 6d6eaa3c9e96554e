//! Records with a known truth, made here and read back by `calibrate`: contacts and chats.
//!
//! Everything is drawn from the seed alone, so that a failure is repeated by its seed.

use crate::calibrate_kit::MONDAY_MS;
use tidegate_sim::calibrate::read::Sink;
use tidegate_sim::calibrate::{AgentId, At, ClassId, Ended, Observed, Service, Standing, Tally};
use tidegate_sim::kernel::Mrg32k3a;
use tidegate_sim::kernel::sample::standard_exponential;

/// A contact that asked at `asked_ms` after the first Monday's midnight.
pub fn contact(asked_ms: i64, ended: Ended) -> Observed {
    Observed { class: ClassId(0), asked: At(MONDAY_MS + asked_ms), ended, agent: None, customer: None, standing: Standing::Unknown }
}

/// A served contact with a service by an agent.
pub fn served(asked_ms: i64, waited_ms: u64, handle_ms: u64, agent: u32) -> Observed {
    let from = At(MONDAY_MS + asked_ms).later(waited_ms);
    let service = Some(Service { from, until: from.later(handle_ms) });
    Observed { agent: Some(AgentId(agent)), ..contact(asked_ms, Ended::Served { waited_ms, service }) }
}

/// A tally with some classes and agents named.
pub fn tally(interval_s: u32, classes: &[&str], agents: u32) -> Tally {
    let mut tally = Tally::new(interval_s);
    for class in classes {
        tally.names().class(class).expect("few classes");
    }
    for agent in 0..agents {
        tally.names().agent(&format!("A{agent:03}")).expect("few agents");
    }
    tally
}

/// Chats of some agents of capacity `slow.len()`, least-loaded assignment, work by `work`: one served contact each. A chat
/// beside k − 1 others takes `slow[k − 1]` times as long. Seconds between arrivals go through `gaps`, 2,000 of each.
pub fn chats(
    count: usize,
    agents: usize,
    slow: &[f64],
    gaps: &[f64],
    stream: &mut Mrg32k3a,
    mut work_s: impl FnMut(&mut Mrg32k3a) -> f64,
) -> Vec<Observed> {
    // Per agent: when last brought up to date, and (work left, begin) of its chats.
    let mut desks: Vec<(f64, Vec<(f64, f64)>)> = vec![(0.0, Vec::new()); agents];
    let mut done = Vec::new();
    let (mut now, mut came) = (0.0_f64, 0);
    while done.len() < count {
        came += 1;
        now += gaps[came / 2_000 % gaps.len()] * standard_exponential(stream.next_u01());
        for (agent, desk) in desks.iter_mut().enumerate() {
            while let Some(first) = desk.1.iter().map(|(left, _)| *left).min_by(f64::total_cmp) {
                let factor = slow[desk.1.len() - 1];
                let until = desk.0 + first * factor;
                let step = (until.min(now) - desk.0) / factor;
                for chat in &mut desk.1 {
                    chat.0 -= step;
                }
                desk.0 = until.min(now);
                if until > now {
                    break;
                }
                let place = desk.1.iter().position(|(left, _)| *left <= 1e-9).expect("the first one is done");
                let (_, begin) = desk.1.swap_remove(place);
                let (from, until) = ((begin * 1_000.0) as i64, (desk.0 * 1_000.0) as i64);
                done.push(served(from, 0, (until - from).max(1) as u64, agent as u32));
            }
            desk.0 = now;
        }
        let free = desks.iter_mut().filter(|desk| desk.1.len() < slow.len()).min_by_key(|desk| desk.1.len());
        if let Some(desk) = free {
            desk.1.push((work_s(stream), now));
        }
    }
    done
}
