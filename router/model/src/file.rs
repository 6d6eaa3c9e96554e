//! Files: what an entry says of one, how its name is made harmless, and the port to the node's blobs.
//!
//! A file's bytes never stand in an entry. They lie in a store under their BLAKE3 hash, durable before an entry names them, and
//! an entry carries a [`FileRef`]: hash, length, media type, name. The deciding code hashes those four and reads none of them.
//! The encoding (after the fields of its kind, see [`crate::codec`]) is: hash, length as `u64`, one byte of media type's
//! length, the media type, and the name up to the end. Decoding checks lengths and UTF-8 only, so that a log stays readable
//! when the rules for names grow; [`FileRef::check`] holds the rules and is asked before anything is logged.
//!
//! [`Blobs`] is the port between channels and router, re-exported by [`crate::port`]: boxed futures, chunk by chunk.

use crate::codec::CodecError;
use crate::ids::{ConversationId, SeatId, TenantId};
use crate::output::Chain;
use crate::port::BoxFuture;
use crate::time::Millis;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Longest media type, in bytes.
pub const MEDIA_TYPE_BYTES_MAX: usize = 127;
/// Longest name of a file, in bytes of UTF-8.
pub const FILE_NAME_BYTES_MAX: usize = 255;
/// Longest encoding of a [`FileRef`].
pub const FILE_REF_BYTES_MAX: usize = 32 + 8 + 1 + MEDIA_TYPE_BYTES_MAX + FILE_NAME_BYTES_MAX;

/// The BLAKE3 hash of a file's bytes: its address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileHash(pub [u8; 32]);

impl FileHash {
    /// Reads 64 lower-case hexadecimal digits; anything else is nothing.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        let lower = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != 64 || !digits.iter().all(lower) {
            return None;
        }
        let mut hash = [0; 32];
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()?;
        }
        Some(Self(hash))
    }
}

impl fmt::Display for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileHash({self})")
    }
}

/// What an entry says of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileRef<'a> {
    /// Its address.
    pub hash: FileHash,
    /// Its length.
    pub bytes: u64,
    /// Its media type, checked against its first bytes where it came in.
    pub media_type: &'a str,
    /// Its name, as the sender gave it but for what [`clean_name`] replaces.
    pub name: &'a str,
}

impl<'a> FileRef<'a> {
    /// Appends the encoding. A media type past 255 bytes is cut: [`Self::check`] comes first.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let media_type = self.media_type.as_bytes();
        let media_type = &media_type[..media_type.len().min(255)];
        out.extend_from_slice(&self.hash.0);
        out.extend_from_slice(&self.bytes.to_le_bytes());
        out.push(media_type.len() as u8);
        out.extend_from_slice(media_type);
        out.extend_from_slice(self.name.as_bytes());
    }

    /// Reads what [`Self::encode`] wrote; the slice is the whole of it, and `offset` where it begins in its entry.
    ///
    /// # Errors
    /// [`CodecError`] with the offset; never panics.
    pub fn decode(bytes: &'a [u8], offset: usize) -> Result<Self, CodecError> {
        const HEAD: usize = 41;
        let short = |needed: usize| CodecError::Short { needed: offset + needed };
        let field = |at: usize| CodecError::Field { offset: offset + at };
        let (hash, rest) = bytes.split_first_chunk::<32>().ok_or_else(|| short(HEAD))?;
        let (length, rest) = rest.split_first_chunk::<8>().ok_or_else(|| short(HEAD))?;
        let (&media_bytes, rest) = rest.split_first().ok_or_else(|| short(HEAD))?;
        let media_bytes = usize::from(media_bytes);
        if media_bytes > MEDIA_TYPE_BYTES_MAX {
            return Err(field(HEAD - 1));
        }
        let (media_type, name) = rest.split_at_checked(media_bytes).ok_or_else(|| short(HEAD + media_bytes))?;
        if name.len() > FILE_NAME_BYTES_MAX {
            return Err(field(HEAD + media_bytes + FILE_NAME_BYTES_MAX));
        }
        Ok(Self {
            hash: FileHash(*hash),
            bytes: u64::from_le_bytes(*length),
            media_type: core::str::from_utf8(media_type).map_err(|error| field(HEAD + error.valid_up_to()))?,
            name: core::str::from_utf8(name).map_err(|error| field(HEAD + media_bytes + error.valid_up_to()))?,
        })
    }

    /// Whether this may be logged: not empty, a media type in its plain form, a name that [`clean_name`] would leave alone.
    ///
    /// # Errors
    /// Which field, and what was expected.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.bytes == 0 {
            return Err("bytes: 0; expected at least 1");
        }
        if !is_media_type(self.media_type) {
            return Err("media_type: expected type/subtype in lower case, at most 127 bytes, without parameters");
        }
        if self.name.is_empty() || self.name.len() > FILE_NAME_BYTES_MAX {
            return Err("name: expected 1 to 255 bytes");
        }
        if is_dots(self.name) || self.name.chars().any(is_hostile) {
            return Err("name: has a separator of paths, a control or an invisible character");
        }
        Ok(())
    }

    /// Adds its four facts to a chain: what tells a repeat from a conflict.
    pub fn fold(&self, chain: &mut Chain) {
        chain.bytes(&self.hash.0);
        chain.word(self.bytes);
        chain.bytes(self.media_type.as_bytes());
        chain.bytes(self.name.as_bytes());
    }

    /// As owned data.
    pub fn facts(&self) -> FileFacts {
        FileFacts { hash: self.hash, bytes: self.bytes, media_type: self.media_type.into(), name: self.name.into() }
    }
}

