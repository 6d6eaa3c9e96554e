//! libFuzzer wrapper of the target `bank_trace`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::sim::bank_trace(data));
