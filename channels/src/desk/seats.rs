//! Seats of this gateway: who holds each, its resume token, and the lease that runs while nobody does.
//!
//! A seat is not a socket. The table is a sharded map; each seat has one lock, held across the port call that tells the
//! router about its link, so that `LinkDown`, `LinkUp` and `LeaseEnd` reach the router in the order in which they happened.
//! A desk's connection is a random number: whoever finds another number in the entry has been replaced and does nothing more.
//! Resume tokens are 256 random bits, good once; only their digest is kept, and it is compared in constant time.

use crate::gauges::Gauge;
use dashmap::DashMap;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tidegate_model::{SeatId, TenantId};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The state of a seat's link.
#[derive(Debug, Default)]
pub(crate) struct Link {
    /// The desk's connection that holds the seat, or held it last.
    pub connection: u128,
    /// Whether that connection lives.
    pub live: bool,
    /// Whether the router knows the seat as signed in.
    pub signed_in: bool,
    /// Counts what was told to the router for this connection.
    pub step: u32,
    resume: Option<[u8; 32]>,
    /// The entry has left the table: look it up again.
    pub gone: bool,
}

impl Link {
    /// Makes a new resume token; the old one is void.
    pub(crate) fn renew(&mut self) -> Result<String, getrandom::Error> {
        let mut bits = [0_u8; 32];
        getrandom::fill(&mut bits)?;
        let token: String = bits.iter().map(|byte| format!("{byte:02x}")).collect();
        self.resume = Some(Sha256::digest(token.as_bytes()).into());
        Ok(token)
    }

    /// Whether a token is the one.
    pub(crate) fn resumes(&self, token: &str) -> bool {
        let found: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        self.signed_in && self.resume.is_some_and(|kept| kept.ct_eq(&found).into())
    }
}

/// A seat's entry.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    link: Arc<Mutex<Link>>,
}

impl Seat {
    /// The seat's lock.
    pub(crate) async fn lock(&self) -> OwnedMutexGuard<Link> {
        Arc::clone(&self.link).lock_owned().await
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct Seats {
    seats: DashMap<(TenantId, SeatId), Arc<Seat>>,
    limit: usize,
}

impl Seats {
    pub(crate) fn new(limit: usize) -> Self {
        Self { seats: DashMap::new(), limit }
    }

    /// The seat's entry, made when there is room.
    pub(crate) fn entry(&self, tenant: TenantId, seat: SeatId) -> Option<Arc<Seat>> {
        if let Some(found) = self.seats.get(&(tenant, seat)) {
            return Some(Arc::clone(found.value()));
        }
        // Some that race may pass the limit together: it guards memory, not a promise.
        if self.seats.len() >= self.limit {
            return None;
        }
        Some(Arc::clone(self.seats.entry((tenant, seat)).or_default().value()))
    }

    /// Drops the entry; the holder of its lock marks it gone.
    pub(crate) fn remove(&self, tenant: TenantId, seat: SeatId, link: &mut Link) {
        link.gone = true;
        self.seats.remove(&(tenant, seat));
    }

    pub(crate) fn gauge(&self, name: &'static str) -> Gauge {
        Gauge { name, used: self.seats.len(), limit: self.limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resume_token_is_good_once() {
        let mut link = Link { signed_in: true, ..Link::default() };
        assert!(!link.resumes(""));
        let first = link.renew().expect("entropy");
        assert!(link.resumes(&first));
        let second = link.renew().expect("entropy");
        assert!(!link.resumes(&first) && link.resumes(&second));
        link.signed_in = false;
        assert!(!link.resumes(&second));
    }
}
