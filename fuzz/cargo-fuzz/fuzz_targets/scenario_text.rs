//! libFuzzer wrapper of the target `scenario_text`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::sim::scenario_text(data));
