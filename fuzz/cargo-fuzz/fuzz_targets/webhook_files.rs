//! libFuzzer wrapper of the target `webhook_files`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::router::webhook_files(data));
