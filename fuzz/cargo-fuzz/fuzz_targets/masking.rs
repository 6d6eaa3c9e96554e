//! libFuzzer wrapper of the target `masking`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::security::masking(data));
