//! `tidegate merge`: results of shards joined into the one that a single machine would have given.

use super::simulate::{outcome, print};
use crate::cli::Merge;
use crate::failure::Failure;
use anyhow::anyhow;
use tidegate_sim::run::Outcome;

pub fn run(args: &Merge) -> Result<(), Failure> {
    let outcomes = args.results.iter().map(|path| outcome(path)).collect::<Result<Vec<_>, _>>()?;
    let whole = Outcome::merge(outcomes).map_err(|error| Failure::Input(anyhow!(error)))?;
    let missing: Vec<u64> = (0..whole.replications.last().map_or(0, |row| row.number))
        .filter(|number| whole.replications.binary_search_by_key(number, |row| row.number).is_err())
        .collect();
    if let Some(first) = missing.first() {
        eprintln!(
            "{} replications are in none of the files, the first is number {first}: the result is of the others",
            missing.len()
        );
    }
    print(&whole, args.json)
}
