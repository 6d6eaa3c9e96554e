//! The few HTTP requests of a customer's page: opening a session, and the REST fall-back for tests.
//!
//! One connection a request over hyper; no pool, no TLS, no redirects. It knows nothing of what it carries.

use crate::client::{ClientError, number, refused, text};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::http::response::Parts;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// How a visitor asks for a token.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NewVisitor {
    /// The inbox's public name.
    pub inbox: String,
    /// This browser's visitor id from last time.
    pub visitor: Option<String>,
    /// An identity signed by the site.
    pub identity: Option<String>,
    /// What the customer wants to be called.
    pub name: Option<String>,
}

/// A visitor with a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Visitor {
    /// The token for hello, or for `Authorization: Bearer`.
    pub token: String,
    /// The conversation.
    pub conversation: String,
    /// The visitor id to keep; empty for verified visitors.
    pub visitor: String,
}

/// Opens a session at `base` (`http://host:port`).
///
/// # Errors
/// [`ClientError`]: not reachable, refused, or busy.
pub async fn open_session(base: &str, new: &NewVisitor) -> Result<Visitor, ClientError> {
    let mut body = json!({"inbox": new.inbox});
    if let Some(visitor) = &new.visitor {
        body["visitor"] = json!(visitor);
    }
    if let Some(identity) = &new.identity {
        body["identity"] = json!(identity);
    }
    if let Some(name) = &new.name {
        body["name"] = json!(name);
    }
    let (status, answer) = send(base, "POST", "/v1/web/sessions", &[], body.to_string().into_bytes()).await?;
    if status != 201 {
        return Err(refused(&answer));
    }
    Ok(Visitor { token: text(&answer, "token"), conversation: text(&answer, "conversation"), visitor: text(&answer, "visitor") })
}

/// One request; the status and the JSON answered (null when the body is not JSON).
///
/// # Errors
/// [`ClientError::Connect`] when the exchange broke off.
pub async fn send(
    base: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<(u16, Value), ClientError> {
    let mut headers = headers.to_vec();
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("content-type", "application/json"));
    }
    let (head, bytes) = exchange(base, method, path, &headers, body).await?;
    Ok((head.status.as_u16(), serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
}

/// One request; the head and the bytes answered.
///
/// # Errors
/// [`ClientError::Connect`] when the exchange broke off.
pub async fn exchange(
    base: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<(Parts, Bytes), ClientError> {
    let host = base.trim_end_matches('/').trim_start_matches("http://").to_owned();
    let failed = |cause: String| ClientError::Connect { url: format!("http://{host}{path}"), cause };
    let stream = TcpStream::connect(&host).await.map_err(|error| failed(error.to_string()))?;
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(error.to_string()))?;
    let mut request = Request::builder().method(method).uri(path).header("host", &host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(|error| failed(error.to_string()))?;
    let exchange = async move {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        Ok::<_, hyper::Error>((head, body.collect().await?.to_bytes()))
    };
    // The connection is driven beside the exchange, in the same task: nothing outlives this call.
    let mut connection = std::pin::pin!(connection);
    let mut exchange = std::pin::pin!(exchange);
    let result = tokio::select! {
        biased;
        result = &mut exchange => result,
        ended = &mut connection => {
            ended.map_err(|error| failed(error.to_string()))?;
            exchange.await
        }
    };
    result.map_err(|error| failed(error.to_string()))
}

/// A file as the server names it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FileSeen {
    /// Its address, 64 hexadecimal digits.
    pub file: String,
    /// Its name.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Its length.
    pub bytes: u64,
}

impl FileSeen {
    pub(crate) fn from(value: &Value) -> Option<Self> {
        value["file"].is_string().then(|| Self {
            file: text(value, "file"),
            name: text(value, "name"),
            media_type: text(value, "media_type"),
            bytes: number(value, "bytes"),
        })
    }

    /// The fields by which a frame names it.
    pub(crate) fn frame(&self, kind: &str) -> Value {
        json!({"type": kind, "file": self.file, "name": self.name, "media_type": self.media_type})
    }
}

/// Uploads a file; `path` is the collection's, with its query up to the name.
pub(crate) async fn upload(
    base: &str,
    token: &str,
    path: &str,
    name: &str,
    media_type: &str,
    bytes: Vec<u8>,
) -> Result<FileSeen, ClientError> {
    let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    let (bearer, path) = (format!("Bearer {token}"), format!("{path}name={name}"));
    let headers = [("authorization", bearer.as_str()), ("content-type", media_type)];
    let (status, answer) = send(base, "POST", &path, &headers, bytes).await?;
    match FileSeen::from(&answer) {
        Some(file) if status == 201 => Ok(file),
        _ => Err(refused(&answer)),
    }
}

/// Downloads a file; `path` is the collection's.
pub(crate) async fn download(base: &str, token: &str, path: &str, file: &str) -> Result<Vec<u8>, ClientError> {
    let (bearer, path) = (format!("Bearer {token}"), format!("{path}/{file}"));
    let (head, bytes) = exchange(base, "GET", &path, &[("authorization", &bearer)], Vec::new()).await?;
    if head.status == hyper::StatusCode::OK {
        return Ok(bytes.to_vec());
    }
    Err(refused(&serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
}
