//! Numbers of traces and spans, and whether a contact has a trace at all: pure functions of tenant and contact.
//!
//! Any replica, and any replay of the log, gives a contact the same trace, and each of its spans the same number; a span that
//! is sent twice is the same span. The numbers are BLAKE3 in its key derivation mode, so that every bit of them is as good as
//! random: the sampler of OpenTelemetry's own kit judges by the lower half of the trace's number, and so do collectors.
//! It refuses to know time.

use opentelemetry::trace::{SpanId, SpanKind, TraceId};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample as _};
use tidegate_model::{ContactId, TenantId};

/// What a span is; with a number of its own within the contact it has one id for ever. Append, never renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// The whole: from the first event to the acceptance, or to the exit before one.
    Contact = 0,
    /// Received until committed.
    Receive = 1,
    /// Committed until decided.
    Decide = 2,
    /// With a bot.
    Bot = 3,
    /// In a queue.
    Wait = 4,
    /// An offer is out.
    Offer = 5,
    /// The acceptance, from its reception until committed.
    Accept = 6,
}

/// The trace of a contact. O(1).
#[must_use]
pub fn trace_id(tenant: TenantId, contact: ContactId) -> TraceId {
    let mut hasher = blake3::Hasher::new_derive_key("tidegate traces v1: the trace of a contact");
    hasher.update(&tenant.0.to_le_bytes());
    hasher.update(&contact.0.to_le_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    TraceId::from_bytes(id)
}

/// A span of a trace.
pub(super) fn span_id(trace: TraceId, part: Part, number: u64) -> SpanId {
    let mut hasher = blake3::Hasher::new_derive_key("tidegate traces v1: a span of a trace");
    hasher.update(&trace.to_bytes());
    hasher.update(&[part as u8]);
    hasher.update(&number.to_le_bytes());
    let mut id = [0; 8];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    SpanId::from_bytes(id)
}

/// Whether a trace is kept at a ratio from 0 to 1.
pub(super) fn is_sampled(ratio: f64, trace: TraceId) -> bool {
    let sampler = Sampler::TraceIdRatioBased(ratio);
    let result = sampler.should_sample(None, trace, "contact", &SpanKind::Consumer, &[], &[]);
    result.decision == SamplingDecision::RecordAndSample
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_contact_has_one_trace_everywhere_and_no_other_has_it() {
        // The numbers of today: another release must give the same, or half a trace goes astray at an upgrade.
        let id = trace_id(TenantId(1), ContactId(7));
        assert_eq!(id.to_string(), "cb5c3579615c650f2d3a0a6d0a15bcb7");
        assert_eq!(span_id(id, Part::Contact, 0).to_string(), "786dce946e6bc798");
        let mut seen = HashSet::new();
        for tenant in 1..=40 {
            for contact in 1..=100 {
                let trace = trace_id(TenantId(tenant), ContactId(contact));
                assert!(seen.insert(trace), "{tenant} {contact}");
                let spans: HashSet<_> =
                    (0..8).flat_map(|n| [Part::Contact, Part::Wait, Part::Offer].map(|part| span_id(trace, part, n))).collect();
                assert_eq!(spans.len(), 24);
            }
        }
    }

    #[test]
    fn the_ratio_is_kept_and_a_higher_one_keeps_what_a_lower_one_kept() {
        let traces: Vec<_> = (1..=20_000).map(|contact| trace_id(TenantId(3), ContactId(contact))).collect();
        let kept = |ratio: f64| -> HashSet<_> { traces.iter().copied().filter(|id| is_sampled(ratio, *id)).collect() };
        assert_eq!((kept(0.0).len(), kept(1.0).len()), (0, traces.len()));
        let (few, more) = (kept(0.1), kept(0.5));
        // Binomial: mean 2,000 and 10,000, five standard deviations are 212 and 354.
        assert!(few.len().abs_diff(2_000) < 212, "{}", few.len());
        assert!(more.len().abs_diff(10_000) < 354, "{}", more.len());
        assert!(few.is_subset(&more));
    }
}
