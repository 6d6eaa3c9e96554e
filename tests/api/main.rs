//! The platform's API of the real binary: its document, its pages, its promises.
//!
//! | file | what it proves |
//! |---|---|
//! | `document.rs` | the committed document is the served one; every route and every problem has its page |
//! | `once.rs` | the same POST a thousand times from eight connections over a `kill -9` is one effect with one answer |
//! | `platform.rs` | a contact from beginning to wrap-up over HTTP alone; lists, cursors, dry run of a policy |
//! | `hostile.rs` | oversized, nested, repeated, tricky: each limit at it, one above, ten times above |
//!
//! `./verify contract` asks schemathesis the rest. `TIDEGATE_NIGHTLY=1` raises counts.

mod client;
mod document;
mod hostile;
mod once;
mod platform;
mod stand;
