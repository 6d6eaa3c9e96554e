//! What events must be: derived from the log by replay, in this file's own few lines; and what the journal of events holds.
//!
//! Shared by the tests of the cell and of the live halves. It knows nothing of writers, cursors and deliveries.

use tidegate_journal::{Disk, Journal, OnDamage, Options, Position, ScanStep};
use tidegate_model::TenantId;
use tidegate_router::cell::Machines;
use tidegate_router::events::{Cursor, Deriver, Event, EventNo, Events, Gap};

/// The events of one tenant that a log gives, replayed from its first entry.
pub fn derived<D: Disk>(log: D, tenant: TenantId) -> Vec<Event> {
    let options = Options { on_damage: OnDamage::ReadOnly, ..Options::default() };
    let (journal, recovery) = Journal::open(log, options).expect("the log opens read-only");
    assert!(recovery.is_whole(), "{recovery}");
    let mut scan = journal.scan(Position::START);
    let (mut machines, mut deriver) = (Machines::new(), Deriver::new(false));
    let (mut outputs, mut events) = (Vec::new(), Vec::new());
    while let Some(step) = scan.step().expect("the log can be read") {
        let ScanStep::Entry(entry) = step else { panic!("a hole in the log") };
        outputs.clear();
        let replayed = machines.replay(entry.payload, &mut outputs).expect("the log replays");
        deriver.entry(replayed.tenant, replayed.seq, replayed.at, &outputs, |event| {
            if event.tenant == tenant {
                events.push(event);
            }
        });
    }
    events
}

/// Everything that can be read behind a number, in small pages, with the gaps met.
pub fn kept(events: &Events, tenant: TenantId, after: EventNo) -> (Vec<Event>, Vec<Gap>) {
    let mut cursor = Cursor::after(after);
    let (mut found, mut gaps) = (Vec::new(), Vec::new());
    loop {
        let page = events.read(&mut cursor, tenant, 7, 1 << 20).expect("the event journal can be read");
        found.extend(page.events);
        gaps.extend(page.gap);
        if !page.more {
            return (found, gaps);
        }
    }
}
