//! What the rims are configured with: inboxes and their origins, limits of a connection, leases.
//!
//! Values only; whoever reads a file (the binary) fills them. [`Config::check`] refuses what cannot work. Limits that belong
//! to a tenant (conversations, tickets) are state of the router and do not stand here.

use crate::auth::{Clock, KeyRing, TokenAuthority, system_clock};
use crate::files::FileRules;
use crate::names::NameTable;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tidegate_model::file::Blobs;
use tidegate_model::limits::{BODY_BYTES_MAX, NAME_BYTES_MAX};
use tidegate_model::{AccountId, Millis, TenantId};

/// Largest WebSocket message or HTTP body, in bytes.
pub const FRAME_BYTES_MAX: usize = 16 * 1_024;
/// Largest text of a message, in bytes.
pub const TEXT_BYTES_MAX: usize = BODY_BYTES_MAX;
/// Longest name, client id or visitor id, in bytes.
pub const SHORT_BYTES_MAX: usize = NAME_BYTES_MAX;
/// Shortest visitor id: it is a secret of its browser.
pub const VISITOR_BYTES_MIN: usize = 16;

/// One web inbox: a channel account as pages name it.
#[derive(Clone, Debug)]
pub struct Inbox {
    /// Public name, used in `POST /v1/web/sessions`.
    pub name: String,
    /// The tenant.
    pub tenant: TenantId,
    /// The channel account.
    pub account: AccountId,
    /// Origins (`https://shop.example`) of pages that may speak to it; `*` for any. Requests without an Origin do not come
    /// from a foreign page and are let in: the list protects browsers' users, tokens protect the router.
    pub origins: Vec<String>,
    /// Only visitors with an identity signed by the site may write. Checked at every message, not only at the door.
    pub verified_only: bool,
    /// Secrets by which the site signs identities.
    pub site_keys: Option<KeyRing>,
    /// What its page shows before a conversation.
    pub face: Face,
}

/// A text in both languages.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Both {
    /// English.
    pub en: String,
    /// 简体中文.
    pub zh: String,
}

impl Both {
    /// A text that has one; `zh` repeats `en` where there is none.
    pub fn new(en: &str, zh: Option<&str>) -> Self {
        Self { en: en.to_owned(), zh: zh.unwrap_or(en).to_owned() }
    }
}

/// What an inbox shows before a conversation, as `GET /v1/web/inbox` gives it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Face {
    /// Who speaks here.
    pub name: Both,
    /// Head of the page.
    pub title: Both,
    /// First words; may be empty.
    pub greeting: Both,
    /// Languages offered, the preferred one first.
    pub languages: Vec<String>,
    /// Whether the elders' mode is offered.
    pub elder_mode: bool,
    /// Whether the human button comes before anything else.
    pub human_first: bool,
}

impl Face {
    /// The face of an inbox of which nothing but the name is known.
    pub fn named(name: &str) -> Self {
        Self {
            name: Both::new(name, None),
            title: Both::new("Chat with us", Some("在线客服")),
            greeting: Both::default(),
            languages: vec!["en".to_owned(), "zh".to_owned()],
            elder_mode: true,
            human_first: false,
        }
    }
}

/// Limits of customers' connections.
#[derive(Clone, Copy, Debug)]
pub struct WebLimits {
    /// Connections at once (WebSocket, SSE and waiting polls together).
    pub connections: usize,
    /// Frames a second of one connection.
    pub frames_per_second: u32,
    /// Frames at once of one connection.
    pub frames_burst: u32,
    /// Refusals for speed in a row after which the connection is closed.
    pub strikes: u32,
    /// Frames read ahead of the one being decided.
    pub pending: usize,
    /// Transcript items a page.
    pub page: usize,
    /// Time to say hello.
    pub hello: Millis,
    /// Silence after which the server pings; twice that without any frame closes.
    pub ping: Millis,
    /// How long one write may stall before the reader is cut off.
    pub stall: Millis,
    /// Longest wait of a long poll.
    pub poll: Millis,
    /// Sessions opened a second, over all clients.
    pub sessions_per_second: u32,
    /// Life of a session token.
    pub token: Duration,
}

impl Default for WebLimits {
    fn default() -> Self {
        Self {
            connections: 50_000,
            frames_per_second: 20,
            frames_burst: 40,
            strikes: 64,
            pending: 8,
            page: 16,
            hello: Millis(10_000),
            ping: Millis(25_000),
            stall: Millis(10_000),
            poll: Millis(25_000),
            sessions_per_second: 2_000,
            token: Duration::from_secs(3_600),
        }
    }
}

/// Limits of desks' connections.
#[derive(Clone, Copy, Debug)]
pub struct DeskLimits {
    /// Connections at once.
    pub connections: usize,
    /// Frames a second of one connection.
    pub frames_per_second: u32,
    /// Frames at once of one connection.
    pub frames_burst: u32,
    /// Refusals for speed in a row after which the connection is closed.
    pub strikes: u32,
    /// Commands read ahead of the one being decided.
    pub pending: usize,
    /// Notices that wait for the desk; past that it gets a snapshot instead.
    pub notices: usize,
    /// Conversations followed at once.
    pub conversations: usize,
    /// Transcript items a page.
    pub page: usize,
    /// Time to sign in.
    pub hello: Millis,
    /// Silence after which the server pings; twice that without any frame closes.
    pub ping: Millis,
    /// How long one write may stall before the desk is cut off.
    pub stall: Millis,
    /// Wall-clock time that a seat outlives its desk's connection.
    pub lease: Duration,
    /// Seats with a lease or a desk at once.
    pub seats: usize,
}

