//! One attempt at a receiver: the URL and where it may lead, signature, time, and what the answer means.
//!
//! Signing is Standard Webhooks', by its own crate; while a secret is being replaced, both sign. Redirects are not followed:
//! who moves tells the operator, or any receiver could send our customers' data elsewhere. Addresses of the inside (private,
//! loopback, link-local and the like) are refused unless the node's configuration lets them in; that is judged on the
//! address that is really connected to, so that a name cannot change its mind in between (DNS rebinding).
//! It refuses to know order and retries.

use super::book::Secret;
use super::plan::Answer;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::Service;

/// Bytes of a URL.
pub const URL_BYTES_MAX: usize = 2_048;
/// Bytes of an answer that are read before its connection is given up.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// Why a URL is none of a receiver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Not a URL, or not whole.
    #[error("expected http:// or https:// with a host, at most {URL_BYTES_MAX} bytes")]
    Form,
    /// It carries a user's name.
    #[error("a user name or password in the URL is not sent: sign with the secret instead")]
    User,
    /// It leads inside.
    #[error("{host} is an address of the inside; webhooks may not lead there unless the node's configuration allows it")]
    Inside {
        /// The host.
        host: String,
    },
}

/// Sends. Cheap to clone; connections are shared.
#[derive(Clone)]
pub(super) struct Sender {
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    inside: bool,
    time: Duration,
}

/// What is sent.
pub(super) struct Message<'a> {
    pub url: &'a str,
    pub id: &'a str,
    pub body: String,
    pub secrets: &'a [Secret],
    /// Wall time in milliseconds.
    pub now_ms: u64,
}

impl Sender {
    /// A sender; `inside` permits addresses of the inside.
    pub fn new(inside: bool, time: Duration) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (_added, ignored) = roots.add_parsable_certificates(found.certs);
        if ignored > 0 || !found.errors.is_empty() {
            tracing::warn!(ignored, errors = found.errors.len(), "certificates of the system that cannot be read are left out");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = match rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions() {
            Ok(builder) => builder.with_root_certificates(roots).with_no_client_auth(),
            // The provider is compiled in, and serves both versions.
            Err(error) => unreachable!("ring serves no version of TLS: {error}"),
        };
        let mut http = HttpConnector::new_with_resolver(Resolver { inside });
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(time));
        let https = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .build(https);
        Self { client, inside, time }
    }

    /// Checks a URL as far as it can be without asking for its name.
    pub fn check(&self, url: &str) -> Result<Uri, UrlError> {
        check_url(url, self.inside)
    }

    /// One attempt.
    pub async fn send(&self, message: Message<'_>) -> Answer {
        let uri = match self.check(message.url) {
            Ok(uri) => uri,
            Err(error) => return failed(error.to_string()),
        };
        match tokio::time::timeout(self.time, self.exchange(uri, message)).await {
            Ok(answer) => answer,
            Err(_) => failed(format!("no answer within {} ms", self.time.as_millis())),
        }
    }

    async fn exchange(&self, uri: Uri, message: Message<'_>) -> Answer {
        let seconds = message.now_ms / 1_000;
        let Some(signature) = signature(&message, i64::try_from(seconds).unwrap_or(i64::MAX)) else {
            return failed("no secret of the subscription can sign: rotate it".to_owned());
        };
        let request = Request::post(uri)
            .header(CONTENT_TYPE, "application/cloudevents+json")
            .header(USER_AGENT, concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .header(standardwebhooks::HEADER_WEBHOOK_ID, message.id)
            .header(standardwebhooks::HEADER_WEBHOOK_TIMESTAMP, seconds.to_string())
            .header(standardwebhooks::HEADER_WEBHOOK_SIGNATURE, signature)
            .body(Full::new(Bytes::from(message.body)));
        let Ok(request) = request else { return failed("the request cannot be made: a fault of ours".to_owned()) };
        let response = match self.client.request(request).await {
            Ok(response) => response,
            Err(error) => return failed(crate::cell::chain(&error)),
        };
        let (head, body) = response.into_parts();
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let status = head.status;
        let retry_after_ms = text(RETRY_AFTER).and_then(|text| text.trim().parse::<u64>().ok()).map(|s| s.saturating_mul(1_000));
        // Read to its end, so that the connection can be used again; a longer one is dropped with its connection.
        let whole = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        if status.is_success() {
            // The head says that it was taken; how the body ends changes nothing in that.
            return Answer::Taken;
        }
        drop(whole);
        if status == hyper::StatusCode::GONE {
            return Answer::Gone;
        }
        let why = if status.is_redirection() {
            let place: String = text(LOCATION).unwrap_or("(no location)").chars().take(256).collect();
            format!("{status}: the receiver says that it moved to {place}; change the url if that is so")
        } else {
            status.to_string()
        };
        Answer::Failed { why, retry_after_ms }
    }
}

fn failed(why: String) -> Answer {
    Answer::Failed { why, retry_after_ms: None }
}

/// All signatures that hold now, newest first.
fn signature(message: &Message<'_>, seconds: i64) -> Option<String> {
    let valid = message.secrets.iter().rev().filter(|secret| secret.until_ms.is_none_or(|until| until > message.now_ms));
    let signed = valid.filter_map(|secret| {
        standardwebhooks::Webhook::new(&secret.text).ok()?.sign(message.id, seconds, message.body.as_bytes()).ok()
    });
    let all: Vec<String> = signed.collect();
    (!all.is_empty()).then(|| all.join(" "))
}

