//! Benchmarks live in `benches/`; this library is empty on purpose.
//!
//! Each bench prints the peers and the physical limit measured in the same run, CPU and wall, percentiles and the load average,
//! and checks the result before it prints a speed. `docs/TESTING.md` says how to repeat each figure.
#![forbid(unsafe_code)]
