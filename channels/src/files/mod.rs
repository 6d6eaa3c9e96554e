//! Files in a conversation: what may be sent, who may read it, and the HTTP under both.
//!
//! A client uploads a file and gets its address; a `message` or `send` then names the address instead of a text. The upload is
//! durable before it is answered, and only who uploaded a file for a conversation may name it there. What may be read is what
//! stands in a transcript: a customer's own conversation, a seat's own claims up to their release. [`media`] knows kinds of
//! files, `http` moves bytes, [`Inspector`] is where a virus scanner is put. It refuses to know how bytes are kept: that is
//! the port's matter ([`Blobs`]).

pub(crate) mod http;
pub mod media;
mod transfer;

use crate::desk::frame::{Command, DeskAct};
use crate::ids;
use crate::json::Object;
use crate::problem::Problem;
use crate::service::Shared;
use crate::web::frame::{CustomerAct, Submission};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_model::file::{FILE_NAME_BYTES_MAX, FileRef, MEDIA_TYPE_BYTES_MAX, clean_name};
use tidegate_model::input::SeatInput;
use tidegate_model::output::Outcome;
use tidegate_model::port::{
    AgentGrant, BlobError, Blobs, BoxFuture, CustomerGrant, FileFacts, FileHash, FileOwner, PortError, Uploader,
};
use tidegate_model::{ClaimId, ConversationId, Millis, TenantId};

pub use media::{MediaType, fuzz_upload};

/// What may be sent, and how fast it must come. Bytes are limited by the store ([`Blobs::largest`] and its quotas).
#[derive(Clone)]
pub struct FileRules {
    /// Kinds that customers of inboxes without a list of their own may send.
    pub kinds: Vec<MediaType>,
    /// Kinds by inbox.
    pub by_inbox: BTreeMap<String, Vec<MediaType>>,
    /// Kinds that agents may send.
    pub desk_kinds: Vec<MediaType>,
    /// Uploads at once.
    pub uploads: usize,
    /// Downloads at once.
    pub downloads: usize,
    /// How long an upload may bring nothing, or a download take nothing.
    pub stall: Millis,
    /// How long an upload may take.
    pub upload: Millis,
    /// Looks at everything that comes in, when there is one.
    pub inspector: Option<Arc<dyn Inspector>>,
}

impl Default for FileRules {
    fn default() -> Self {
        Self {
            kinds: MediaType::DEFAULT.to_vec(),
            by_inbox: BTreeMap::new(),
            desk_kinds: MediaType::DEFAULT.to_vec(),
            uploads: 1_024,
            downloads: 1_024,
            stall: Millis(10_000),
            upload: Millis(120_000),
            inspector: None,
        }
    }
}

/// What looks at files before they are kept: a virus scanner behind a socket (clamd's INSTREAM, an ICAP server), a rule of the
/// house. It sees every byte once, in order, while the file is written to a temporary; a file that it refuses never gets an
/// address. Its futures hold the upload up and share its time limit. There is none by default.
pub trait Inspector: Send + Sync + 'static {
    /// A file begins.
    fn begin(&self, tenant: TenantId, kind: MediaType) -> Box<dyn Inspection>;
}

/// One file under inspection.
pub trait Inspection: Send {
    /// The next bytes.
    fn look(self: Box<Self>, bytes: Arc<[u8]>) -> BoxFuture<Result<Box<dyn Inspection>, Unfit>>;

    /// All has been seen.
    fn verdict(self: Box<Self>) -> BoxFuture<Result<(), Unfit>>;
}

/// Why an inspector does not let a file in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unfit {
    /// Something was found in it; told to the sender in these words.
    Found(String),
    /// It could not be looked at: the sender may try again.
    Unable,
}

/// A file as a frame names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// Its address.
    pub hash: FileHash,
    /// Its name, made harmless; the upload's without one.
    pub name: Option<String>,
    /// Its media type; must be the upload's.
    pub media_type: Option<String>,
}

/// Reads `file`, `name` and `media_type` of a frame; nothing when it has no `file`.
pub(crate) fn named(object: &mut Object<'_>) -> Result<Option<Named>, Problem> {
    let Some(text) = object.opt_text("file", 64)? else { return Ok(None) };
    let expected = || Problem::field("file", "file must be the 64 lower-case hexadecimal digits of an upload");
    let hash = FileHash::parse(&text).ok_or_else(expected)?;
    let name = object.opt_text("name", FILE_NAME_BYTES_MAX)?.map(|name| clean_name(&name));
    let media_type = object.opt_text("media_type", MEDIA_TYPE_BYTES_MAX)?.map(std::borrow::Cow::into_owned);
    if object.opt_text("text", crate::config::TEXT_BYTES_MAX)?.is_some() {
        return Err(Problem::field("text", "text and file exclude each other"));
    }
    Ok(Some(Named { hash, name, media_type }))
}

/// A file as clients see it.
#[derive(Serialize, Debug)]
pub(crate) struct FileFrame<'a> {
    file: String,
    name: &'a str,
    media_type: &'a str,
    bytes: u64,
}

