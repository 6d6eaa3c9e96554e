//! A customer's page as a client: connect, begin, write, wait for an agent, leave, come back after a cut.
//!
//! It keeps what a real page keeps: the newest number it has, the acts that were not acknowledged, and nothing else. Items
//! that come while an answer is awaited are kept in order and given out by [`WebClient::next_event`].

use crate::client::http::{download, upload};
use crate::client::{Ack, ClientError, FileSeen, Wire, answer, number, refused, text};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Duration;

/// How a contact begins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Begin {
    /// First with the account's bot (or VRU), else straight in a queue.
    pub with_bot: bool,
    /// The queue; the account's when absent.
    pub queue: Option<String>,
    /// The priority class.
    pub class: Option<String>,
    /// The seat that should have it (hexadecimal).
    pub preferred: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Skills on top of the queue's.
    pub skills: Vec<(String, u8)>,
}

impl Begin {
    fn frame(&self, kind: &str) -> Value {
        let mut frame = json!({"type": kind});
        if kind == "begin" {
            frame["with"] = json!(if self.with_bot { "bot" } else { "queue" });
        }
        for (field, value) in [("queue", &self.queue), ("class", &self.class), ("preferred", &self.preferred)] {
            if let Some(value) = value {
                frame[field] = json!(value);
            }
        }
        if !self.tags.is_empty() {
            frame["tags"] = json!(self.tags);
        }
        if !self.skills.is_empty() {
            frame["skills"] = self.skills.iter().map(|(name, level)| (name.clone(), json!(level))).collect();
        }
        frame
    }
}

/// An item as the page sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ItemSeen {
    /// The conversation; empty on a customer's connection.
    pub conversation: String,
    /// Its number.
    pub n: u32,
    /// Log time.
    pub at: u64,
    /// `began`, `queued`, `customer`, `agent`, `assigned`, `transferred`, `ended`.
    pub kind: String,
    /// Text of messages.
    pub text: String,
    /// The seat, hexadecimal, where one is concerned.
    pub seat: String,
    /// The exit, when it ended.
    pub exit: String,
    /// The contact, when it began.
    pub contact: u64,
    /// The file, of messages that are one.
    pub file: Option<Box<FileSeen>>,
}

impl ItemSeen {
    pub(crate) fn from(frame: &Value) -> Self {
        Self {
            conversation: text(frame, "conversation"),
            n: u32::try_from(number(frame, "n")).unwrap_or(0),
            at: number(frame, "at"),
            kind: text(frame, "kind"),
            text: text(frame, "text"),
            seat: text(frame, "seat"),
            exit: text(frame, "exit"),
            contact: number(frame, "contact"),
            file: FileSeen::from(&frame["file"]).map(Box::new),
        }
    }
}

/// What comes to a page unasked.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum WebEvent {
    /// An item.
    Item(ItemSeen),
    /// The agent is writing.
    Typing {
        /// Which seat.
        seat: String,
    },
    /// The server is going down: come back after the pause.
    Bye(Duration),
}

/// Where the contact stands, as last told.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StandingSeen {
    /// The queue.
    pub queue: String,
    /// Its place, from 1.
    pub position: u64,
    /// Contacts that wait.
    pub waiting: u64,
    /// Quantiles of the remaining wait, in milliseconds: median and nine tenths.
    pub wait_ms: Option<(u64, u64)>,
    /// Log time.
    pub at: u64,
}

/// A customer's page.
#[derive(Debug)]
pub struct WebClient {
    base: String,
    token: String,
    wire: Option<Wire>,
    events: VecDeque<WebEvent>,
    next_id: u64,
    id_prefix: String,
    newest: u32,
    conversation: String,
    standing: Option<StandingSeen>,
    standings: u64,
}

