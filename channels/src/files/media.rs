//! Kinds of files that may be let in: each with the media type that a client names and the proof that its bytes are one.
//!
//! The proof is the file's first bytes, by `infer`; plain text has none, so all of it must be UTF-8 without control
//! characters and nothing that `infer` knows. A kind that is not here cannot be allowed by any configuration: what cannot be
//! checked is not believed. It refuses to look for viruses ([`super::Inspector`]).

use std::fmt;

/// First bytes that are looked at: more than any proof needs.
pub const HEAD_BYTES: usize = 8_192;

/// A kind of file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum MediaType {
    /// `image/png`.
    Png,
    /// `image/jpeg`.
    Jpeg,
    /// `image/gif`.
    Gif,
    /// `image/webp`.
    Webp,
    /// `application/pdf`.
    Pdf,
    /// `text/plain`.
    Text,
    /// `application/zip`: off unless a configuration allows it.
    Zip,
}

impl MediaType {
    /// Every kind.
    pub const ALL: [Self; 7] = [Self::Png, Self::Jpeg, Self::Gif, Self::Webp, Self::Pdf, Self::Text, Self::Zip];
    /// Kinds that are allowed where nothing is configured.
    pub const DEFAULT: [Self; 6] = [Self::Png, Self::Jpeg, Self::Gif, Self::Webp, Self::Pdf, Self::Text];

    /// The media type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Pdf => "application/pdf",
            Self::Text => "text/plain",
            Self::Zip => "application/zip",
        }
    }

    /// The kind of a `Content-Type`; parameters are passed over, letters' case does not count.
    pub fn parse(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Self::ALL.into_iter().find(|kind| kind.as_str() == essence)
    }

    /// The `Content-Type` under which a stored media type is given out: its own when a browser cannot run it, else bytes.
    pub fn inert(stored: &str) -> &'static str {
        match Self::parse(stored) {
            Some(Self::Text) => "text/plain; charset=utf-8",
            Some(kind @ (Self::Png | Self::Jpeg | Self::Gif | Self::Webp)) => kind.as_str(),
            _ => "application/octet-stream",
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Looks at a file part by part; the first part holds [`HEAD_BYTES`] or the whole file.
#[derive(Debug)]
pub struct Proof {
    kind: MediaType,
    begun: bool,
    /// The beginning of a character that was cut between two parts.
    cut: Vec<u8>,
}

/// The bytes are not of the kind that was said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotThatKind;

impl Proof {
    /// Nothing seen yet.
    pub const fn of(kind: MediaType) -> Self {
        Self { kind, begun: false, cut: Vec::new() }
    }

    /// The next part.
    ///
    /// # Errors
    /// [`NotThatKind`].
    pub fn look(&mut self, bytes: &[u8]) -> Result<(), NotThatKind> {
        if !std::mem::replace(&mut self.begun, true) {
            let head = &bytes[..bytes.len().min(HEAD_BYTES)];
            let found = infer::get(head).map(|kind| kind.mime_type());
            let fits = if self.kind == MediaType::Text { found.is_none() } else { found == Some(self.kind.as_str()) };
            if !fits {
                return Err(NotThatKind);
            }
        }
        if self.kind != MediaType::Text {
            return Ok(());
        }
        self.cut.extend_from_slice(bytes);
        let text = match std::str::from_utf8(&self.cut) {
            Ok(text) => text,
            // Cut short, not wrong: the rest comes with the next part.
            Err(error) if error.error_len().is_none() => {
                std::str::from_utf8(&self.cut[..error.valid_up_to()]).map_err(|_| NotThatKind)?
            }
            Err(_) => return Err(NotThatKind),
        };
        if text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{c}')) {
            return Err(NotThatKind);
        }
        let seen = text.len();
        self.cut.drain(..seen);
        Ok(())
    }

    /// Nothing more comes.
    ///
    /// # Errors
    /// [`NotThatKind`]: a text that ends within a character.
    pub fn end(&self) -> Result<(), NotThatKind> {
        if self.cut.is_empty() { Ok(()) } else { Err(NotThatKind) }
    }
}

