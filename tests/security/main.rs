//! Who gets in, what is recorded, and what is never told: the real binary, attacked from outside.
//!
//! | file | what it proves |
//! |---|---|
//! | `forged.rs` | more than 200 forged, expired, foreign, downgraded and misshapen tokens: all refused, nothing changed |
//! | `roles.rs` | API tokens made, rotated and revoked over HTTP; every role against every administrative route |
//! | `recorded.rs` | every administrative act is in the audit; `tidegate audit verify`; `kill -9`; an audit that cannot be written |
//! | `people.rs` | sign-in through a real OpenID Connect provider (`oidc-provider-mock` of PyPI) |
//! | `canary.rs` | planted numbers and secrets are in no log, figure, problem, record or panic |
//!
//! `people.rs` needs the provider: `./verify` installs it and names it in TIDEGATE_OIDC_PROVIDER; without that variable the
//! file checks only what needs no provider, and says so.

mod canary;
mod forged;
#[path = "../support/node.rs"]
mod node;
mod people;
mod recorded;
mod roles;
#[path = "../support/run.rs"]
mod run;
mod talk_of;
mod wire;
