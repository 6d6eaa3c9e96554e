//! The channels' contract suite: one binary, so that it links once.
//!
//! [`web`] and [`desk`] drive the real rims over real sockets against [`support`], the contract's reference implementation of
//! the ports ([`signals`]: under a bad network); [`machines`] drives the protocol machines alone, in virtual time, with hostile input. End-to-end claims about
//! the real router are made elsewhere. `TIDEGATE_NIGHTLY=1` raises the counts.

mod blobs;
mod desk;
mod files;
mod machines;
mod signals;
mod support;
mod views;
mod web;
