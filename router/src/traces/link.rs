//! The trace that asked: a platform's `traceparent`, kept from its request until the contact that it begins is traced.
//!
//! W3C Trace Context is read by OpenTelemetry's own propagator; in front of it stands a length, because the propagator takes
//! short numbers, too. `tracestate` is left out: it may hold anything, and traces must hold no customer's data. The link is
//! no parent, since a contact's trace has a number of its own. It refuses to know whether the contact is sampled.

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use std::collections::{HashMap, VecDeque};
use tidegate_model::{EventId, TenantId};

/// Requests whose `traceparent` is kept at most; the oldest go first.
pub const LINKS_MAX: usize = 16_384;
/// Bytes of a `traceparent` of version 00; later versions may be longer, up to this many more.
const PARENT_BYTES: usize = 55;
const PARENT_BYTES_MAX: usize = 256;

/// The header alone.
struct Parent<'a>(&'a str);

impl Extractor for Parent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

/// Reads a `traceparent`; nothing when it is none. O(length).
#[must_use]
pub fn parent(header: &str) -> Option<SpanContext> {
    let is_long_enough = if header.starts_with("00-") { header.len() == PARENT_BYTES } else { header.len() >= PARENT_BYTES };
    if !is_long_enough || header.len() > PARENT_BYTES_MAX {
        return None;
    }
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Parent(header));
    let found = context.span().span_context().clone();
    found.is_valid().then_some(found)
}

/// Links by the event that asked.
#[derive(Debug, Default)]
pub(super) struct Links {
    links: HashMap<(TenantId, EventId), SpanContext>,
    order: VecDeque<(TenantId, EventId)>,
}

impl Links {
    /// Keeps one; of a repeated request the first counts.
    pub fn keep(&mut self, key: (TenantId, EventId), link: SpanContext) {
        if self.links.contains_key(&key) {
            return;
        }
        self.links.insert(key, link);
        self.order.push_back(key);
        while self.order.len() > LINKS_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            self.links.remove(&oldest);
        }
    }

    /// The link of an event.
    pub fn of(&self, key: (TenantId, EventId)) -> Option<SpanContext> {
        self.links.get(&key).cloned()
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_or_left_alone() {
        let found = parent(GOOD).expect("the specification's own example");
        assert_eq!(found.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((found.span_id().to_string().as_str(), found.is_remote()), ("00f067aa0ba902b7", true));
        let future = format!("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-{}", "x".repeat(200));
        assert!(parent(&future).is_some(), "a later version may say more");
        let bad = [
            String::new(),
            "00-1-2-01".into(),
            GOOD.to_uppercase(),
            GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            GOOD.replace("00-4", "ff-4"),
            format!("{GOOD}-more"),
            format!("{GOOD} "),
            format!("{future}{}", "x".repeat(2)),
            future.repeat(10),
        ];
        for text in bad {
            assert_eq!(parent(&text), None, "{text:?}");
        }
    }

    #[test]
    fn the_oldest_link_goes_first() {
        let mut links = Links::default();
        let link = parent(GOOD).expect("good");
        let key = |n: usize| (TenantId(1), EventId(n as u128));
        for n in 1..=10 * LINKS_MAX {
            links.keep(key(n), link.clone());
            links.keep(key(n), link.clone());
        }
        assert_eq!((links.len(), links.links.len()), (LINKS_MAX, LINKS_MAX));
        assert!(links.of(key(9 * LINKS_MAX)).is_none() && links.of(key(9 * LINKS_MAX + 1)).is_some());
    }
}
