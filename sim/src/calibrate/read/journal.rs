//! A stopped node's journal as contacts: the log replayed by the twin, each contact's record read off.
//!
//! Queues are the classes, seats the agents; both stand in the log by number, so that is how they are named. Log time is
//! universal and is brought to the wall clock by the zone that the caller names. Service is from acceptance to the contact's end;
//! wrap-up is not in a contact's record. What left by another exit than service or impatience (time-outs, refusals) is censored
//! where it ended, or ignored when it never asked.
//!
//! It refuses to know the policy under which the node decided.

use super::super::contact::{Ended, Observed, Service, Standing};
use super::moment::Zone;
use super::{ReadError, ReadReport, Sink};
use crate::twin::{Keep, journal::replay_dir};
use std::path::Path;
use tidegate_model::record::{ContactRecord, Exit};

/// Reads a stopped node's log into `sink`.
///
/// # Errors
/// [`ReadError::Journal`], [`ReadError::Names`], [`ReadError::Empty`].
pub fn read_journal(path: &Path, zone: Zone, sink: &mut impl Sink) -> Result<ReadReport, ReadError> {
    let replay = replay_dir(path, Keep::Contacts)?;
    let file = path.display().to_string();
    let mut report = ReadReport::default();
    for tenant in replay.tenants.values() {
        from_records(&tenant.contacts, &file, zone, &mut report, sink)?;
    }
    if report.rows == 0 {
        return Err(ReadError::Empty { file });
    }
    for hole in &replay.unreadable {
        *report.problems.entry(format!("unreadable: {hole}")).or_default() += 1;
    }
    Ok(report)
}

/// Contacts' records as contacts, by when they asked.
///
/// # Errors
/// [`ReadError::Names`].
pub fn from_records(
    records: &[ContactRecord],
    file: &str,
    zone: Zone,
    report: &mut ReadReport,
    sink: &mut impl Sink,
) -> Result<(), ReadError> {
    // Records come in the order of exits; days are fitted in the order of requests.
    let mut sorted: Vec<&ContactRecord> = records.iter().collect();
    sorted.sort_by_key(|record| (record.requested_at.unwrap_or(record.began_at), record.contact));
    for record in sorted {
        report.rows += 1;
        let named = |source| ReadError::Names { file: file.to_owned(), line: report.rows, source };
        let class = sink.names().class(&format!("queue {:x}", record.queue.0)).map_err(named)?;
        let local = |at: tidegate_model::Timestamp| zone.local(i64::try_from(at.0).unwrap_or(i64::MAX));
        let asked = record.requested_at.map_or_else(|| local(record.began_at), local);
        let waited_ms = |until: tidegate_model::Timestamp| local(until).since(asked);
        let ended = match (record.requested_at, record.assigned_at, record.exit) {
            (None, ..) => Ended::BeforeAsking,
            (_, Some(assigned), _) => {
                let (from, until) = (local(assigned), local(record.ended_at));
                let whole = matches!(record.exit, Exit::Served | Exit::CustomerLeft) && record.segments <= 1 && until > from;
                Ended::Served { waited_ms: waited_ms(assigned), service: whole.then_some(Service { from, until }) }
            }
            (_, None, Exit::AbandonedWaiting) => Ended::Abandoned { waited_ms: waited_ms(record.ended_at) },
            (_, None, Exit::AbandonedWithBot) => Ended::BeforeAsking,
            // Not impatience: patience is longer than this.
            (_, None, _) => Ended::Served { waited_ms: waited_ms(record.ended_at), service: None },
        };
        let agent = match ended {
            Ended::Served { service: Some(_), .. } => Some(sink.names().agent(&format!("seat {}", record.seat.0)).map_err(named)?),
            _ => None,
        };
        let customer = (record.customer.0 != 0).then_some(record.customer.0);
        report.contacts += 1;
        sink.take(Observed { class, asked, ended, agent, customer, standing: Standing::Unknown });
    }
    Ok(())
}
