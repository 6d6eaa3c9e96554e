//! Pipes under the machines: a WebSocket, or one direction of server-sent events.
//!
//! The upgrade's response is computed by tungstenite and the stream stays ours, so that a close frame still reaches a client
//! that is in the middle of a giant message: what it sends further is read and thrown away, within bounds, before the socket
//! is dropped. Every write has a deadline; a pipe never buffers more than one frame beyond its small write buffer.

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::time::Duration;
use tidegate_model::Millis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::server::create_response;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

use crate::config::FRAME_BYTES_MAX;
use crate::problem::Problem;
use crate::web::machine::close;

/// Read buffer of a connection, in bytes: idle connections should be cheap.
const READ_BUFFER: usize = 1_024;
/// Written at once at the latest when so much is waiting, in bytes.
const WRITE_BUFFER: usize = 8 * 1_024;
/// A connection never holds more unsent bytes than this.
const WRITE_BUFFER_MAX: usize = 128 * 1_024;
/// Bytes that are read and thrown away after a close.
const DISCARD_MAX: usize = 16 * 1_024 * 1_024;
/// How long the end of a connection may take.
const FINISH: Duration = Duration::from_secs(2);

/// What came.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A text message.
    Text(Utf8Bytes),
    /// A ping or pong.
    Control,
    /// The peer is gone.
    Closed,
    /// The peer broke a rule of the transport.
    Fault { code: u16, reason: &'static str },
}

/// Why a write ended the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cut {
    /// It stalled.
    Slow,
    /// The peer is gone.
    Gone,
}

/// What goes out.
#[derive(Debug)]
pub(crate) enum Out {
    /// A text frame.
    Text(String),
    /// Item `n`.
    Item { n: u32, text: String },
    /// Are you there?
    Ping,
}

/// A transport of one connection.
pub(crate) trait Pipe: Send + Sized {
    /// Whether nothing can come back: a ping that went out is then all the life that is seen.
    const ONE_WAY: bool;
    /// The next thing that comes; may be cancelled.
    fn recv(&mut self) -> impl Future<Output = Heard> + Send;
    /// Queues one frame, waiting for room.
    fn feed(&mut self, out: Out, stall: Millis) -> impl Future<Output = Result<(), Cut>> + Send;
    /// Writes what is queued.
    fn flush(&mut self, stall: Millis) -> impl Future<Output = Result<(), Cut>> + Send;
    /// Says why and ends.
    fn finish(self, code: u16, reason: &'static str) -> impl Future<Output = ()> + Send;
}

/// A server's end of a WebSocket.
pub(crate) struct Ws(WebSocketStream<TokioIo<Upgraded>>);

/// Answers an upgrade and runs `then` on the socket.
pub(crate) fn upgrade<F, R>(mut request: Request, then: F) -> Response
where
    F: FnOnce(Ws) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let on_upgrade = hyper::upgrade::on(&mut request);
    let (parts, _) = request.into_parts();
    let probe = axum::http::Request::from_parts(parts, ());
    match create_response(&probe) {
        Ok(response) => {
            tokio::spawn(async move {
                let Ok(upgraded) = on_upgrade.await else { return };
                let config = WebSocketConfig::default()
                    .read_buffer_size(READ_BUFFER)
                    .write_buffer_size(WRITE_BUFFER)
                    .max_write_buffer_size(WRITE_BUFFER_MAX)
                    .max_message_size(Some(FRAME_BYTES_MAX))
                    .max_frame_size(Some(FRAME_BYTES_MAX));
                then(Ws(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await)).await;
            });
            response.map(|()| Body::empty())
        }
        Err(_) => problem_response(&Problem::of(
            "not-an-upgrade",
            "send GET with Connection: Upgrade, Upgrade: websocket, Sec-WebSocket-Version: 13 and a key",
        )),
    }
}

/// A problem as an HTTP answer (RFC 9457).
pub(crate) fn problem_response(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, [("content-type", "application/problem+json")], crate::item::to_json(problem)).into_response();
    if let Some(span) = problem.retry_after {
        response.headers_mut().insert("retry-after", span.0.div_ceil(1_000).max(1).into());
    }
    response
}

