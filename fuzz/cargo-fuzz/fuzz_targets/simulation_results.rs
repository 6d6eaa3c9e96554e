//! libFuzzer wrapper of the target `simulation_results`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::sim::simulation_results(data));
