//! libFuzzer wrapper of the target `event_records`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::router::event_records(data));