impl<'a> From<FileRef<'a>> for FileFrame<'a> {
    fn from(file: FileRef<'a>) -> Self {
        Self { file: file.hash.to_string(), name: file.name, media_type: file.media_type, bytes: file.bytes }
    }
}

/// What an entry says of a file that a frame named: what the upload was found to be, under the name given last.
async fn resolve(blobs: Option<Arc<dyn Blobs>>, owner: FileOwner, named: &Named) -> Result<FileFacts, PortError> {
    let blobs = blobs.ok_or(PortError::UnknownFile)?;
    let mut facts = blobs.granted(owner, named.hash).await.map_err(|error| match error {
        BlobError::Unknown => PortError::UnknownFile,
        error => PortError::Files(error),
    })?;
    if let Some(media_type) = named.media_type.as_ref().filter(|given| **given != facts.media_type) {
        let what = format!("media_type: {} was said, {} was uploaded", crate::json::clip(media_type), facts.media_type);
        return Err(PortError::Invalid { what });
    }
    if let Some(name) = &named.name {
        facts.name.clone_from(name);
    }
    Ok(facts)
}

/// Hands a customer's act to the router, its file looked up first.
pub(crate) fn accept(shared: &Shared, grant: &CustomerGrant, submission: Submission) -> BoxFuture<Result<Outcome, PortError>> {
    let CustomerAct::File { file } = &submission.act else {
        return shared.ingress.accept(grant.tenant, submission.inbound(grant, &FileFacts::default()));
    };
    let owner = FileOwner { tenant: grant.tenant, conversation: grant.conversation, by: Uploader::Customer };
    let (blobs, ingress, grant, file) = (shared.config.blobs.clone(), Arc::clone(&shared.ingress), grant.clone(), file.clone());
    Box::pin(async move {
        let facts = resolve(blobs, owner, &file).await?;
        let accepted = ingress.accept(grant.tenant, submission.inbound(&grant, &facts));
        accepted.await
    })
}

/// Hands a desk's command to the router, its file looked up first.
pub(crate) fn command(shared: &Shared, grant: &AgentGrant, command: Command) -> BoxFuture<Result<Outcome, PortError>> {
    let AgentGrant { tenant, seat } = *grant;
    let id = ids::command(seat, &command.command_id);
    let DeskAct::SendFile { claim, file } = command.act else {
        let none = FileFacts::default();
        let act = command.act.act(&none);
        return shared.desk_port.command(tenant, SeatInput { seat, command: id, act });
    };
    let (blobs, port) = (shared.config.blobs.clone(), Arc::clone(&shared.desk_port));
    Box::pin(async move {
        let seen = port.snapshot(tenant, seat).await?;
        // The claim is gone: a repetition is answered as it was, anything else is refused by the machine.
        let conversation = conversation_of(&seen, claim).unwrap_or(ConversationId::NONE);
        let owner = FileOwner { tenant, conversation, by: Uploader::Seat(seat) };
        let facts = resolve(blobs, owner, &file).await?;
        let act = DeskAct::SendFile { claim, file };
        let sent = port.command(tenant, SeatInput { seat, command: id, act: act.act(&facts) });
        sent.await
    })
}

/// The conversation of a seat's claim.
pub(crate) fn conversation_of(seat: &tidegate_model::port::SeatSnapshot, claim: ClaimId) -> Option<ConversationId> {
    seat.claims.iter().find(|open| open.claim == claim).map(|open| open.conversation)
}

/// A blob's error as a client is told it.
pub(crate) fn problem(error: &BlobError) -> Problem {
    match error {
        BlobError::TooBig { limit } => too_big(*limit),
        BlobError::Invalid { what } => Problem::of("bad-file", what.clone()),
        BlobError::TenantFull { limit } => Problem::of("no-room", format!("the tenant's files take all of its {limit} bytes")),
        BlobError::TooMuch { limit, retry_after } => {
            let mut problem = Problem::rate(*retry_after);
            problem.detail = format!("one conversation may bring {limit} bytes of files in an hour").into();
            problem
        }
        BlobError::DiskFull => Problem::of("no-room", "the node's disk is full; nothing was kept"),
        BlobError::Failed => Problem::of("files-failed", "the node's disk failed; nothing was kept or acknowledged"),
        BlobError::Damaged => Problem::of("damaged-file", "its bytes are not those that were stored; it is not given out"),
        BlobError::Unknown => unknown_file(),
        BlobError::Busy { retry_after } => Problem::busy(*retry_after),
        BlobError::Closed => Problem::port(&PortError::Closed),
        _ => Problem::of("internal", "try again later"),
    }
}

/// Nobody learns whether the file is elsewhere.
pub(crate) fn unknown_file() -> Problem {
    Problem::of("unknown-file", "upload it for this conversation first").at("file")
}

pub(crate) fn too_big(limit: u64) -> Problem {
    Problem::of("too-large", format!("at most {limit} bytes"))
}
