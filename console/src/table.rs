//! Every file that is served, by name: what it is and its bytes.
//!
//! One line a file, so that a file which is not listed is not served; a test compares the list with the directories. It
//! refuses to know headers and paths: `serve` does.

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A page.
    Page,
    /// An ES module.
    Module,
    /// A style sheet.
    Style,
    /// A picture.
    Picture,
    /// Words, as Fluent.
    Words,
}

impl Kind {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Page => "text/html; charset=utf-8",
            Self::Module => "text/javascript; charset=utf-8",
            Self::Style => "text/css; charset=utf-8",
            Self::Picture => "image/svg+xml",
            Self::Words => "text/plain; charset=utf-8",
        }
    }
}

/// A file.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Its name below `/console/`; pages have their own addresses.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its bytes.
    pub bytes: &'static [u8],
}

macro_rules! files {
    ($($kind:ident $name:literal $path:literal;)*) => {
        &[$(File { name: $name, kind: Kind::$kind, bytes: include_bytes!(concat!("../", $path)) }),*]
    };
}

/// Every file.
pub const FILES: &[File] = files! {
    Page "start.html" "pages/start.html";
    Page "chat.html" "pages/chat.html";
    Page "desk.html" "pages/desk.html";
    Page "wall.html" "pages/wall.html";
    Module "start.js" "pages/start.js";
    Module "chat.js" "pages/chat.js";
    Module "desk.js" "pages/desk.js";
    Module "desk-seat.js" "pages/desk-seat.js";
    Module "desk-view.js" "pages/desk-view.js";
    Module "wall.js" "pages/wall.js";
    Module "link.js" "pages/link.js";
    Module "text.js" "pages/text.js";
    Module "words.js" "pages/words.js";
    Style "start.css" "pages/start.css";
    Style "chat.css" "pages/chat.css";
    Style "desk.css" "pages/desk.css";
    Style "wall.css" "pages/wall.css";
    Picture "icon.svg" "pages/icon.svg";
    Module "htm-preact.js" "vendor/htm-preact.js";
    Module "fluent-bundle.js" "vendor/fluent-bundle.js";
    Words "l10n/en/start.ftl" "l10n/en/start.ftl";
    Words "l10n/en/chat.ftl" "l10n/en/chat.ftl";
    Words "l10n/en/desk.ftl" "l10n/en/desk.ftl";
    Words "l10n/en/wall.ftl" "l10n/en/wall.ftl";
    Words "l10n/zh/start.ftl" "l10n/zh/start.ftl";
    Words "l10n/zh/chat.ftl" "l10n/zh/chat.ftl";
    Words "l10n/zh/desk.ftl" "l10n/zh/desk.ftl";
    Words "l10n/zh/wall.ftl" "l10n/zh/wall.ftl";
};
