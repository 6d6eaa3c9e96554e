//! An agent's desk as a client: sign in, be ready, accept, write, end, wrap up, come back after a cut.
//!
//! It keeps the resume token and, for each conversation, the newest number it has, and sends both when it comes back.
//! [`crate::client::auto`] drives one as an auto-answering agent.

use crate::client::http::{download, upload};
use crate::client::web::{ItemSeen, fresh_prefix};
use crate::client::{Ack, ClientError, FileSeen, Wire, answer, number, refused, text};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// What the welcome said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeskWelcome {
    /// The seat, hexadecimal.
    pub seat: String,
    /// Whether the seat's claims were waiting for this desk.
    pub resumed: bool,
    /// How long the seat outlives a cut.
    pub lease: Duration,
}

/// An offer as the desk sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OfferSeen {
    /// The offer, hexadecimal.
    pub offer: String,
    /// The contact.
    pub contact: u64,
    /// Its conversation.
    pub conversation: String,
    /// The queue, by name.
    pub queue: String,
    /// Log time at which the wait began.
    pub waiting_since: u64,
    /// Log time of expiry.
    pub deadline: u64,
    /// Log time when the offer was told: count down from `deadline - now`.
    pub now: u64,
    /// The channel's name; empty when not known.
    pub channel: String,
    /// The priority class; empty when not known.
    pub class: String,
    /// What the customer wants to be called; empty when not known.
    pub customer: String,
    /// The wait so far.
    pub waited_ms: u64,
    /// It was offered or assigned before.
    pub returned: bool,
}

/// A claim as the desk sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimSeen {
    /// The claim, hexadecimal.
    pub claim: String,
    /// The contact.
    pub contact: u64,
    /// Its conversation.
    pub conversation: String,
    /// Log time at which its wrap-up ends, when in wrap-up.
    pub wrap_up_until: Option<u64>,
}

/// The seat as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// `signed_out`, `ready`, `paused`, `not_responding`.
    pub presence: String,
    /// Open offers.
    pub offers: Vec<OfferSeen>,
    /// Claims.
    pub claims: Vec<ClaimSeen>,
}

/// What comes to a desk unasked.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DeskEvent {
    /// The seat as it stands: replaces everything believed before.
    Snapshot(Snapshot),
    /// Presence changed.
    Presence(String),
    /// An offer.
    Offered(OfferSeen),
    /// The offer is gone.
    Rescinded {
        /// Which.
        offer: String,
        /// Why.
        why: String,
    },
    /// The contact is this seat's.
    Assigned(ClaimSeen),
    /// The segment ended; wrap-up until the log time.
    WrapUp {
        /// Which claim.
        claim: String,
        /// Until when.
        until: u64,
    },
    /// The claim is over.
    Released {
        /// Which.
        claim: String,
    },
    /// An item of a conversation that the seat serves.
    Item(ItemSeen),
    /// A customer is writing.
    Typing {
        /// In which conversation.
        conversation: String,
    },
    /// What the desk shows to choose from, as the protocol gives it.
    Catalogue(Value),
    /// The server is going down.
    Bye(Duration),
}

/// An agent's desk.
#[derive(Debug)]
pub struct DeskClient {
    base: String,
    token: String,
    wire: Option<Wire>,
    events: VecDeque<DeskEvent>,
    next_id: u64,
    id_prefix: String,
    resume: String,
    newest: BTreeMap<String, u32>,
    claims: BTreeMap<String, String>,
    anew: BTreeSet<String>,
    session: DeskWelcome,
}

