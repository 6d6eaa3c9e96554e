//! The pages in a real browser, against a real node: what the tests in `tests/` stand on.
//!
//! `Browser` is Debian's chromium under its driver, `Node` the real binary in a process of its own, `Cutter` a TCP
//! forwarder between them that cuts every connection when told to. It refuses to know what the pages are expected to show.
//! Everything is behind the feature `browser`, so that nobody else pays for it: `cargo test -p tidegate-browser --features browser`.
#![forbid(unsafe_code)]

#[cfg(feature = "browser")]
mod browser;
#[cfg(feature = "browser")]
mod cutter;
#[cfg(feature = "browser")]
mod node;

#[cfg(feature = "browser")]
pub use browser::{Browser, PATIENCE};
#[cfg(feature = "browser")]
pub use cutter::{Cutter, Way};
#[cfg(feature = "browser")]
pub use node::Node;
