//! Bytes in and out: a body that is written to the store part by part, and a blob that is read to a body.
//!
//! At most one part of a file is in memory on either way. An upload that stalls, or takes too long in all, is answered 408 and
//! forgotten; a download whose reader stalls is let go, and its place with it. A file that is found damaged half-way ends
//! without its last bytes, so that nobody takes it for whole. It refuses to know who sends or reads.

use super::media::{HEAD_BYTES, MediaType, Proof};
use super::{Inspection, Unfit, problem};
use crate::gauges::{Slot, bump};
use crate::problem::Problem;
use crate::service::Shared;
use axum::body::{Body, Bytes};
use futures_util::stream;
use http_body_util::BodyExt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tidegate_model::port::{BlobReader, BlobWriter, Blobs, FileFacts, FileOwner};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

/// Bytes that are collected before they are written: each write is a turn on another thread.
const PART: usize = 64 * 1_024;

/// A file on its way in.
pub(super) struct Incoming {
    pub owner: FileOwner,
    pub kind: MediaType,
    pub name: String,
    pub announced: Option<u64>,
}

fn slow() -> Problem {
    Problem::of("too-slow", "nothing was kept; send it again")
}

fn other_kind(kind: MediaType) -> Problem {
    Problem::of("media-type", format!("the bytes are not {kind}")).at("Content-Type")
}

fn unfit(unfit: Unfit) -> Problem {
    match unfit {
        Unfit::Found(what) => Problem::of("refused-file", what),
        Unfit::Unable => Problem::busy(tidegate_model::Millis(5_000)),
    }
}

struct Checks {
    kind: MediaType,
    proof: Proof,
    inspection: Option<Box<dyn Inspection>>,
}

impl Checks {
    async fn look(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.proof.look(bytes).map_err(|_| other_kind(self.kind))?;
        if let Some(inspection) = self.inspection.take() {
            self.inspection = Some(inspection.look(Arc::from(bytes)).await.map_err(unfit)?);
        }
        Ok(())
    }

    async fn end(self) -> Result<(), Problem> {
        self.proof.end().map_err(|_| other_kind(self.kind))?;
        match self.inspection {
            Some(inspection) => inspection.verdict().await.map_err(unfit),
            None => Ok(()),
        }
    }
}

/// Takes a file; nothing is kept unless this is `Ok`.
pub(super) async fn take(shared: &Shared, blobs: &dyn Blobs, incoming: Incoming, body: Body) -> Result<FileFacts, Problem> {
    let rules = &shared.config.files;
    let until = Instant::now() + Duration::from_millis(rules.upload.0);
    let all = take_within(shared, blobs, incoming, body, until);
    // Parts have deadlines of their own; this one is for the store and the inspector.
    timeout_at(until + Duration::from_millis(rules.stall.0), all).await.map_err(|_| slow())?
}

async fn take_within(
    shared: &Shared,
    blobs: &dyn Blobs,
    incoming: Incoming,
    mut body: Body,
    until: Instant,
) -> Result<FileFacts, Problem> {
    let rules = &shared.config.files;
    let Incoming { owner, kind, name, announced } = incoming;
    let mut writer = blobs.begin(owner, announced).await.map_err(|error| problem(&error))?;
    let inspection = rules.inspector.as_ref().map(|inspector| inspector.begin(owner.tenant, kind));
    let mut checks = Checks { kind, proof: Proof::of(kind), inspection };
    let stall = Duration::from_millis(rules.stall.0);
    let mut part = Vec::new();
    // The first part must hold what the proof looks at, unless the file is shorter.
    const { assert!(PART >= HEAD_BYTES) };
    loop {
        let next = timeout_at(until.min(Instant::now() + stall), body.frame()).await.map_err(|_| slow())?;
        let Some(frame) = next else { break };
        let broken = |_| Problem::of("bad-file", "fewer bytes came than were announced");
        let Ok(mut data) = frame.map_err(broken)?.into_data() else { continue };
        while !data.is_empty() {
            let room = PART - part.len();
            part.extend_from_slice(&data.split_to(room.min(data.len())));
            if part.len() == PART {
                writer = write(&mut checks, writer, std::mem::take(&mut part)).await?;
            }
        }
    }
    if !part.is_empty() {
        writer = write(&mut checks, writer, part).await?;
    }
    checks.end().await?;
    let facts = writer.finish(kind.as_str().to_owned(), name).await.map_err(|error| problem(&error))?;
    bump(&shared.counters.files_taken);
    Ok(facts)
}

async fn write(checks: &mut Checks, writer: Box<dyn BlobWriter>, part: Vec<u8>) -> Result<Box<dyn BlobWriter>, Problem> {
    checks.look(&part).await?;
    writer.write(part).await.map_err(|error| problem(&error))
}

/// A body that reads a blob to its end; `slot` is held as long as somebody reads.
pub(super) fn give(shared: &Arc<Shared>, reader: Box<dyn BlobReader>, slot: Slot) -> Body {
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(1);
    let stall = Duration::from_millis(shared.config.files.stall.0);
    let drain = shared.drain.subscribe();
    tokio::spawn(async move {
        let _held = (slot, drain);
        let mut next = Some(reader);
        while let Some(reader) = next.take() {
            let part = match reader.read().await {
                Ok(part) if part.bytes.is_empty() => return,
                Ok(part) => {
                    next = Some(part.reader);
                    Ok(Bytes::from(part.bytes))
                }
                Err(error) => {
                    tracing::error!(?error, "a file broke off on its way out");
                    Err(io::Error::other("the file is damaged"))
                }
            };
            if !matches!(timeout(stall, sender.send(part)).await, Ok(Ok(()))) {
                return;
            }
        }
    });
    let parts = stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|part| (part, receiver)) });
    Body::from_stream(parts)
}
