//! libFuzzer wrapper of the target `policy_text`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::core::policy_text(data));
