//! The pages that people look at, embedded: a customer's chat, an agent's desk, a wall, and the start page.
//!
//! Files are what they are in `console/`: plain ES modules, style sheets, Fluent texts and two vendored libraries, without any
//! build step. They are packed once at start, answered with an entity tag, and hold no state. This crate refuses to know what
//! the pages say to the node (`docs/protocol.md` does) and who may see what: pages are public, what they fetch is not.
//!
//! Drive it: mount [`routes`] on the node's listener; every path that it does not know is somebody else's.
//!
//! ```
//! let pages: axum::Router = tidegate_console::routes();
//! ```
#![forbid(unsafe_code)]

mod serve;
mod table;

pub use serve::{CSP_CHAT, CSP_PAGE, routes};
pub use table::{FILES, File, Kind};
