//! Every target over its corpus, then under mutation, as plain tests.
//!
//! `TIDEGATE_FUZZ_SECONDS` is the time of mutation per target (default 2, `./verify` gives 30; 0 runs a small fixed number of
//! inputs), `TIDEGATE_SEED` the seed (printed on failure). A failing input is written to `<target>/fuzz-failures/` and its path
//! printed; put it into `corpus/<target>/`, where it stays. `TIDEGATE_BLESS=1` writes the seeds into the corpus.
//! What this file refuses to know is what a target means.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tidegate_fuzz::mutate::Mutator;
use tidegate_fuzz::seeds::seeds;
use tidegate_fuzz::targets::tenant::{Reach, reach};
use tidegate_fuzz::{TARGETS, Target};

const SECONDS_DEFAULT: u64 = 2;

/// Inputs tried when no time is given, and between two looks at the clock.
const ROUND: usize = 500;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number was expected")))
}

fn corpus_of(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = corpus_of(target);
    let listed = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = listed.flatten().map(|entry| entry.path()).collect();
    // The order of a directory differs between machines; the seed must give the same inputs on each.
    paths.sort();
    paths.into_iter().map(|path| std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).collect()
}

/// Runs one input; on a panic the input is kept as a file and the panic goes on.
fn attempt(target: &Target, data: &[u8], origin: &str) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(data))) else { return };
    let directory =
        std::env::var("CARGO_TARGET_DIR").map_or_else(|_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let directory = directory.join("fuzz-failures");
    let name = data.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3));
    let path = directory.join(format!("{}-{name:016x}", target.name));
    let kept = std::fs::create_dir_all(&directory).and_then(|()| std::fs::write(&path, data));
    eprintln!("{}: {origin}: {} bytes, kept in {} ({kept:?})", target.name, data.len(), path.display());
    resume_unwind(panic);
}

fn campaign(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("no target {name}"));
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    for data in &corpus {
        attempt(target, data, "corpus");
    }
    let seed = number("TIDEGATE_SEED", 1);
    let time = Duration::from_secs(number("TIDEGATE_FUZZ_SECONDS", SECONDS_DEFAULT));
    let mut mutator = Mutator::new(corpus, seed, target.bytes_max);
    let started = Instant::now();
    let mut tried = 0;
    loop {
        for _ in 0..ROUND {
            attempt(target, &mutator.input(), &format!("TIDEGATE_SEED={seed}"));
        }
        tried += ROUND;
        if started.elapsed() >= time {
            break;
        }
    }
    println!("{name}: {tried} mutated inputs in {:.1} s, seed {seed}", started.elapsed().as_secs_f64());
}

macro_rules! campaigns {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            campaign(stringify!($name));
        })*

        #[test]
        fn every_target_has_its_campaign() {
            let listed: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(listed, [$(stringify!($name)),*], "one campaign a target, in the order of TARGETS");
        }
    };
}

campaigns!(
    entry_codec,
    journal_frames,
    journal_damage,
    journal_life,
    policy_text,
    payloads,
    tenant_inputs,
    bank_trace,
    contact_csv,
    scenario_text,
    simulation_results,
    web_frames,
    desk_frames,
    tokens,
    uploads,
    event_records,
    webhook_files,
    event_places,
    file_records,
    trace_headers,
    api_tokens,
    audit_records,
    masking,
    unit_text
);

#[test]
fn the_corpus_holds_every_seed() {
    let bless = std::env::var_os("TIDEGATE_BLESS").is_some();
    for target in TARGETS {
        for (name, seed) in seeds(target.name) {
            let path = corpus_of(target.name).join(format!("seed-{name}"));
            if bless {
                std::fs::create_dir_all(corpus_of(target.name)).expect("the corpus directory is made");
                std::fs::write(&path, &seed).expect("the seed is written");
            }
            let kept = std::fs::read(&path).unwrap_or_default();
            assert!(kept == seed, "{} is missing or old: TIDEGATE_BLESS=1 writes it", path.display());
        }
    }
}

/// The engine finds a planted defect that is some mutations away from the corpus, and does so again with the same seed.
#[test]
fn a_planted_defect_is_found_and_replays() {
    let broken = |data: &[u8]| data.starts_with(b"TG") && data.len() > 6 && data[2..6] == [0xFF; 4];
    let found = |seed| {
        let mut mutator = Mutator::new(vec![b"TG\x01\x00\x00\x00 a body".to_vec()], seed, 64);
        (0..20_000).map(|_| mutator.input()).position(|data| broken(&data))
    };
    assert!(found(1).is_some(), "the planted defect was not found in 20,000 inputs");
    assert_eq!(found(1), found(1));
    assert_ne!(found(1), found(2), "another seed takes another way");
}

/// The seeds of the machine's sequences come far enough to break something: offers, acceptances, withdrawals, exits, swaps, restores.
#[test]
fn the_seeds_reach_the_whole_machine() {
    let all = seeds("tenant_inputs").iter().fold([0; 8], |sum: [u32; 8], (_, data)| {
        let reach = reach(data);
        println!("{reach:?}");
        let Reach { offers, assigned, rescinded, released, exits, deliveries, policies, restores } = reach;
        let one = [offers, assigned, rescinded, released, exits, deliveries, policies, restores];
        std::array::from_fn(|at| sum[at] + one[at])
    });
    assert!(all.iter().all(|count| *count >= 3), "the seeds never get there: {all:?}");
}