/// Whether a text is a URL that webhooks may be sent to.
///
/// # Errors
/// [`UrlError`].
pub fn check_url(url: &str, inside: bool) -> Result<Uri, UrlError> {
    if url.len() > URL_BYTES_MAX {
        return Err(UrlError::Form);
    }
    let uri: Uri = url.parse().map_err(|_| UrlError::Form)?;
    let authority = uri.authority().ok_or(UrlError::Form)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || authority.host().is_empty() || url.contains('#') {
        return Err(UrlError::Form);
    }
    if authority.as_str().contains('@') {
        return Err(UrlError::User);
    }
    let host = authority.host();
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let named_inside = host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost");
    if !inside && (named_inside || literal.is_some_and(is_inside)) {
        return Err(UrlError::Inside { host: host.chars().take(64).collect() });
    }
    Ok(uri)
}

/// Whether an address is not one of the public internet. Source: the IANA special-purpose address registries.
fn is_inside(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => inside_v4(ip),
        IpAddr::V6(ip) => inside_v6(ip),
    }
}

fn inside_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    matches!(
        (a, b, c),
        (0 | 10 | 127, ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224..=255, ..)
    )
}

fn inside_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    // Those that carry an IPv4 address are judged by it: mapped, NAT64, 6to4.
    let embedded = match segments {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some((high, low)),
        [0x2002, high, low, ..] => Some((high, low)),
        _ => None,
    };
    if let Some((high, low)) = embedded {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        return inside_v4(Ipv4Addr::new(a, b, c, d));
    }
    // Global unicast is 2000::/3; of it, documentation and the protocol assignments are not.
    segments[0] & 0xe000 != 0x2000
        || (segments[0] == 0x2001 && (segments[1] < 0x200 || segments[1] == 0xdb8))
        || (segments[0] == 0x3fff && segments[1] < 0x1000)
}

/// The system's resolver, without addresses of the inside.
#[derive(Clone, Copy)]
pub(super) struct Resolver {
    inside: bool,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let inside = self.inside;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| inside || !is_inside(address.ip())).collect();
            if allowed.is_empty() {
                return Err(std::io::Error::other("the name leads to addresses of the inside only, which are refused here"));
            }
            Ok(allowed.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Message, URL_BYTES_MAX, UrlError, check_url, signature};
    use crate::webhook::book::Secret;

    #[test]
    fn urls_lead_outside() {
        let check = |url: &str| check_url(url, false).map(drop);
        for url in ["https://example.com/hook", "http://example.com:8080/a?b=c", "https://[2606:4700::1111]/x", "https://8.8.8.8/"]
        {
            assert_eq!(check(url), Ok(()), "{url}");
        }
        for url in [
            "https://127.0.0.1/",
            "https://[::1]/",
            "http://10.1.2.3/",
            "http://172.31.0.1/",
            "http://192.168.1.1:99/",
            "http://169.254.169.254/latest/meta-data",
            "http://100.64.0.1/",
            "http://0.0.0.0/",
            "http://[::ffff:10.0.0.1]/",
            "http://[fe80::1]/",
            "http://[fd00::1]/",
            "http://localhost/",
            "http://a.LOCALHOST/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://[::]/",
        ] {
            assert!(matches!(check(url), Err(UrlError::Inside { .. })), "{url}: {:?}", check(url));
            assert!(check_url(url, true).is_ok(), "{url} where the inside is allowed");
        }
        for url in [
            "",
            "example.com",
            "/hook",
            "ftp://example.com/",
            "https://",
            "https:///x",
            "https://example.com/#x",
            "https://ex ample/",
        ] {
            assert_eq!(check(url), Err(UrlError::Form), "{url}");
        }
        assert_eq!(check("https://user:word@example.com/"), Err(UrlError::User));
        let long = |bytes: usize| format!("https://example.com/{}", "x".repeat(bytes - 20));
        assert_eq!(check(&long(URL_BYTES_MAX)), Ok(()));
        assert_eq!(check(&long(URL_BYTES_MAX + 1)), Err(UrlError::Form));
        assert_eq!(check(&long(URL_BYTES_MAX * 10)), Err(UrlError::Form));
    }

    /// The vector published with the specification (standard-webhooks, `spec/standard-webhooks.md`).
    #[test]
    fn signatures_are_the_published_ones_and_both_secrets_sign_while_rotating() {
        let published = Secret { text: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(), until_ms: None };
        let message = |secrets| Message {
            url: "",
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
            body: r#"{"test": 2432232314}"#.to_owned(),
            secrets,
            now_ms: 1_000,
        };
        let signed = signature(&message(std::slice::from_ref(&published)), 1_614_265_330);
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        let old = |until_ms| Secret { text: "whsec_AAAA".to_owned(), until_ms: Some(until_ms) };
        let two = [old(1_001), published.clone()];
        assert_eq!(signature(&message(&two), 0).map(|s| s.split(' ').count()), Some(2));
        let one = [old(1_000), published.clone()];
        assert_eq!(signature(&message(&one), 0).map(|s| s.split(' ').count()), Some(1), "its time is over");
        assert_eq!(signature(&message(&[old(1)]), 0), None);
    }
}