/// Fuzz entry: the bytes as an upload of every kind, whole and cut in parts at every length that its first byte says.
///
/// # Panics
/// When a cut changes what is found, or a text that passes is not UTF-8.
pub fn fuzz_upload(data: &[u8]) {
    let Some((&first, bytes)) = data.split_first() else { return };
    for kind in MediaType::ALL {
        let whole = passes(kind, std::iter::once(bytes));
        if kind == MediaType::Text {
            // The head is one part in an upload; what follows is cut anywhere.
            let (head, rest) = bytes.split_at(bytes.len().min(HEAD_BYTES));
            let parts = std::iter::once(head).chain(rest.chunks(usize::from(first).max(1)));
            assert_eq!(passes(kind, parts), whole, "a cut changed what was found");
            assert!(!whole || std::str::from_utf8(bytes).is_ok(), "no UTF-8 passed for a text");
        }
    }
}

fn passes<'a>(kind: MediaType, parts: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut proof = Proof::of(kind);
    for part in parts {
        if proof.look(part).is_err() {
            return false;
        }
    }
    proof.end().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: MediaType, parts: &[&[u8]]) -> bool {
        let mut proof = Proof::of(kind);
        parts.iter().all(|part| proof.look(part).is_ok()) && proof.end().is_ok()
    }

    #[test]
    fn bytes_decide() {
        let png: &[u8] = b"\x89PNG\r\n\x1a\n and more";
        let jpeg: &[u8] = b"\xff\xd8\xff\xe0 and more";
        let webp: &[u8] = b"RIFF\x10\0\0\0WEBPVP8 ";
        let samples: [(MediaType, &[u8]); 7] = [
            (MediaType::Png, png),
            (MediaType::Jpeg, jpeg),
            (MediaType::Gif, b"GIF89a and more"),
            (MediaType::Webp, webp),
            (MediaType::Pdf, b"%PDF-1.7 and more"),
            (MediaType::Text, "你好, plain text\r\n\tline".as_bytes()),
            (MediaType::Zip, b"PK\x03\x04\x14\0\0\0\x08\0and more than that, a name and its bytes"),
        ];
        for (kind, bytes) in samples {
            for (other, _) in samples {
                assert_eq!(check(other, &[bytes]), other == kind, "{kind} said to be {other}");
            }
        }
        for page in ["<!DOCTYPE html><script>", "<html>", "<?xml version=\"1.0\"?><svg onload=\"x\">", "#!/bin/sh\n"] {
            assert!(!check(MediaType::Text, &[page.as_bytes()]), "{page}");
        }
        assert!(!check(MediaType::Text, &[b"MZ\x90\0 a program"]));
    }

    #[test]
    fn text_is_checked_to_its_end() {
        let text = "好".as_bytes();
        assert!(check(MediaType::Text, &[b"a", &text[..1], &text[1..2], &text[2..], b"b"]));
        assert!(!check(MediaType::Text, &[b"a", &text[..2]]), "it ends within a character");
        assert!(!check(MediaType::Text, &[b"a", &text[..2], b"b"]));
        for control in ["\0", "\u{1b}[2J", "\u{85}", "\u{7f}"] {
            assert!(!check(MediaType::Text, &[b"a", control.as_bytes()]), "{control:?}");
        }
    }

    #[test]
    fn content_types_are_read_and_given_out() {
        assert_eq!(MediaType::parse("Text/Plain; charset=UTF-8"), Some(MediaType::Text));
        assert_eq!(MediaType::parse(" image/png "), Some(MediaType::Png));
        for wrong in ["", "image/svg+xml", "text/html", "image", "image/png x"] {
            assert_eq!(MediaType::parse(wrong), None, "{wrong}");
        }
        assert_eq!(MediaType::inert("image/gif"), "image/gif");
        for active in ["application/pdf", "application/zip", "text/html", "image/svg+xml", ""] {
            assert_eq!(MediaType::inert(active), "application/octet-stream", "{active}");
        }
    }
}
