//! libFuzzer wrapper of the target `unit_text`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::sim::unit_text(data));