impl WebClient {
    /// Connects with a session's token; items after `after` follow.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn connect(base: &str, token: &str, after: u32) -> Result<Self, ClientError> {
        let mut client = Self {
            base: base.to_owned(),
            token: token.to_owned(),
            wire: None,
            events: VecDeque::new(),
            next_id: 1,
            id_prefix: fresh_prefix(),
            newest: after,
            conversation: String::new(),
            standing: None,
            standings: 0,
        };
        client.resume().await?;
        Ok(client)
    }

    /// The conversation's id.
    pub fn conversation(&self) -> &str {
        &self.conversation
    }

    /// Where the contact stands, as last told; nothing when it does not wait.
    pub fn standing(&self) -> Option<&StandingSeen> {
        self.standing.as_ref()
    }

    /// Waits until a standing is told; events meanwhile are kept. May be cancelled.
    ///
    /// # Errors
    /// As [`Self::next_event`].
    pub async fn wait_standing(&mut self) -> Result<StandingSeen, ClientError> {
        let before = self.standings;
        while self.standings == before {
            let frame = self.wire()?.next().await?;
            self.keep(&frame)?;
        }
        Ok(self.standing.clone().unwrap_or_default())
    }

    /// Says that the customer is writing.
    ///
    /// # Errors
    /// A lost connection.
    pub async fn typing(&mut self) -> Result<(), ClientError> {
        self.send_raw(&json!({"type": "typing"})).await
    }

    /// Newest number that it has.
    pub fn newest(&self) -> u32 {
        self.newest
    }

    /// Loses the connection without a word, as a cut cable would.
    pub fn cut(&mut self) {
        self.wire = None;
    }

    /// Closes with a close frame.
    pub async fn close(mut self) {
        if let Some(wire) = self.wire.take() {
            wire.close().await;
        }
    }

    /// Connects again and goes on from the newest number it has.
    ///
    /// # Errors
    /// [`ClientError`]; the token may have expired meanwhile.
    pub async fn resume(&mut self) -> Result<(), ClientError> {
        self.wire = None;
        let mut wire = Wire::connect(&self.base, "/v1/web/ws").await?;
        wire.send(&json!({"type": "hello", "token": self.token, "after": self.newest})).await?;
        loop {
            let frame = wire.next().await?;
            match frame["type"].as_str() {
                Some("welcome") => {
                    self.newest = u32::try_from(number(&frame, "n")).unwrap_or(0);
                    self.conversation = text(&frame, "conversation");
                    self.wire = Some(wire);
                    return Ok(());
                }
                // Ahead of the transcript: the welcome says from where it goes on.
                Some("error") if text(&frame["problem"], "type").ends_with("resume-ahead") => {}
                Some("error") => return Err(refused(&frame["problem"])),
                Some("bye" | "busy") => {
                    return Err(ClientError::Busy { retry_after: Duration::from_millis(number(&frame, "retry_after_ms")) });
                }
                _ => {}
            }
        }
    }

    /// A contact begins.
    ///
    /// # Errors
    /// [`ClientError::Refused`], [`ClientError::Busy`], or a lost connection.
    pub async fn begin(&mut self, begin: &Begin) -> Result<Ack, ClientError> {
        let id = self.fresh_id();
        self.submit(begin.frame("begin"), &id).await
    }

    /// From the bot to an agent.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn request_agent(&mut self, begin: &Begin) -> Result<Ack, ClientError> {
        let id = self.fresh_id();
        self.submit(begin.frame("request_agent"), &id).await
    }

    /// Writes a message.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn send_text(&mut self, text: &str) -> Result<Ack, ClientError> {
        let id = self.fresh_id();
        self.submit(json!({"type": "message", "text": text}), &id).await
    }

    /// Uploads a file for this conversation: durable when this returns, sent by [`Self::send_file`].
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn upload(&self, name: &str, media_type: &str, bytes: Vec<u8>) -> Result<FileSeen, ClientError> {
        upload(&self.base, &self.token, "/v1/web/files?", name, media_type, bytes).await
    }

    /// Sends a file that was uploaded.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn send_file(&mut self, file: &FileSeen) -> Result<Ack, ClientError> {
        let id = self.fresh_id();
        self.submit(file.frame("message"), &id).await
    }

    /// Bytes of a file that stands in the conversation, by its address.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn download(&self, file: &str) -> Result<Vec<u8>, ClientError> {
        download(&self.base, &self.token, "/v1/web/files", file).await
    }

    /// Leaves.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn leave(&mut self) -> Result<Ack, ClientError> {
        let id = self.fresh_id();
        self.submit(json!({"type": "leave"}), &id).await
    }

    /// A new message id.
    pub fn fresh_id(&mut self) -> String {
        let id = format!("{}-{}", self.id_prefix, self.next_id);
        self.next_id += 1;
        id
    }

    /// Sends a frame under a message id and waits for its answer. The same id may be sent again, after a cut too.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn submit(&mut self, mut frame: Value, id: &str) -> Result<Ack, ClientError> {
        frame["client_msg_id"] = json!(id);
        self.wire()?.send(&frame).await?;
        loop {
            let frame = self.wire()?.next().await?;
            if let Some(answer) = answer(&frame, "client_msg_id", id) {
                return answer;
            }
            self.keep(&frame)?;
        }
    }

    /// Sends a frame as it is, without waiting for anything.
    ///
    /// # Errors
    /// A lost connection.
    pub async fn send_raw(&mut self, frame: &Value) -> Result<(), ClientError> {
        self.wire()?.send(frame).await
    }

    /// The next frame as it is, past all keeping: for tests of the protocol itself.
    ///
    /// # Errors
    /// A lost connection.
    pub async fn next_raw(&mut self) -> Result<Value, ClientError> {
        self.wire()?.next().await
    }

    /// The next event. May be cancelled.
    ///
    /// # Errors
    /// A lost connection, or a gap in the numbers.
    pub async fn next_event(&mut self) -> Result<WebEvent, ClientError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let frame = self.wire()?.next().await?;
            self.keep(&frame)?;
        }
    }

    /// Waits for an item of a kind; items before it are passed over. May be cancelled.
    ///
    /// # Errors
    /// As [`Self::next_event`]; a bye is [`ClientError::Busy`].
    pub async fn wait_for(&mut self, kind: &str) -> Result<ItemSeen, ClientError> {
        loop {
            match self.next_event().await? {
                WebEvent::Item(item) if item.kind == kind => return Ok(item),
                WebEvent::Item(_) | WebEvent::Typing { .. } => {}
                WebEvent::Bye(retry_after) => return Err(ClientError::Busy { retry_after }),
            }
        }
    }

    /// Waits until an agent has the contact. May be cancelled.
    ///
    /// # Errors
    /// As [`Self::wait_for`].
    pub async fn wait_assigned(&mut self) -> Result<ItemSeen, ClientError> {
        self.wait_for("assigned").await
    }

    /// Waits until the contact has ended. May be cancelled.
    ///
    /// # Errors
    /// As [`Self::wait_for`].
    pub async fn wait_ended(&mut self) -> Result<ItemSeen, ClientError> {
        self.wait_for("ended").await
    }

    fn wire(&mut self) -> Result<&mut Wire, ClientError> {
        self.wire.as_mut().ok_or_else(|| ClientError::Closed { code: 1006, reason: "cut".to_owned() })
    }

    fn keep(&mut self, frame: &Value) -> Result<(), ClientError> {
        match frame["type"].as_str() {
            Some("item") => {
                let item = ItemSeen::from(frame);
                if item.n != self.newest + 1 {
                    return Err(ClientError::Protocol { what: format!("item {} came after {}", item.n, self.newest) });
                }
                self.newest = item.n;
                if item.kind == "assigned" || item.kind == "ended" {
                    self.standing = None;
                }
                self.events.push_back(WebEvent::Item(item));
                Ok(())
            }
            Some("standing") => {
                let wait = &frame["wait_ms"];
                self.standings += 1;
                self.standing = Some(StandingSeen {
                    queue: text(frame, "queue"),
                    position: number(frame, "position"),
                    waiting: number(frame, "waiting"),
                    wait_ms: wait.is_object().then(|| (number(wait, "p50"), number(wait, "p90"))),
                    at: number(frame, "at"),
                });
                Ok(())
            }
            Some("typing") => {
                self.events.push_back(WebEvent::Typing { seat: text(frame, "seat") });
                Ok(())
            }
            Some("bye") => {
                self.events.push_back(WebEvent::Bye(Duration::from_millis(number(frame, "retry_after_ms"))));
                Ok(())
            }
            Some("error") => Err(refused(&frame["problem"])),
            Some("busy") => Err(ClientError::Busy { retry_after: Duration::from_millis(number(frame, "retry_after_ms")) }),
            _ => Ok(()),
        }
    }
}

/// A prefix that makes this client's ids unlike those of an earlier one of the same visitor.
pub(crate) fn fresh_prefix() -> String {
    let mut bits = [0_u8; 8];
    // Without entropy ids may meet those of an earlier client, who would then be told "conflict": safe, if odd.
    let _ = getrandom::fill(&mut bits);
    format!("{:016x}", u64::from_be_bytes(bits))
}
