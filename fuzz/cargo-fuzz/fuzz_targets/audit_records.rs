//! libFuzzer wrapper of the target `audit_records`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::security::audit_records(data));
