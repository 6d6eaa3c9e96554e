//! The targets, one file a room of the house. Each states the property that it holds its room to.
//!
//! A target never trusts its input and never prints it; it knows the public face of its room only.

pub mod channels;
pub mod core;
pub mod journal;
pub mod model;
pub mod router;
pub mod security;
pub mod sim;
pub mod tenant;
