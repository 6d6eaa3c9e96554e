//! Metrics in Prometheus' text form, rendered on demand from where the figures are kept.
//!
//! There is no second set of counters and no process-wide recorder: each scrape walks the queues' registry, the cell, the
//! live halves and every tenant's ledger, and writes them through the exporter's own recorder, so that names, types and
//! escaping are the library's. Several nodes in one process therefore never mix. It refuses to know who scrapes.

use crate::cell::Intake;
use crate::live::Census;
use crate::node::NodeHandle;
use metrics::{Recorder, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::PrometheusBuilder;
use tidegate_core::Ledger;
use tidegate_core::ledger::exit_slugs;
use tidegate_model::ids::TenantId;
use tidegate_model::name::QueueName;

/// One tenant's figures, read from its machine.
struct TenantFigures {
    id: TenantId,
    ledger: Ledger,
    pressure: Vec<(&'static str, u64, u64)>,
    queues: Vec<(String, u32, u32)>,
    conversations: u32,
}

/// Renders all figures of a node.
pub async fn render(node: &NodeHandle) -> String {
    let mut tenants = Vec::new();
    for id in node.cell().status().tenants {
        let figures = node.query(id, move |machine| {
            let names = machine.policy().map(|policy| policy.queues.as_slice()).unwrap_or_default();
            // Queues stand in the order of the policy's.
            let queues = machine
                .queues()
                .iter()
                .zip(names)
                .map(|(view, queue)| (queue.name.clone(), view.waiting, view.length_max))
                .collect();
            TenantFigures {
                id,
                ledger: machine.ledger(),
                pressure: machine.pressure(),
                queues,
                conversations: machine.conversations(),
            }
        });
        // A tenant that cannot be asked now (a busy cell) is missing from this scrape, which its alert sees.
        tenants.extend(figures.await.ok());
    }
    let recorder = PrometheusBuilder::new().build_recorder();
    let rendered = recorder.handle();
    metrics::with_local_recorder(&recorder, || record(&recorder, node, &tenants));
    rendered.render()
}

fn record(_recorder: &impl Recorder, node: &NodeHandle, tenants: &[TenantFigures]) {
    describe_gauge!("tidegate_queue_length", "Entries standing in a queue of the node");
    describe_gauge!("tidegate_queue_limit", "Most entries that the queue holds");
    for queue in node.gauges().read() {
        gauge!("tidegate_queue_length", "queue" => queue.name.clone()).set(queue.length as f64);
        gauge!("tidegate_queue_limit", "queue" => queue.name).set(queue.limit as f64);
    }
    cell(node);
    live(node);
    if let Some(counts) = node.file_counts() {
        describe_counter!("tidegate_files_total", "Files stored, read, refused, swept, since the start");
        for (what, value) in counts.all() {
            counter!("tidegate_files_total", "what" => what).absolute(value);
        }
    }
    events(node);
    webhooks(node);
    traces(node);
    for tenant in tenants {
        ledger(tenant);
        floor(node, tenant);
    }
    for (id, counts) in node.live().contacts() {
        let tenant = id.0.to_string();
        counter!("tidegate_decisions_total", "tenant" => tenant.clone()).absolute(counts.decisions);
        counter!("tidegate_conversations_opened_total", "tenant" => tenant.clone()).absolute(counts.opened);
        counter!("tidegate_conversations_closed_total", "tenant" => tenant).absolute(counts.closed);
    }
}

fn cell(node: &NodeHandle) {
    let status = node.cell().status();
    describe_gauge!("tidegate_ready", "1 while the node should get traffic");
    gauge!("tidegate_ready").set(f64::from(u8::from(node.is_ready())));
    gauge!("tidegate_log_failed").set(f64::from(u8::from(status.intake == Intake::LogFailed)));
    gauge!("tidegate_acknowledged_on_disks").set(f64::from(status.acknowledged_on_disks));
    gauge!("tidegate_term").set(status.term.0 as f64);
    gauge!("tidegate_log_time_behind_milliseconds").set(status.log_time_behind.0 as f64);
    gauge!("tidegate_apply_lag_entries").set(status.committed.0.saturating_sub(status.applied.0) as f64);
    counter!("tidegate_entries_committed_total").absolute(status.committed.0);
    counter!("tidegate_entries_emitted_total").absolute(status.emitted.0);
    counter!("tidegate_sink_panics_total").absolute(status.sink_panics);
    counter!("tidegate_snapshot_failures_total").absolute(status.snapshot_failures);
    describe_counter!(
        "tidegate_snapshot_differences_total",
        "Snapshots not written: the log's replay and the live machines differ"
    );
    counter!("tidegate_snapshot_differences_total").absolute(status.snapshot_differences);
    describe_counter!("tidegate_inputs_refused_total", "Inputs answered Busy, by cause");
    counter!("tidegate_inputs_refused_total", "cause" => "tenant_share").absolute(status.refused.tenant_share);
    counter!("tidegate_inputs_refused_total", "cause" => "front_full").absolute(status.refused.front_full);
    counter!("tidegate_inputs_refused_total", "cause" => "apply_behind").absolute(status.refused.apply_behind);
    describe_gauge!("tidegate_stage_microseconds", "How long an input stands in a stage, since the start");
    for stage in node.cell().stages().summaries() {
        let name = stage.stage.slug();
        for (quantile, value) in [("0.5", stage.p50_us), ("0.99", stage.p99_us), ("0.999", stage.p999_us), ("1", stage.max_us)] {
            gauge!("tidegate_stage_microseconds", "stage" => name, "quantile" => quantile).set(value);
        }
        counter!("tidegate_stage_inputs_total", "stage" => name).absolute(stage.count);
    }
}

fn live(node: &NodeHandle) {
    let live = node.live().status();
    describe_gauge!("tidegate_live", "Slots, actors, watchers and rung bells of the live halves");
    for (family, census) in [("conversations", live.conversations), ("seats", live.seats), ("outboxes", live.outboxes)] {
        let Census { slots, live, watchers, rung } = census;
        for (what, value) in [("slots", slots), ("actors", live), ("watchers", watchers), ("rung", rung)] {
            gauge!("tidegate_live", "family" => family, "what" => what).set(value as f64);
        }
    }
    for (name, value) in [
        ("tidegate_live_restarts_total", live.restarts),
        ("tidegate_live_nursery_restarts_total", live.nursery_restarts),
        ("tidegate_live_root_restarts_total", live.root_restarts),
        ("tidegate_live_rested_total", live.rested),
        ("tidegate_live_wakes_total", live.wakes),
        ("tidegate_live_notices_total", live.notices),
        ("tidegate_live_resyncs_total", live.resyncs),
        ("tidegate_live_watches_refused_total", live.watches_refused),
        ("tidegate_live_watchers_dropped_total", live.watchers_dropped),
        ("tidegate_outbox_attempts_total", live.attempts),
        ("tidegate_outbox_results_total", live.results_logged),
        ("tidegate_outbox_rows_without_channel_total", live.rows_without_channel),
    ] {
        counter!(name).absolute(value);
    }
}

fn events(node: &NodeHandle) {
    let Some(status) = node.events().map(crate::events::Events::status) else { return };
    describe_gauge!("tidegate_events_lag_entries", "Entries handed to the event journal and not yet durable in it");
    gauge!("tidegate_events_lag_entries").set(status.taken.0.saturating_sub(status.durable.0) as f64);
    gauge!("tidegate_events_failed").set(f64::from(u8::from(status.failure.is_some())));
    gauge!("tidegate_events_oldest_entry").set(status.floor.seq.0 as f64);
    gauge!("tidegate_events_engagements").set(status.open_engagements as f64);
    for (name, value) in [
        ("tidegate_events_written_total", status.written),
        ("tidegate_events_bytes_total", status.written_bytes),
        ("tidegate_events_dropped_total", status.dropped),
        ("tidegate_events_syncs_total", status.syncs),
        ("tidegate_events_gaps_total", status.gaps),
    ] {
        counter!(name).absolute(value);
    }
}

fn webhooks(node: &NodeHandle) {
    let now = node.cell().status().log_time;
    for view in node.webhooks().map(crate::webhook::Webhooks::all).unwrap_or_default() {
        let labels = [("tenant", view.subscription.tenant.0.to_string()), ("webhook", view.subscription.id.to_string())];
        describe_gauge!("tidegate_webhook_lag_entries", "Entries of the log that a subscription has not read yet");
        describe_gauge!("tidegate_webhook_lag_seconds", "Age, in log time, of the oldest event that waits for its delivery");
        let age = view.oldest.map_or(0, |oldest| now.0.saturating_sub(oldest.0));
        for (name, value) in [
            ("tidegate_webhook_lag_entries", view.lag_entries as f64),
            ("tidegate_webhook_lag_seconds", age as f64 / 1_000.0),
            ("tidegate_webhook_pending", view.pending as f64),
            ("tidegate_webhook_in_flight", view.in_flight as f64),
            ("tidegate_webhook_dead_letters", view.letters as f64),
            ("tidegate_webhook_paused", f64::from(u8::from(view.subscription.pause.is_some()))),
            ("tidegate_webhook_receiver_rests", f64::from(u8::from(view.is_broken))),
        ] {
            gauge!(name, &labels).set(value);
        }
        for (name, value) in [
            ("tidegate_webhook_delivered_total", view.counts.delivered),
            ("tidegate_webhook_attempts_total", view.counts.attempts),
            ("tidegate_webhook_failures_total", view.counts.failures),
            ("tidegate_webhook_dead_total", view.counts.dead),
            ("tidegate_webhook_breaks_total", view.counts.breaks),
            ("tidegate_webhook_gaps_total", view.gaps),
        ] {
            counter!(name, &labels).absolute(value);
        }
    }
}

fn traces(node: &NodeHandle) {
    let Some(status) = node.traces().map(crate::traces::Traces::status) else { return };
    describe_counter!("tidegate_trace_spans_total", "Spans made, and what became of those that wait no more");
    for (what, value) in [
        ("made", status.made),
        ("exported", status.exported),
        ("dropped_queue_full", status.dropped_full),
        ("dropped_not_taken", status.dropped_refused),
    ] {
        counter!("tidegate_trace_spans_total", "what" => what).absolute(value);
    }
    describe_counter!("tidegate_trace_contacts_unfollowed_total", "Sampled contacts whose trace was given up");
    counter!("tidegate_trace_contacts_unfollowed_total").absolute(status.unfollowed);
    counter!("tidegate_trace_facts_dropped_total").absolute(status.facts_dropped);
    gauge!("tidegate_trace_export_failing").set(f64::from(u8::from(status.is_failing)));
}

/// Queues as the wall has them, from the same counts.
fn floor(node: &NodeHandle, figures: &TenantFigures) {
    let tenant = figures.id.0.to_string();
    let now = node.cell().status().log_time;
    describe_gauge!("tidegate_queue_oldest_wait_seconds", "How long the longest waiting contact of a queue waits, in log time");
    describe_gauge!(
        "tidegate_queue_level",
        "Counts of the service level over the last hour of log time, at the queue's own target"
    );
    describe_counter!("tidegate_tally_missed_total", "Records that are in no count of queues and wrap-ups");
    counter!("tidegate_tally_missed_total").absolute(node.live().tallies().missed());
    let oldest = node.live().oldest(figures.id);
    for (name, ..) in &figures.queues {
        let (queue, labels) = (QueueName::of(name), [("tenant", tenant.clone()), ("queue", name.clone())]);
        let from = oldest.iter().find(|(other, _)| *other == queue).map_or(now, |(_, from)| *from);
        gauge!("tidegate_queue_oldest_wait_seconds", &labels).set(now.since(from).0 as f64 / 1_000.0);
        let counted = node.live().tallies().read(figures.id, |tally| {
            let queue = tally.queue(queue)?;
            Some((queue.served, queue.abandoned, queue.level(now)))
        });
        let Some(Some((served, abandoned, level))) = counted else { continue };
        counter!("tidegate_queue_served_total", &labels).absolute(served);
        counter!("tidegate_queue_abandoned_total", &labels).absolute(abandoned);
        for (count, value) in [
            ("offered", level.offered),
            ("served", level.served),
            ("served_within", level.served_within),
            ("left_within", level.left_within),
        ] {
            gauge!("tidegate_queue_level", "tenant" => tenant.clone(), "queue" => name.clone(), "count" => count).set(value as f64);
        }
    }
}

fn ledger(figures: &TenantFigures) {
    let tenant = figures.id.0.to_string();
    let ledger = &figures.ledger;
    describe_counter!("tidegate_contacts_offered_total", "Contacts that came in, refused ones included");
    counter!("tidegate_contacts_offered_total", "tenant" => tenant.clone()).absolute(ledger.offered);
    for (exit, count) in exit_slugs().into_iter().zip(ledger.exits) {
        counter!("tidegate_contacts_exited_total", "tenant" => tenant.clone(), "exit" => exit).absolute(count);
    }
    for (owner, count) in [
        ("bot", ledger.with_bot),
        ("lane", ledger.waiting),
        ("offer", ledger.in_offer),
        ("seat", ledger.in_service),
        ("manual", ledger.manual),
    ] {
        gauge!("tidegate_contacts_open", "tenant" => tenant.clone(), "owner" => owner).set(count as f64);
    }
    gauge!("tidegate_ledger_balanced", "tenant" => tenant.clone()).set(f64::from(u8::from(ledger.balanced())));
    gauge!("tidegate_conversations", "tenant" => tenant.clone()).set(f64::from(figures.conversations));
    counter!("tidegate_inputs_refused_by_name_total", "tenant" => tenant.clone()).absolute(ledger.refused_inputs);
    counter!("tidegate_duplicates_total", "tenant" => tenant.clone()).absolute(ledger.duplicates);
    counter!("tidegate_poisoned_total", "tenant" => tenant.clone()).absolute(ledger.poisoned);
    for (name, used, limit) in &figures.pressure {
        gauge!("tidegate_tenant_used", "tenant" => tenant.clone(), "what" => *name).set(*used as f64);
        gauge!("tidegate_tenant_limit", "tenant" => tenant.clone(), "what" => *name).set(*limit as f64);
    }
    for (queue, waiting, length_max) in &figures.queues {
        gauge!("tidegate_queue_waiting", "tenant" => tenant.clone(), "queue" => queue.clone()).set(f64::from(*waiting));
        gauge!("tidegate_queue_waiting_limit", "tenant" => tenant.clone(), "queue" => queue.clone()).set(f64::from(*length_max));
    }
}