impl DeskClient {
    /// Signs in with an agent's token.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sign_in(base: &str, token: &str) -> Result<Self, ClientError> {
        let mut client = Self {
            base: base.to_owned(),
            token: token.to_owned(),
            wire: None,
            events: VecDeque::new(),
            next_id: 1,
            id_prefix: fresh_prefix(),
            resume: String::new(),
            newest: BTreeMap::new(),
            claims: BTreeMap::new(),
            anew: BTreeSet::new(),
            session: DeskWelcome::default(),
        };
        client.resume().await?;
        Ok(client)
    }

    /// What the last welcome said.
    pub fn session(&self) -> &DeskWelcome {
        &self.session
    }

    /// Newest number it has of a conversation.
    pub fn newest(&self, conversation: &str) -> u32 {
        self.newest.get(conversation).copied().unwrap_or(0)
    }

    /// Loses the connection without a word.
    pub fn cut(&mut self) {
        self.wire = None;
    }

    /// Connects again, with the resume token and the numbers that it has.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn resume(&mut self) -> Result<(), ClientError> {
        self.wire = None;
        let mut wire = Wire::connect(&self.base, "/v1/desk/ws").await?;
        let mut frame = json!({"type": "sign_in", "token": self.token});
        if !self.resume.is_empty() {
            frame["resume"] = json!(self.resume);
            // Those of its claims; the protocol takes 64.
            let served: BTreeSet<&String> = self.claims.values().collect();
            let known = self.newest.iter().filter(|(name, _)| served.contains(name)).take(64);
            frame["after"] = known.map(|(name, n)| (name.clone(), json!(n))).collect();
        }
        wire.send(&frame).await?;
        loop {
            let frame = wire.next().await?;
            match frame["type"].as_str() {
                Some("welcome") => {
                    self.resume = text(&frame, "resume");
                    self.session = DeskWelcome {
                        seat: text(&frame, "seat"),
                        resumed: frame["resumed"] == true,
                        lease: Duration::from_secs(number(&frame, "lease_s")),
                    };
                    self.wire = Some(wire);
                    return Ok(());
                }
                Some("error") => return Err(refused(&frame["problem"])),
                Some("bye" | "busy") => {
                    return Err(ClientError::Busy { retry_after: Duration::from_millis(number(&frame, "retry_after_ms")) });
                }
                _ => {}
            }
        }
    }

    /// Ready for contacts.
    ///
    /// # Errors
    /// [`ClientError::Refused`], [`ClientError::Busy`], or a lost connection.
    pub async fn ready(&mut self) -> Result<Ack, ClientError> {
        self.act(json!({"type": "presence", "state": "ready"})).await
    }

    /// No new contacts.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub async fn pause(&mut self, reason: &str) -> Result<Ack, ClientError> {
        self.act(json!({"type": "presence", "state": "paused", "reason": reason})).await
    }

    /// Takes an offer; `Assigned` follows as an event.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub async fn accept(&mut self, offer: &str) -> Result<Ack, ClientError> {
        self.act(json!({"type": "accept", "offer": offer})).await
    }

    /// Says that the agent is writing.
    ///
    /// # Errors
    /// A lost connection.
    pub async fn typing(&mut self, claim: &str) -> Result<(), ClientError> {
        self.send_raw(&json!({"type": "typing", "claim": claim})).await
    }

    /// Refuses an offer.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub async fn decline(&mut self, offer: &str, reason: &str) -> Result<Ack, ClientError> {
        self.act(json!({"type": "decline", "offer": offer, "reason": reason})).await
    }

    /// Writes to the customer.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub async fn send_text(&mut self, claim: &str, text: &str) -> Result<Ack, ClientError> {
        self.act(json!({"type": "send", "claim": claim, "text": text})).await
    }

    /// Uploads a file for a claim's conversation: durable when this returns, sent by [`Self::send_file`].
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub async fn upload(&self, claim: &str, name: &str, media_type: &str, bytes: Vec<u8>) -> Result<FileSeen, ClientError> {
        let path = format!("/v1/desk/files?claim={claim}&");
        upload(&self.base, &self.token, &path, name, media_type, bytes).await
    }

    /// Sends a file that was uploaded.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub async fn send_file(&mut self, claim: &str, file: &FileSeen) -> Result<Ack, ClientError> {
        let mut frame = file.frame("send");
        frame["claim"] = json!(claim);
        self.act(frame).await
    }

    /// Bytes of a file that stands in a conversation of the seat's claims, by its address.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub async fn download(&self, file: &str) -> Result<Vec<u8>, ClientError> {
        download(&self.base, &self.token, "/v1/desk/files", file).await
    }

    /// Ends the segment.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub async fn end(&mut self, claim: &str) -> Result<Ack, ClientError> {
        self.act(json!({"type": "end", "claim": claim})).await
    }

    /// Ends the wrap-up.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub async fn wrap_up(&mut self, claim: &str, code: &str) -> Result<Ack, ClientError> {
        self.act(json!({"type": "wrap_up", "claim": claim, "code": code})).await
    }

    /// Hands the contact to a queue.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub async fn transfer_to_queue(&mut self, claim: &str, queue: &str) -> Result<Ack, ClientError> {
        self.act(json!({"type": "transfer", "claim": claim, "to": {"queue": queue}})).await
    }

    /// Hands the contact to a seat (hexadecimal).
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub async fn transfer_to_seat(&mut self, claim: &str, seat: &str) -> Result<Ack, ClientError> {
        self.act(json!({"type": "transfer", "claim": claim, "to": {"seat": seat}})).await
    }

    /// Goes home.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub async fn sign_out(mut self) -> Result<Ack, ClientError> {
        let ack = self.act(json!({"type": "sign_out"})).await?;
        if let Some(wire) = self.wire.take() {
            wire.close().await;
        }
        Ok(ack)
    }

    /// A command under a fresh id.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub async fn act(&mut self, frame: Value) -> Result<Ack, ClientError> {
        let id = self.fresh_id();
        self.submit(frame, &id).await
    }

    /// A new command id.
    pub fn fresh_id(&mut self) -> String {
        let id = format!("{}-{}", self.id_prefix, self.next_id);
        self.next_id += 1;
        id
    }

    /// Sends a command under an id and waits for its answer. The same id may be sent again, after a cut too.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub async fn submit(&mut self, mut frame: Value, id: &str) -> Result<Ack, ClientError> {
        frame["command_id"] = json!(id);
        self.wire()?.send(&frame).await?;
        loop {
            let frame = self.wire()?.next().await?;
            if let Some(answer) = answer(&frame, "command_id", id) {
                return answer;
            }
            self.keep(&frame)?;
        }
    }

    /// Sends a frame as it is.
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
    /// A lost connection, a gap in a conversation's numbers, or [`ClientError::Replaced`].
    pub async fn next_event(&mut self) -> Result<DeskEvent, ClientError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let frame = self.wire()?.next().await?;
            self.keep(&frame)?;
        }
    }

    fn wire(&mut self) -> Result<&mut Wire, ClientError> {
        self.wire.as_mut().ok_or_else(|| ClientError::Closed { code: 1006, reason: "cut".to_owned() })
    }

    fn keep(&mut self, frame: &Value) -> Result<(), ClientError> {
        let event = match frame["type"].as_str() {
            Some("snapshot") => {
                let list = |field: &str| frame[field].as_array().cloned().unwrap_or_default();
                let snapshot = Snapshot {
                    presence: text(frame, "presence"),
                    offers: list("offers").iter().map(offer).collect(),
                    claims: list("claims").iter().map(claim).collect(),
                };
                let served = snapshot.claims.iter().map(|claim| (claim.claim.clone(), claim.conversation.clone()));
                self.claims = served.collect();
                DeskEvent::Snapshot(snapshot)
            }
            Some("presence") => DeskEvent::Presence(text(frame, "presence")),
            Some("offered") => DeskEvent::Offered(offer(frame)),
            Some("rescinded") => DeskEvent::Rescinded { offer: text(frame, "offer"), why: text(frame, "why") },
            Some("assigned") => {
                let claim = claim(frame);
                if self.newest.len() > 1_024 {
                    let served: BTreeSet<&String> = self.claims.values().collect();
                    self.newest.retain(|name, _| served.contains(name));
                }
                // A new claim tells the conversation from its beginning, unless it is being told already.
                self.anew.insert(claim.conversation.clone());
                self.claims.insert(claim.claim.clone(), claim.conversation.clone());
                DeskEvent::Assigned(claim)
            }
            Some("wrap_up") => DeskEvent::WrapUp { claim: text(frame, "claim"), until: number(frame, "until") },
            Some("released") => {
                let claim = text(frame, "claim");
                self.claims.remove(&claim);
                DeskEvent::Released { claim }
            }
            Some("item") => {
                let item = ItemSeen::from(frame);
                let newest = self.newest.entry(item.conversation.clone()).or_default();
                let anew = self.anew.remove(&item.conversation);
                if item.n != *newest + 1 && !(anew && item.n == 1) {
                    return Err(ClientError::Protocol { what: format!("item {} came after {newest}", item.n) });
                }
                *newest = item.n;
                DeskEvent::Item(item)
            }
            Some("typing") => DeskEvent::Typing { conversation: text(frame, "conversation") },
            Some("catalogue") => DeskEvent::Catalogue(frame.clone()),
            Some("replaced") => return Err(ClientError::Replaced),
            Some("bye") => DeskEvent::Bye(Duration::from_millis(number(frame, "retry_after_ms"))),
            Some("error") => return Err(refused(&frame["problem"])),
            Some("busy") => {
                return Err(ClientError::Busy { retry_after: Duration::from_millis(number(frame, "retry_after_ms")) });
            }
            _ => return Ok(()),
        };
        self.events.push_back(event);
        Ok(())
    }
}

fn offer(frame: &Value) -> OfferSeen {
    OfferSeen {
        offer: text(frame, "offer"),
        contact: number(frame, "contact"),
        conversation: text(frame, "conversation"),
        queue: text(frame, "queue"),
        waiting_since: number(frame, "waiting_since"),
        deadline: number(frame, "deadline"),
        now: number(frame, "now"),
        channel: text(frame, "channel"),
        class: text(frame, "class"),
        customer: text(frame, "customer"),
        waited_ms: number(frame, "waited_ms"),
        returned: frame["returned"] == true,
    }
}

fn claim(frame: &Value) -> ClaimSeen {
    ClaimSeen {
        claim: text(frame, "claim"),
        contact: number(frame, "contact"),
        conversation: text(frame, "conversation"),
        wrap_up_until: frame["wrap_up_until"].as_u64(),
    }
}
