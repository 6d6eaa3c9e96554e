//! libFuzzer wrapper of the target `api_tokens`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::security::api_tokens(data));
