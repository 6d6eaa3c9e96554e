//! Where traces go and how many: the settings, their ranges, and headers that nobody may print.
//!
//! [`TracesConfig::check`] is asked by `config check` and again at the start, so that what would fail there fails early. It
//! refuses to know files and the environment: `src/` reads those.

use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// Bytes of an endpoint.
pub const ENDPOINT_BYTES_MAX: usize = 2_048;
/// Bytes of a service's name.
pub const SERVICE_NAME_BYTES_MAX: usize = 255;
/// Headers of a request at most, and bytes of one value.
pub const HEADERS_MAX: usize = 32;
/// Bytes of one header's value.
pub const HEADER_BYTES_MAX: usize = 8_192;
/// Spans that may wait for the collector, at least and at most.
pub const QUEUE_LIMITS: std::ops::RangeInclusive<usize> = 1..=1_048_576;

/// Headers of every request to the collector: a secret. Shown by number only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretHeaders(HashMap<String, String>);

/// Where traces go and how many.
#[derive(Debug, Clone, PartialEq)]
pub struct TracesConfig {
    /// The collector's base, as `http://HOST:4318`; `/v1/traces` is put behind it.
    pub endpoint: String,
    /// Headers of every request.
    pub headers: SecretHeaders,
    /// Which part of the contacts is traced, 0 to 1: decided by the trace's number.
    pub sample_ratio: f64,
    /// Spans that wait for the collector at most.
    pub queue_limit: usize,
    /// `service.name` of every span.
    pub service_name: String,
    /// How long a batch waits for company.
    pub company: Duration,
    /// How long one batch may take, attempts included.
    pub patience: Duration,
}

impl TracesConfig {
    /// The defaults towards a collector: all contacts, 16,384 spans, 1 s of company, 10 s of patience.
    #[must_use]
    pub fn new(endpoint: String) -> Self {
        Self {
            endpoint,
            headers: SecretHeaders::default(),
            sample_ratio: 1.0,
            queue_limit: 16_384,
            service_name: "tidegate".to_owned(),
            company: Duration::from_secs(1),
            patience: Duration::from_secs(10),
        }
    }

    /// Every setting that is out of its range, by name.
    #[must_use]
    pub fn check(&self) -> Vec<TracesError> {
        let mut wrong = Vec::new();
        let mut add = |field: &'static str, what: String| wrong.push(TracesError::Config { field, what });
        if self.url().is_none() {
            let what = "write the collector's base as http://HOST:4318 or https://HOST[:PORT][/PATH], without a user, `?` or `#`";
            add("endpoint", what.to_owned());
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            add("sample_ratio", format!("is 0 to 1, found {}", self.sample_ratio));
        }
        if !QUEUE_LIMITS.contains(&self.queue_limit) {
            let (low, high) = (QUEUE_LIMITS.start(), QUEUE_LIMITS.end());
            add("queue_limit", format!("is {low} to {high} (spans), found {}", self.queue_limit));
        }
        let name = self.service_name.trim();
        if name.is_empty() || self.service_name.len() > SERVICE_NAME_BYTES_MAX {
            add("service_name", format!("1 to {SERVICE_NAME_BYTES_MAX} bytes"));
        }
        wrong
    }

    /// Where spans are sent to; nothing when the endpoint is none.
    pub(super) fn url(&self) -> Option<String> {
        let base = self.endpoint.trim_end_matches('/');
        let uri: Uri = base.parse().ok()?;
        let authority = uri.authority()?;
        let is_good = matches!(uri.scheme_str(), Some("http" | "https"))
            && self.endpoint.len() <= ENDPOINT_BYTES_MAX
            && !authority.host().is_empty()
            && !authority.as_str().contains('@')
            && uri.query().is_none()
            && !self.endpoint.contains('#');
        is_good.then(|| format!("{base}/v1/traces"))
    }
}

impl SecretHeaders {
    /// Reads lines `name: value`; empty ones and those that begin with `#` are passed over.
    ///
    /// # Errors
    /// What is wrong with which line, never what stands in it.
    pub fn read(text: &str) -> Result<Self, HeadersError> {
        let mut headers = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let line_no = index + 1;
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line.split_once(':').ok_or(HeadersError::Form { line: line_no })?;
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
            let known = name.parse::<HeaderName>().map_err(|_| HeadersError::Form { line: line_no })?;
            if OWN.contains(&known.as_str()) {
                return Err(HeadersError::Own { line: line_no });
            }
            if value.is_empty() || value.len() > HEADER_BYTES_MAX || value.parse::<HeaderValue>().is_err() {
                return Err(HeadersError::Value { line: line_no });
            }
            if headers.insert(name, value.to_owned()).is_some() {
                return Err(HeadersError::Twice { line: line_no });
            }
            if headers.len() > HEADERS_MAX {
                return Err(HeadersError::TooMany { line: line_no });
            }
        }
        Ok(Self(headers))
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_map(self) -> HashMap<String, String> {
        self.0
    }
}

/// Headers that the protocol sets itself.
const OWN: [&str; 6] = ["content-type", "content-length", "content-encoding", "host", "connection", "transfer-encoding"];

impl fmt::Debug for SecretHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretHeaders({})", self.0.len())
    }
}

