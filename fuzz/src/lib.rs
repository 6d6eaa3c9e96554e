//! Fuzz targets as plain functions: one a decoder, plus operation sequences for the state machines.
//!
//! A target takes any bytes and returns; it panics only when a property of the product is broken. Plain `cargo test -p
//! tidegate-fuzz` runs every target over its corpus in `corpus/<target>/`, then mutates for `TIDEGATE_FUZZ_SECONDS`; nightly,
//! the same functions run under libFuzzer and AddressSanitizer (`cargo-fuzz/`). The crate refuses to know how bytes are
//! found: [`mutate`] knows no target, a target knows no mutation.
//!
//! A new target: a function in `targets/`, a line in [`TARGETS`], its seeds in [`seeds`], a wrapper in `cargo-fuzz/`. The
//! house rules fail if one of the four is missing.
#![forbid(unsafe_code)]

pub mod bytes;
pub mod mutate;
pub mod seeds;
pub mod targets;

/// One target: its name, which is its corpus directory's too, and its function.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name.
    pub name: &'static str,
    /// Takes any bytes; panics only when a property is broken.
    pub run: fn(&[u8]),
    /// Inputs longer than this are not tried.
    pub bytes_max: usize,
}

const fn target(name: &'static str, run: fn(&[u8]), bytes_max: usize) -> Target {
    Target { name, run, bytes_max }
}

/// Every target.
pub const TARGETS: &[Target] = &[
    target("entry_codec", targets::model::entry_codec, 4_096),
    target("journal_frames", targets::journal::journal_frames, 16_384),
    target("journal_damage", targets::journal::journal_damage, 2_048),
    target("journal_life", targets::journal::journal_life, 512),
    target("policy_text", targets::core::policy_text, 4_096),
    target("payloads", targets::core::payloads, 2_048),
    target("tenant_inputs", targets::tenant::tenant_inputs, 3_072),
    target("bank_trace", targets::sim::bank_trace, 4_096),
    target("contact_csv", targets::sim::contact_csv, 4_096),
    target("scenario_text", targets::sim::scenario_text, 4_096),
    target("simulation_results", targets::sim::simulation_results, 32_768),
    target("web_frames", targets::channels::web_frames, 4_096),
    target("desk_frames", targets::channels::desk_frames, 4_096),
    target("tokens", targets::channels::tokens, 256),
    target("uploads", targets::channels::uploads, 16_384),
    target("event_records", targets::router::event_records, 2_048),
    target("webhook_files", targets::router::webhook_files, 4_096),
    target("event_places", targets::router::event_places, 256),
    target("file_records", targets::router::file_records, 2_048),
    target("trace_headers", targets::router::trace_headers, 1_024),
    target("api_tokens", targets::security::api_tokens, 256),
    target("audit_records", targets::security::audit_records, 4_096),
    target("masking", targets::security::masking, 1_024),
    target("unit_text", targets::sim::unit_text, 96),
];
