//! Drives a tenant with the rig and keeps the log, so that a test can replay it any way it likes.

use tidegate_core::rig::{Rig, RigConfig};
use tidegate_core::{Guard, Tenant};
use tidegate_model::codec;
use tidegate_model::limits::Limits;
use tidegate_model::output::Output;
use tidegate_model::{Seq, TenantId, Timestamp};

/// A tenant, its population and the log so far.
pub struct Run {
    pub rig: Rig,
    pub tenant: Tenant,
    pub log: Vec<Vec<u8>>,
}

pub fn nightly(normal: usize, nightly: usize) -> usize {
    if std::env::var_os("TIDEGATE_NIGHTLY").is_some() { nightly } else { normal }
}

pub fn seed(default: u64) -> u64 {
    std::env::var("TIDEGATE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(default)
}

pub fn guard() -> Guard {
    Guard(tidegate_matcher::guard::catch_plan)
}

impl Run {
    pub fn new(config: RigConfig, limits: Limits) -> Self {
        let rig = Rig::new(config);
        let mut run = Self { tenant: Tenant::new(config.tenant, limits, guard()), log: Vec::new(), rig };
        for entry in run.rig.bootstrap() {
            run.push(Timestamp(1), entry);
        }
        run
    }

    /// Stamps, keeps and handles one entry; the population sees what came out.
    pub fn push(&mut self, at: Timestamp, mut entry: Vec<u8>) {
        codec::stamp(&mut entry, Seq(self.log.len() as u64 + 1), at);
        apply(&mut self.tenant, &entry, |output| self.rig.observe(output));
        self.log.push(entry);
    }

    pub fn steps(&mut self, count: usize) {
        for _ in 0..count {
            let (at, entry) = self.rig.next();
            self.push(at, entry);
        }
    }
}

/// Handles one stamped entry and hands every output to `see`.
pub fn apply(tenant: &mut Tenant, entry: &[u8], mut see: impl FnMut(&Output)) {
    let entry = codec::decode(entry).expect("the rig encodes what it sends");
    assert_eq!(entry.tenant, tenant.id());
    tenant.handle(entry.at, entry.seq, entry.input);
    while let Some(output) = tenant.poll_output() {
        see(&output);
    }
}

pub fn replay(log: &[Vec<u8>], limits: Limits) -> Tenant {
    let mut tenant = Tenant::new(TenantId(1), limits, guard());
    for entry in log {
        apply(&mut tenant, entry, |_| {});
    }
    tenant
}