/// A [`FileRef`], owned.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FileFacts {
    /// Its address.
    pub hash: FileHash,
    /// Its length.
    pub bytes: u64,
    /// Its media type.
    pub media_type: String,
    /// Its name.
    pub name: String,
}

impl FileFacts {
    /// As an entry carries it.
    pub fn as_ref(&self) -> FileRef<'_> {
        FileRef { hash: self.hash, bytes: self.bytes, media_type: &self.media_type, name: &self.name }
    }
}

/// `type/subtype` of RFC 6838 in lower case, without parameters.
pub fn is_media_type(text: &str) -> bool {
    let part = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$&-^_.+".contains(&byte);
        !part.is_empty() && part.bytes().all(plain)
    };
    text.len() <= MEDIA_TYPE_BYTES_MAX && text.split_once('/').is_some_and(|(kind, sub)| part(kind) && part(sub))
}

/// A name without separators of paths, control characters, and characters that nobody sees or that turn the text round
/// (bidirectional controls, zero widths, fillers, tags): each becomes `_`. The rest stays as given; the length never grows.
pub fn clean_name(given: &str) -> String {
    if is_dots(given) {
        return given.chars().map(|_| '_').collect();
    }
    given.chars().map(|c| if is_hostile(c) { '_' } else { c }).collect()
}

fn is_dots(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c == '.')
}

/// What a name may not hold. Ranges: Unicode 16, bidirectional controls of UAX 9 and default-ignorable format characters;
/// variation selectors stay, emoji need them.
const fn is_hostile(c: char) -> bool {
    matches!(
        c,
        '/' | '\\'
            | '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Who brought a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Uploader {
    /// The conversation's customer.
    Customer,
    /// A seat that has the conversation's claim.
    Seat(SeatId),
}

/// For whom a file was brought.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileOwner {
    /// The tenant.
    pub tenant: TenantId,
    /// The conversation.
    pub conversation: ConversationId,
    /// Who brought it.
    pub by: Uploader,
}

/// Why blobs did not take or give something. Nothing is acknowledged then.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BlobError {
    /// Longer than the largest file.
    TooBig {
        /// The largest, in bytes.
        limit: u64,
    },
    /// Another length than was announced, nothing at all, or facts that may not be logged.
    Invalid {
        /// What was expected.
        what: String,
    },
    /// The tenant's files take all the room that it has.
    TenantFull {
        /// That room, in bytes.
        limit: u64,
    },
    /// The conversation brought as much as it may in an hour.
    TooMuch {
        /// In bytes.
        limit: u64,
        /// When there is room again.
        retry_after: Millis,
    },
    /// The disk has no room.
    DiskFull,
    /// The disk failed; no file is taken any more until the node is started again.
    Failed,
    /// The bytes on the disk are not those that were stored.
    Damaged,
    /// No such file here.
    Unknown,
    /// Too much is under way.
    Busy {
        /// Suggested pause.
        retry_after: Millis,
    },
    /// The node is going down.
    Closed,
}

/// Files of a node: content-addressed, durable before they are named.
pub trait Blobs: Send + Sync + 'static {
    /// Largest file, in bytes.
    fn largest(&self) -> u64;

    /// Begins to take a file; with its length, where that was announced. Room is set aside at once.
    fn begin(&self, owner: FileOwner, announced: Option<u64>) -> BoxFuture<Result<Box<dyn BlobWriter>, BlobError>>;

    /// What is known of a file that this owner brought, as the newest of its uploads said it; without a conversation
    /// ([`ConversationId::NONE`]), for whichever of them.
    fn granted(&self, owner: FileOwner, hash: FileHash) -> BoxFuture<Result<FileFacts, BlobError>>;

    /// The newest file of this address in a conversation's transcript, if there is one: the right to read it.
    fn shared(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        hash: FileHash,
    ) -> BoxFuture<Result<Option<FileFacts>, BlobError>>;

    /// Opens a file. Its whole content has been checked against its address when this resolves; who may read it is the
    /// caller's matter ([`Self::shared`]).
    fn open(&self, hash: FileHash) -> BoxFuture<Result<Box<dyn BlobReader>, BlobError>>;
}

/// A file on its way in. Dropping it forgets what was written.
pub trait BlobWriter: Send {
    /// Adds bytes.
    fn write(self: Box<Self>, bytes: Vec<u8>) -> BoxFuture<Result<Box<dyn BlobWriter>, BlobError>>;

    /// Makes it durable under its address, and durably its owner's. Only then may an entry name it.
    fn finish(self: Box<Self>, media_type: String, name: String) -> BoxFuture<Result<FileFacts, BlobError>>;
}

/// What a reader gives: itself and some bytes; no bytes at the end.
pub struct BlobPart {
    /// To go on with.
    pub reader: Box<dyn BlobReader>,
    /// The next bytes; empty at the end.
    pub bytes: Vec<u8>,
}

/// A file on its way out.
pub trait BlobReader: Send {
    /// Its length.
    fn bytes(&self) -> u64;

    /// Reads on. The content is checked again on the way: the last part comes only when all of it was right.
    fn read(self: Box<Self>) -> BoxFuture<Result<BlobPart, BlobError>>;
}
