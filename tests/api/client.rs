//! A few words of HTTP/1.1 with any headers: one connection a request, errors given back instead of panics.
//!
//! It refuses to know the API. Drive it: [`Ask::new`], the words, [`Ask::send`].

use serde_json::Value;
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// A request.
pub struct Ask {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Told {
    /// Status.
    pub status: u16,
    /// Head, in lower case.
    pub head: String,
    /// Body.
    pub text: String,
}

impl Ask {
    /// A request without token.
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// With a bearer token.
    pub fn by(self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// With a header.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With an Idempotency-Key.
    pub fn key(self, key: &str) -> Self {
        self.with("idempotency-key", key)
    }

    /// With a body of JSON.
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// With a body.
    pub fn body(mut self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.with("content-type", kind)
    }

    /// Sends it; the answer, or how the connection broke.
    pub fn send(&self, address: &str) -> io::Result<Told> {
        let mut head = format!("{} {} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(crate::stand::PATIENCE))?;
        stream.write_all(format!("{head}content-length: {}\r\n\r\n", self.body.len()).as_bytes())?;
        // A refusal may come before the whole body was taken.
        let sent = stream.write_all(&self.body);
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let Some((head, text)) = answer.split_once("\r\n\r\n") else {
            return Err(sent.and(read).err().unwrap_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "no answer")));
        };
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Ok(Told { status, head: head.to_lowercase(), text: text.to_owned() })
    }
}

impl Told {
    /// The body, as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }

    /// Asserts a good answer; its body.
    #[track_caller]
    pub fn good(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// Asserts a problem.
    #[track_caller]
    pub fn problem(&self, status: u16, slug: &str) -> Value {
        assert_eq!(self.status, status, "{} {}", self.head, self.text);
        assert!(self.head.contains("content-type: application/problem+json"), "{}", self.head);
        let body = self.json();
        assert_eq!(body["type"], format!("/problems/{slug}"), "{body}");
        body
    }
}
