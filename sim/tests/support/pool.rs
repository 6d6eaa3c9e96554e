//! A pool of equal agents, first come first served, exponential in everything: what closed forms are held against.
//!
//! A contact that finds nobody free waits for the earliest agent; if its patience ends before that it leaves, and takes no agent. For
//! first come, first served that is exact, and one contact costs one heap operation. Streams are the kernel's, one a purpose, so that
//! two pools with the same replication see the same customers. It refuses to know routing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use tidegate_sim::kernel::sample::standard_exponential;
use tidegate_sim::kernel::{Mrg32k3a, Purpose, Streams};

/// One pool; time in handle times.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// Agents.
    pub agents: usize,
    /// Contacts in a handle time.
    pub load: f64,
    /// Mean patience; none for nobody leaves.
    pub patience: Option<f64>,
}

/// What one contact met.
#[derive(Clone, Copy, Debug)]
pub struct Met {
    /// How long it waited until it was served or left.
    pub wait: f64,
    /// Whether it was served.
    pub served: bool,
}

/// `count` contacts of one replication, after `warm_up` others, in order of arrival.
pub fn contacts(pool: Pool, seed: u64, replication: u64, warm_up: usize, count: usize) -> Vec<Met> {
    let streams = Streams::new(Mrg32k3a::from_seed(seed), replication);
    let [mut arrivals, mut handle, mut patience] =
        [Purpose::Arrivals, Purpose::Handle, Purpose::Patience].map(|purpose| streams.for_(purpose, 0));
    // Times are positive, so their bits order as they do.
    let mut free: BinaryHeap<Reverse<u64>> = std::iter::repeat_n(Reverse(0_f64.to_bits()), pool.agents).collect();
    let mut now = 0.0;
    let mut met = Vec::with_capacity(count);
    for at in 0..warm_up + count {
        now += standard_exponential(arrivals.next_u01_53()) / pool.load;
        let (service, limit) = (standard_exponential(handle.next_u01_53()), standard_exponential(patience.next_u01_53()));
        let limit = pool.patience.map_or(f64::INFINITY, |mean| mean * limit);
        let mut earliest = free.peek_mut().expect("a pool has agents");
        let wait = (f64::from_bits(earliest.0) - now).max(0.0);
        let served = wait <= limit;
        if served {
            *earliest = Reverse((now + wait + service).to_bits());
        }
        drop(earliest);
        if at >= warm_up {
            met.push(Met { wait: wait.min(limit), served });
        }
    }
    met
}
