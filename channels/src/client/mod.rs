//! Clients of both protocols over real sockets: for the demo, the drill, examples and tests.
//!
//! [`WebClient`] is a customer's page, [`DeskClient`] an agent's desk. Neither starts a task of its own: whoever owns one
//! drives it by awaiting its methods, and every receiving method may be cancelled without losing a frame. Plain `ws://` and
//! `http://` only: TLS ends before the node. A client must keep reading: the server pings, and cuts off who stays silent.

pub mod auto;
pub mod desk;
pub mod http;
pub mod web;

pub use auto::{AutoAnswer, Handling, serve};
pub use desk::{ClaimSeen, DeskClient, DeskEvent, DeskWelcome, OfferSeen, Snapshot};
pub use http::{FileSeen, NewVisitor, Visitor, open_session};
pub use web::{Begin, ItemSeen, StandingSeen, WebClient, WebEvent};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// Why a client's step failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The connection could not be made.
    #[error("cannot connect to {url}: {cause}")]
    Connect {
        /// Where to.
        url: String,
        /// The cause.
        cause: String,
    },
    /// The server closed; 1006 when it did not say why.
    #[error("closed by the server: {code} {reason}")]
    Closed {
        /// Close code.
        code: u16,
        /// Its reason.
        reason: String,
    },
    /// The server refused something, by problem details.
    #[error("refused: {status} {kind}: {detail}")]
    Refused {
        /// HTTP status that fits.
        status: u16,
        /// The problem's type.
        kind: String,
        /// What was wrong.
        detail: String,
    },
    /// The server asks for a pause; nothing was taken.
    #[error("busy: try again in {retry_after:?}")]
    Busy {
        /// Suggested pause.
        retry_after: Duration,
    },
    /// Another desk signed in on the seat.
    #[error("another desk signed in on this seat")]
    Replaced,
    /// The server said something that this client does not understand.
    #[error("not understood: {what}")]
    Protocol {
        /// What.
        what: String,
    },
}

impl ClientError {
    /// The last part of the problem's type; empty for other errors.
    pub fn slug(&self) -> &str {
        match self {
            Self::Refused { kind, .. } => kind.rsplit('/').next().unwrap_or_default(),
            _ => "",
        }
    }
}

/// The answer to an act.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ack {
    /// Transcript number, or 0.
    pub n: u32,
    /// The contact, or 0.
    pub contact: u64,
    /// Whether it had been taken before.
    pub duplicate: bool,
}

/// A connection's raw frames.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Wire {
    pub(crate) async fn connect(base: &str, path: &str) -> Result<Self, ClientError> {
        let host = base.trim_end_matches('/');
        let host = host.strip_prefix("http://").or_else(|| host.strip_prefix("ws://")).unwrap_or(host);
        let url = format!("ws://{host}{path}");
        let failed = |cause: String| ClientError::Connect { url: url.clone(), cause };
        let request = url.as_str().into_client_request().map_err(|error| failed(error.to_string()))?;
        let config = WebSocketConfig::default().read_buffer_size(4 * 1_024).write_buffer_size(4 * 1_024);
        let (socket, _) =
            connect_async_with_config(request, Some(config), true).await.map_err(|error| failed(error.to_string()))?;
        Ok(Self { socket })
    }

    pub(crate) async fn send(&mut self, frame: &Value) -> Result<(), ClientError> {
        let gone = |error: tokio_tungstenite::tungstenite::Error| ClientError::Closed { code: 1006, reason: error.to_string() };
        self.socket.send(Message::text(frame.to_string())).await.map_err(gone)
    }

    /// The next frame. May be cancelled.
    pub(crate) async fn next(&mut self) -> Result<Value, ClientError> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    return serde_json::from_str(&text).map_err(|error| ClientError::Protocol { what: error.to_string() });
                }
                Some(Ok(Message::Close(Some(frame)))) => {
                    // Answers the close, so that the server need not wait.
                    let _ = self.socket.flush().await;
                    return Err(ClientError::Closed { code: frame.code.into(), reason: frame.reason.to_string() });
                }
                Some(Ok(Message::Close(None))) | None => {
                    return Err(ClientError::Closed { code: 1006, reason: String::new() });
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(ClientError::Closed { code: 1006, reason: error.to_string() }),
            }
        }
    }

    /// Says goodbye and waits for the answer.
    pub(crate) async fn close(mut self) {
        if self.socket.close(None).await.is_ok() {
            while let Some(Ok(_)) = self.socket.next().await {}
        }
    }
}

/// The problem inside an `error` frame, or a problem+json body.
pub(crate) fn refused(problem: &Value) -> ClientError {
    if let Some(span) = problem["retry_after_ms"].as_u64() {
        return ClientError::Busy { retry_after: Duration::from_millis(span) };
    }
    ClientError::Refused {
        status: problem["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(0),
        kind: text(problem, "type"),
        detail: text(problem, "detail"),
    }
}

pub(crate) fn text(frame: &Value, field: &str) -> String {
    frame[field].as_str().unwrap_or_default().to_owned()
}

pub(crate) fn number(frame: &Value, field: &str) -> u64 {
    frame[field].as_u64().unwrap_or(0)
}

/// An acknowledgement, if `frame` answers the act `id` (under the field `key`).
pub(crate) fn answer(frame: &Value, key: &str, id: &str) -> Option<Result<Ack, ClientError>> {
    if frame[key].as_str() != Some(id) {
        return None;
    }
    match frame["type"].as_str() {
        Some("ack") => Some(Ok(Ack {
            n: u32::try_from(number(frame, "n")).unwrap_or(0),
            contact: number(frame, "contact"),
            duplicate: frame["outcome"] == "duplicate",
        })),
        Some("error") => Some(Err(refused(&frame["problem"]))),
        Some("busy") => Some(Err(ClientError::Busy { retry_after: Duration::from_millis(number(frame, "retry_after_ms")) })),
        _ => None,
    }
}
