//! How fast the API may be used: by token, by address, and by failed authentications of an address.
//!
//! Token buckets (`tidegate_model::bucket`) in tables of bounded size; a full bucket is as good as none and is swept away. A
//! valid token is never refused for the failures of its address: behind one proxy everybody has the same address, and tokens
//! of 256 bits are not guessed. IPv6 counts by /64. Forwarded-for headers are not believed. It refuses to know what was asked.

use super::problem::Problem;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use tidegate_model::bucket::Bucket;
use tidegate_model::time::{Millis, Timestamp};
use tokio::time::Instant;

/// Addresses and holders whose rate is known at once.
pub const RATED_MAX: usize = 65_536;

/// A rate: so many a second, so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come back each second.
    pub per_second: u32,
    /// Tokens that may be taken at once.
    pub burst: u32,
}

/// The rates of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests with one administration token.
    pub token: Rate,
    /// Requests from one address.
    pub address: Rate,
    /// Failed authentications from one address.
    pub failures: Rate,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            token: Rate { per_second: 2_000, burst: 4_000 },
            address: Rate { per_second: 4_000, burst: 8_000 },
            failures: Rate { per_second: 1, burst: 20 },
        }
    }
}

struct Keyed<K> {
    rate: Rate,
    buckets: Mutex<HashMap<K, Bucket>>,
}

impl<K: Hash + Eq> Keyed<K> {
    fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Takes one; what is left.
    fn take(&self, key: K, now: Timestamp) -> Result<u64, Millis> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= RATED_MAX && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| !bucket.is_full(now));
            if buckets.len() >= RATED_MAX {
                return Err(Millis(1_000));
            }
        }
        let bucket = buckets.entry(key).or_insert_with(|| Bucket::new(self.rate.per_second, self.rate.burst, now));
        bucket.take(now).map(|()| bucket.left())
    }

    fn len(&self) -> u64 {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }
}

/// The buckets of an API.
pub(super) struct Rates {
    pub(super) limits: RateLimits,
    started: Instant,
    tokens: Keyed<String>,
    addresses: Keyed<IpAddr>,
    failures: Keyed<IpAddr>,
}

impl Rates {
    pub(super) fn new(limits: RateLimits) -> Self {
        Self {
            limits,
            started: Instant::now(),
            tokens: Keyed::new(limits.token),
            addresses: Keyed::new(limits.address),
            failures: Keyed::new(limits.failures),
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// A request from an address.
    pub(super) fn address(&self, address: IpAddr) -> Result<u64, Problem> {
        self.addresses.take(counted(address), self.now()).map_err(|span| limited("requests from this address", span))
    }

    /// A request of a token's holder.
    pub(super) fn token(&self, holder: &str) -> Result<u64, Problem> {
        self.tokens.take(holder.to_owned(), self.now()).map_err(|span| limited("requests with this token", span))
    }

    /// A failed authentication from an address.
    pub(super) fn failure(&self, address: IpAddr) -> Result<u64, Problem> {
        self.failures.take(counted(address), self.now()).map_err(|span| limited("failed authentications from this address", span))
    }

    /// Keys held in the largest of the tables.
    pub(super) fn len(&self) -> u64 {
        self.tokens.len().max(self.addresses.len()).max(self.failures.len())
    }
}

fn limited(what: &str, span: Millis) -> Problem {
    Problem::of("rate-limited", format!("too many {what}; nothing was taken")).after(span)
}

fn counted(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_rate_and_the_table_is_bounded() {
        let keyed = Keyed::new(Rate { per_second: 1, burst: 2 });
        assert_eq!((keyed.take(1, Timestamp(0)), keyed.take(1, Timestamp(0))), (Ok(1), Ok(0)));
        assert_eq!((keyed.take(1, Timestamp(0)), keyed.take(2, Timestamp(0))), (Err(Millis(1_000)), Ok(1)));
        for key in 3..=RATED_MAX {
            assert!(keyed.take(key, Timestamp(0)).is_ok(), "{key}");
        }
        assert_eq!(keyed.take(0, Timestamp(0)), Err(Millis(1_000)), "one above: nobody is forgotten early");
        assert!(keyed.take(0, Timestamp(2_000)).is_ok(), "full buckets are swept");
        assert!(keyed.len() < RATED_MAX as u64);
    }

    #[test]
    fn addresses_count_by_network() {
        let ip = |text: &str| text.parse::<IpAddr>().map(counted).expect("an address");
        assert_eq!(ip("2001:db8:1:2:3::4"), ip("2001:db8:1:2:ffff::1"));
        assert_ne!(ip("2001:db8:1:2::4"), ip("2001:db8:1:3::4"));
        assert_eq!(ip("::ffff:192.0.2.1"), ip("192.0.2.1"));
    }
}
