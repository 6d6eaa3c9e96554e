//! libFuzzer wrapper of the target `file_records`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::router::file_records(data));
