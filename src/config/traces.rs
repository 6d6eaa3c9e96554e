//! Checks where traces go, and reads the headers that let a node in there.
//!
//! The router's own rules are asked here, so that what would fail at the start fails in `config check`. It refuses to know the
//! collector: nothing is asked over the network. No header is part of a message.

use super::check::Faults;
use super::file::Traces;
use super::layers::Path as Field;
use std::path::Path;
use tidegate_router::traces::{SecretHeaders, TracesConfig, TracesError};

/// Traces as the router takes them.
pub(super) fn read_traces(base: &Path, traces: Option<&Traces>, faults: &mut Faults<'_>) -> Option<TracesConfig> {
    let traces = traces?;
    let at = Field::key("traces");
    let config = TracesConfig {
        headers: headers(base, traces, &at, faults),
        sample_ratio: traces.sample_ratio,
        queue_limit: traces.queue_limit,
        service_name: traces.service_name.clone(),
        ..TracesConfig::new(traces.endpoint.clone())
    };
    for error in config.check() {
        match error {
            TracesError::Config { field, what } => faults.add(&at.then(field), &format!("traces.{field}"), what),
            other => faults.add(&at, "traces", other),
        }
    }
    Some(config)
}

fn headers(base: &Path, traces: &Traces, at: &Field, faults: &mut Faults<'_>) -> SecretHeaders {
    let Some(file) = traces.headers_file.as_ref().map(|file| base.join(file)) else { return SecretHeaders::default() };
    let found = match std::fs::read_to_string(&file) {
        Ok(text) => SecretHeaders::read(&text).map_err(|error| error.to_string()),
        Err(error) => Err(format!("{error}; make the file with a line NAME: VALUE for each header")),
    };
    found.unwrap_or_else(|problem| {
        faults.add(&at.then("headers_file"), "traces.headers_file", format!("{}: {problem}", file.display()));
        SecretHeaders::default()
    })
}
