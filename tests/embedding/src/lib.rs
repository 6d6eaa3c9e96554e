//! What an embedder stands on, held by tests: the public Rust API of `tidegate-model`, `tidegate-matcher` and `tidegate-core`
//! as committed text (`tests/public_api.rs`), and the lowest compiler that builds them (`tests/minimum_rust.rs`).
//!
//! There is no code here. The crate stands apart from the root package, so that reading rustdoc's JSON is compiled for these
//! tests alone. It refuses to know what the three crates do.
//!
//! Drive it: `cargo test -p tidegate-embedding`; after an intended change of the API `TIDEGATE_RENEW=1` writes the texts
//! again. The older compiler itself is the part `minimum-rust` of `./verify`. Why: `docs/decisions/0022-the-api-for-embedders.md`.
#![forbid(unsafe_code)]
