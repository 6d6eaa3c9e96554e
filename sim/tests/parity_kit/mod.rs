//! A cell of three tenants run live, so that parity tests have a log and the decisions that were made while it was written.
//!
//! The live side drives bare `Tenant`s and knows nothing of the twin under test. Three seeded populations with mischief
//! (repeats, forgeries, stale commands) act in one log; abandonments, acceptances and expiries cross; one tenant's policy is
//! swapped on the way. `TIDEGATE_SEED` replays a seed, `TIDEGATE_NIGHTLY=1` raises the counts.

use std::collections::BTreeMap;
use tidegate_core::rig::{OTHER_POLICY, Rig, RigConfig};
use tidegate_core::{Digests, Guard, Ledger, Tenant};
use tidegate_model::codec;
use tidegate_model::input::{Admin, Input};
use tidegate_model::limits::Limits;
use tidegate_model::output::Output;
use tidegate_model::record::DecisionRecord;
use tidegate_model::{Seq, TenantId, Timestamp};
use tidegate_sim::twin::EntryLog;

pub const TENANTS: u32 = 3;

pub fn nightly(normal: usize, nightly: usize) -> usize {
    if std::env::var("TIDEGATE_NIGHTLY").is_ok_and(|value| value == "1") { nightly } else { normal }
}

pub fn seed() -> u64 {
    std::env::var("TIDEGATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1999)
}

/// Limits of the live side: nothing is refused for want of room in the backlog, whatever the fuel.
pub const LIMITS: Limits = Limits { pending_inputs: 1 << 20, ..Limits::SMALL };

/// Machines driven by hand.
#[derive(Default)]
pub struct Machines {
    pub tenants: BTreeMap<TenantId, Tenant>,
    pub decisions: BTreeMap<TenantId, Vec<DecisionRecord>>,
}

/// What two runs are compared by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub digests: Digests,
    pub full_digest: u64,
    pub ledger: Ledger,
    pub decisions: Vec<u64>,
}

impl Machines {
    /// Handles an entry at `at`; `configured` stands in for the limits that the log says.
    pub fn handle(&mut self, at: Timestamp, bytes: &[u8], configured: Option<Limits>, mut see: impl FnMut(&Output)) {
        let entry = codec::decode(bytes).expect("own entry");
        let input = match entry.input {
            Input::Admin(Admin::Limits(limits)) => Input::Admin(Admin::Limits(configured.unwrap_or(limits))),
            other => other,
        };
        let tenant = self.tenants.entry(entry.tenant).or_insert_with(|| {
            let Input::Admin(Admin::Limits(limits)) = input else { panic!("a tenant begins with its limits") };
            Tenant::new(entry.tenant, limits, Guard(tidegate_matcher::guard::catch_plan))
        });
        tenant.handle(at, entry.seq, input);
        while let Some(output) = tenant.poll_output() {
            if let Output::Decision(record) = &output {
                self.decisions.entry(entry.tenant).or_default().push(*record);
            }
            see(&output);
        }
    }

    pub fn seen(&self) -> BTreeMap<TenantId, Seen> {
        let of = |(id, tenant): (&TenantId, &Tenant)| {
            let decisions = self.decisions.get(id).map(|all| all.iter().map(DecisionRecord::digest).collect());
            let seen = Seen {
                digests: tenant.digests(),
                full_digest: tenant.full_digest(),
                ledger: tenant.ledger(),
                decisions: decisions.unwrap_or_default(),
            };
            (*id, seen)
        };
        self.tenants.iter().map(of).collect()
    }
}

/// A live run.
pub struct Live {
    pub log: EntryLog,
    pub seen: BTreeMap<TenantId, Seen>,
    pub decisions: BTreeMap<TenantId, Vec<DecisionRecord>>,
}

/// Runs the three tenants for `inputs` inputs.
pub fn live(inputs: usize) -> Live {
    let mut rigs: Vec<Rig> = (1..=TENANTS)
        .map(|tenant| {
            let mut config = RigConfig::small(seed() + u64::from(tenant));
            config.tenant = TenantId(tenant);
            config.seats = 10 * tenant;
            Rig::new(config)
        })
        .collect();
    let mut machines = Machines::default();
    let mut log = EntryLog::new();
    let mut now = Timestamp(1);
    let mut send = |at: Timestamp, mut entry: Vec<u8>, rig: &mut Rig| {
        now = now.max(at);
        codec::stamp(&mut entry, Seq(log.len() as u64 + 1), now);
        log.push(&entry);
        machines.handle(now, &entry, None, |output| rig.observe(output));
    };
    for (rig, tenant) in rigs.iter_mut().zip(1..) {
        let mut first = Vec::new();
        codec::encode(&mut first, TenantId(tenant), &Input::Admin(Admin::Limits(LIMITS)));
        send(Timestamp(1), first, rig);
        for entry in rig.bootstrap() {
            send(Timestamp(1), entry, rig);
        }
    }
    for n in 0..inputs {
        // Whoever is furthest behind acts next: their entries interleave as their times do.
        let next = (0..rigs.len()).min_by_key(|place| rigs[*place].now()).expect("three of them");
        let (at, entry) = rigs[next].next();
        send(at, entry, &mut rigs[next]);
        if n == inputs / 2 {
            let (at, entry) = (rigs[1].now(), rigs[1].policy_entry(OTHER_POLICY, 7));
            send(at, entry, &mut rigs[1]);
        }
    }
    Live { seen: machines.seen(), decisions: machines.decisions, log }
}
