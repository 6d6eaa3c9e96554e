//! HTTP by hand, so that headers can be wrong; and JSON Web Tokens by hand, so that they can be, too.
//!
//! Drive it: [`ask`] with header lines as they shall stand on the wire; [`jwt`] with any header, any claims and any key.

use crate::node::{PATIENCE, Serve};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// One request; `headers` are bytes of whole lines without their ends.
pub fn ask(address: &str, method: &str, path: &str, headers: &[Vec<u8>], body: &str) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n").into_bytes();
    for line in headers {
        request.extend_from_slice(line);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes());
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    // A server that has refused may close before it has read everything.
    let _ = stream.write_all(&request);
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {method} {path}: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// A node that does not slow down whoever fails to authenticate: every answer is about the token.
pub fn unhurried(dir: &Path) -> Serve {
    Serve::on(dir).arg("--auth-failures").arg("100000")
}

/// The line that carries a token.
pub fn bearer(token: &str) -> Vec<u8> {
    format!("authorization: Bearer {token}").into_bytes()
}

/// A token signed by HMAC-SHA256, whatever its header says.
pub fn jwt(header: &str, claims: &str, secret: &[u8]) -> String {
    let signed = format!("{}.{}", base64(header.as_bytes()), base64(claims.as_bytes()));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length");
    mac.update(signed.as_bytes());
    format!("{signed}.{}", base64(&mac.finalize().into_bytes()))
}

/// Base64 for URLs, without padding (RFC 4648, 5).
pub fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().chain([0, 0].iter()).take(3).fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        for at in 0..=chunk.len() {
            out.push(char::from(ALPHABET[(word >> (18 - 6 * at) & 63) as usize]));
        }
    }
    out
}

/// The bytes of a text of [`base64`].
pub fn unbase64(text: &str) -> Vec<u8> {
    let (mut word, mut bits, mut out) = (0_u32, 0, Vec::new());
    for byte in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == byte).expect("of the alphabet");
        word = word << 6 | value as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
            word &= (1 << bits) - 1;
        }
    }
    out
}
