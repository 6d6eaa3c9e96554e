//! The house rules, as tests: what must hold for the tree as a whole and no compiler checks.
//!
//! Each rule is a function from a [`tree::Tree`] (paths and texts) to a list of violations, so that it can be run on the
//! real tree and on a small planted one. Every rule has both tests: the tree is clean, and a planted violation is caught.
//! This file refuses to know any algorithm of the product; it reads texts, manifests and `cargo tree`.
//!
//! Run it alone with `cargo test --test house`. A violation names file, line and remedy.
#![forbid(unsafe_code)]

mod tree;

mod lexer;

mod arrows;
mod documents;
mod fuzzing;
mod manifests;
mod sources;
mod text;
mod words;