impl Default for DeskLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            frames_per_second: 50,
            frames_burst: 100,
            strikes: 64,
            pending: 16,
            notices: 256,
            conversations: 64,
            page: 16,
            hello: Millis(10_000),
            ping: Millis(15_000),
            stall: Millis(10_000),
            lease: Duration::from_secs(30),
            seats: 10_000,
        }
    }
}

/// Everything the rims need to know.
#[derive(Clone)]
pub struct Config {
    /// Inboxes.
    pub inboxes: Vec<Inbox>,
    /// Origins of agents' pages; requests without an Origin are let in.
    pub desk_origins: Vec<String>,
    /// Limits of customers' connections.
    pub web: WebLimits,
    /// Limits of desks' connections.
    pub desk: DeskLimits,
    /// Mints session tokens; the router's authenticator must accept what it mints.
    pub authority: Arc<TokenAuthority>,
    /// Names for display.
    pub names: Arc<NameTable>,
    /// Wall clock for identities' expiry.
    pub clock: Clock,
    /// What files may be sent.
    pub files: FileRules,
    /// Where files are kept; without it none are taken.
    pub blobs: Option<Arc<dyn Blobs>>,
}

/// Why a configuration was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A name is out of its limit or stands twice.
    #[error("inbox `{name}`: the name must have 1 to {SHORT_BYTES_MAX} bytes and stand once")]
    Name {
        /// The inbox.
        name: String,
    },
    /// Two inboxes speak for one account.
    #[error("inbox `{name}`: account {account} of tenant {tenant} has an inbox already")]
    Account {
        /// The inbox.
        name: String,
        /// The tenant.
        tenant: u32,
        /// The account.
        account: u32,
    },
    /// An origin is not `scheme://host[:port]`.
    #[error("origin `{origin}`: expected scheme://host, with :port if needed and nothing after it, or *")]
    Origin {
        /// The origin.
        origin: String,
    },
    /// Verified visitors only, but no key to verify them by.
    #[error("inbox `{name}`: verified_only needs site keys")]
    NoSiteKeys {
        /// The inbox.
        name: String,
    },
    /// A limit is zero.
    #[error("limit {what} must be at least 1")]
    Zero {
        /// Which.
        what: &'static str,
    },
}

impl Config {
    /// A configuration with default limits and the system's clock.
    pub fn new(inboxes: Vec<Inbox>, authority: Arc<TokenAuthority>, names: Arc<NameTable>) -> Self {
        Self {
            inboxes,
            desk_origins: Vec::new(),
            web: WebLimits::default(),
            desk: DeskLimits::default(),
            authority,
            names,
            clock: system_clock(),
            files: FileRules::default(),
            blobs: None,
        }
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// [`ConfigError`], naming the place.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (at, inbox) in self.inboxes.iter().enumerate() {
            let name = inbox.name.clone();
            let before = &self.inboxes[..at];
            if name.is_empty() || name.len() > SHORT_BYTES_MAX || before.iter().any(|other| other.name == name) {
                return Err(ConfigError::Name { name });
            }
            if before.iter().any(|other| (other.tenant, other.account) == (inbox.tenant, inbox.account)) {
                return Err(ConfigError::Account { name, tenant: inbox.tenant.0, account: inbox.account.0 });
            }
            if inbox.verified_only && inbox.site_keys.is_none() {
                return Err(ConfigError::NoSiteKeys { name });
            }
        }
        for origin in self.inboxes.iter().flat_map(|inbox| &inbox.origins).chain(&self.desk_origins) {
            if origin != "*" && !is_origin(origin) {
                return Err(ConfigError::Origin { origin: origin.clone() });
            }
        }
        let limits = [
            ("web.connections", self.web.connections),
            ("web.pending", self.web.pending),
            ("web.page", self.web.page),
            ("desk.connections", self.desk.connections),
            ("desk.pending", self.desk.pending),
            ("desk.notices", self.desk.notices),
            ("desk.conversations", self.desk.conversations),
            ("desk.page", self.desk.page),
            ("desk.seats", self.desk.seats),
            ("files.uploads", self.files.uploads),
            ("files.downloads", self.files.downloads),
        ];
        match limits.into_iter().find(|(_, value)| *value == 0) {
            Some((what, _)) => Err(ConfigError::Zero { what }),
            None => Ok(()),
        }
    }
}

/// Whether a list lets an origin in. Origins are compared whole, as browsers send them.
pub fn origin_allowed(list: &[String], origin: &str) -> bool {
    list.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    (scheme == "http" || scheme == "https") && !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '*'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_whole() {
        let list = vec!["https://shop.example".to_owned()];
        assert!(origin_allowed(&list, "https://shop.example"));
        for foreign in ["https://shop.example.evil.test", "http://shop.example", "https://shop.example:444", "null", ""] {
            assert!(!origin_allowed(&list, foreign), "{foreign}");
        }
        assert!(is_origin("https://shop.example:8443"));
        for wrong in ["shop.example", "https://", "https://a/b", "ftp://a", "https://*.a"] {
            assert!(!is_origin(wrong), "{wrong}");
        }
    }
}
