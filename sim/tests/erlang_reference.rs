//! Erlang B, C and A against 213 reference rows, every column, within 10⁻¹².
//!
//! `data/erlang_reference.csv` was computed with 50 working digits by an implementation that shares nothing with this crate (its
//! head says how); nothing here can make it agree but agreeing. A table changed in its thirteenth digit must fail.

use tidegate_sim::erlang::{TOLERANCE, check_table};

const TABLE: &str = include_str!("data/erlang_reference.csv");

#[test]
fn all_rows_and_columns_agree_within_a_trillionth() {
    let checked = check_table(TABLE.as_bytes()).expect("the table is well formed");
    for (at, worst) in &checked.worst {
        println!("{at:?} {worst:?}");
    }
    assert_eq!(checked.rows.iter().map(|(model, rows)| (*model, *rows)).collect::<Vec<_>>(), [('A', 117), ('B', 45), ('C', 51)]);
    for (at, worst) in &checked.worst {
        assert!(worst.off <= TOLERANCE, "{at:?}: {worst:?}");
    }
}