fn classify(message: Option<Result<Message, Error>>) -> Heard {
    match message {
        Some(Ok(Message::Text(text))) => Heard::Text(text),
        Some(Ok(Message::Binary(_))) => Heard::Fault { code: 1003, reason: "text expected" },
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Heard::Control,
        Some(Err(Error::Utf8(_))) => Heard::Fault { code: close::NOT_UTF8, reason: "not UTF-8" },
        Some(Err(Error::Capacity(_))) => Heard::Fault { code: close::TOO_BIG, reason: "message too big" },
        Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => Heard::Closed,
        Some(Err(Error::Protocol(_))) => Heard::Fault { code: 1002, reason: "not WebSocket as in RFC 6455" },
        Some(Ok(Message::Close(_)) | Err(_)) | None => Heard::Closed,
    }
}

async fn within(stall: Millis, write: impl Future<Output = Result<(), Error>> + Send) -> Result<(), Cut> {
    match timeout(Duration::from_millis(stall.0), write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Cut::Gone),
        Err(_) => Err(Cut::Slow),
    }
}

impl Pipe for Ws {
    const ONE_WAY: bool = false;

    async fn recv(&mut self) -> Heard {
        classify(self.0.next().await)
    }

    async fn feed(&mut self, out: Out, stall: Millis) -> Result<(), Cut> {
        let message = match out {
            Out::Text(text) | Out::Item { text, .. } => Message::text(text),
            Out::Ping => Message::Ping(Vec::new().into()),
        };
        within(stall, self.0.feed(message)).await
    }

    async fn flush(&mut self, stall: Millis) -> Result<(), Cut> {
        within(stall, self.0.flush()).await
    }

    async fn finish(mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from_static(reason) };
        // A reader that had stalled gets the rest of its write buffer, then this, if it wakes up in time.
        if !matches!(timeout(FINISH, self.0.send(Message::Close(Some(frame)))).await, Ok(Ok(()))) {
            return;
        }
        let goodbye = async {
            while let Some(Ok(_)) = self.0.next().await {}
            let io = self.0.get_mut();
            let _ = io.shutdown().await;
            // Dropping a socket with unread bytes resets it, and the reset may overtake the close frame.
            // On the heap: as an array it would lie in the future of every connection, idle ones too.
            let (mut sink, mut thrown) = (vec![0_u8; 4_096], 0);
            while let Ok(read) = io.read(&mut sink).await {
                thrown += read;
                if read == 0 || thrown > DISCARD_MAX {
                    break;
                }
            }
        };
        let _ = timeout(FINISH, goodbye).await;
    }
}

/// The writing end of an event stream.
pub(crate) struct Sse {
    events: mpsc::Sender<Event>,
}

impl Sse {
    /// A pipe, and the end that the HTTP body reads.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Event>) {
        let (events, body) = mpsc::channel(1);
        (Self { events }, body)
    }
}

impl Pipe for Sse {
    const ONE_WAY: bool = true;

    async fn recv(&mut self) -> Heard {
        self.events.closed().await;
        Heard::Closed
    }

    async fn feed(&mut self, out: Out, stall: Millis) -> Result<(), Cut> {
        let event = match out {
            Out::Text(text) => Event::default().event("frame").data(text),
            Out::Item { n, text } => Event::default().event("item").id(n.to_string()).data(text),
            Out::Ping => Event::default().comment("ping"),
        };
        match timeout(Duration::from_millis(stall.0), self.events.send(event)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Cut::Gone),
            Err(_) => Err(Cut::Slow),
        }
    }

    async fn flush(&mut self, _: Millis) -> Result<(), Cut> {
        Ok(())
    }

    async fn finish(self, code: u16, reason: &'static str) {
        let text = format!(r#"{{"type":"close","code":{code},"reason":"{reason}"}}"#);
        let _ = timeout(FINISH, self.events.send(Event::default().event("close").data(text))).await;
    }
}