/// Why headers cannot be read. No part of them is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadersError {
    /// No header.
    #[error("line {line}: is no header; write NAME: VALUE")]
    Form {
        /// From 1.
        line: usize,
    },
    /// A bad value.
    #[error("line {line}: the value is empty, longer than {HEADER_BYTES_MAX} bytes or holds what a header cannot")]
    Value {
        /// From 1.
        line: usize,
    },
    /// One of the protocol's.
    #[error("line {line}: this header is set by the protocol; remove it")]
    Own {
        /// From 1.
        line: usize,
    },
    /// One that is there already.
    #[error("line {line}: this header stands there already; remove one")]
    Twice {
        /// From 1.
        line: usize,
    },
    /// More than are sent.
    #[error("line {line}: at most {HEADERS_MAX} headers are sent")]
    TooMany {
        /// From 1.
        line: usize,
    },
}

/// Why a node has no traces.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TracesError {
    /// A setting.
    #[error("traces.{field}: {what}")]
    Config {
        /// Which.
        field: &'static str,
        /// What is wrong with it, and what to write.
        what: String,
    },
    /// The system's certificates, for an endpoint over TLS.
    #[error("the system's certificates cannot be read, so that no collector can be trusted")]
    Certificates(#[source] std::io::Error),
    /// The exporter, which also reads the OTEL_EXPORTER_OTLP_* variables of the environment.
    #[error("the exporter of traces cannot be made; look at the OTEL_EXPORTER_OTLP_* variables of the environment, too")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(change: impl FnOnce(&mut TracesConfig)) -> Vec<String> {
        let mut config = TracesConfig::new("http://127.0.0.1:4318".to_owned());
        change(&mut config);
        config.check().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn settings_at_their_limits_are_good_and_beyond_them_named() {
        assert_eq!(faults(|_| {}), Vec::<String>::new());
        for ratio in [0.0, 0.5, 1.0] {
            assert!(faults(|c| c.sample_ratio = ratio).is_empty());
        }
        for ratio in [-0.1, 1.000_1, 10.0, f64::NAN, f64::INFINITY] {
            assert!(faults(|c| c.sample_ratio = ratio)[0].contains("sample_ratio"), "{ratio}");
        }
        for (limit, good) in [(1, true), (1_048_576, true), (0, false), (1_048_577, false), (10_485_760, false)] {
            assert_eq!(faults(|c| c.queue_limit = limit).is_empty(), good, "{limit}");
        }
        for (length, good) in [(1, true), (255, true), (0, false), (256, false), (2_550, false)] {
            assert_eq!(faults(|c| c.service_name = "s".repeat(length)).is_empty(), good, "{length}");
        }
        let path = |length: usize| format!("http://h/{}", "p".repeat(length - 9));
        for (endpoint, good) in [
            ("https://collector.example", true),
            ("https://collector.example/otlp/", true),
            ("http://[::1]:4318", true),
            (path(2_048).as_str(), true),
            (path(2_049).as_str(), false),
            (path(20_480).as_str(), false),
            ("", false),
            ("collector:4318", false),
            ("grpc://collector:4317", false),
            ("http://user:secret@collector", false),
            ("http://collector/?key=1", false),
            ("http://collector/#x", false),
        ] {
            assert_eq!(faults(|c| c.endpoint = endpoint.to_owned()).is_empty(), good, "{endpoint:.40}");
        }
        assert_eq!(faults(|c| (c.sample_ratio, c.queue_limit) = (2.0, 0)).len(), 2, "all at once");
        let url = |endpoint: &str| TracesConfig::new(endpoint.to_owned()).url();
        assert_eq!(url("http://c:4318/").as_deref(), Some("http://c:4318/v1/traces"));
        assert_eq!(url("https://c/otlp").as_deref(), Some("https://c/otlp/v1/traces"));
    }

    #[test]
    fn headers_are_read_and_never_shown() {
        let headers = SecretHeaders::read("# for the collector\n\nAuthorization: Bearer s3cret\nx-tenant : a:b\n").expect("good");
        assert_eq!(headers.0["authorization"], "Bearer s3cret");
        assert_eq!(headers.0["x-tenant"], "a:b");
        assert_eq!(format!("{headers:?}"), "SecretHeaders(2)");
        let lines = |count: usize| (0..count).map(|i| format!("x-{i}: v\n")).collect::<String>();
        let long = |bytes: usize| format!("x: {}", "v".repeat(bytes));
        assert!(SecretHeaders::read(&lines(HEADERS_MAX)).is_ok() && SecretHeaders::read(&long(HEADER_BYTES_MAX)).is_ok());
        for (text, error) in [
            ("s3cret".to_owned(), HeadersError::Form { line: 1 }),
            ("a b: s3cret".to_owned(), HeadersError::Form { line: 1 }),
            ("ok: v\nx:".to_owned(), HeadersError::Value { line: 2 }),
            ("x: s3\u{7f}cret".to_owned(), HeadersError::Value { line: 1 }),
            ("Host: s3cret".to_owned(), HeadersError::Own { line: 1 }),
            ("x: s3cret\nX: s3cret".to_owned(), HeadersError::Twice { line: 2 }),
            (lines(HEADERS_MAX + 1), HeadersError::TooMany { line: HEADERS_MAX + 1 }),
            (lines(10 * HEADERS_MAX), HeadersError::TooMany { line: HEADERS_MAX + 1 }),
            (long(HEADER_BYTES_MAX + 1), HeadersError::Value { line: 1 }),
            (long(10 * HEADER_BYTES_MAX), HeadersError::Value { line: 1 }),
        ] {
            let found = SecretHeaders::read(&text).expect_err("bad");
            assert_eq!(found, error);
            assert!(!found.to_string().contains("s3cret"));
        }
    }
}
