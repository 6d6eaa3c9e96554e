//! libFuzzer wrapper of the target `event_places`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::router::event_places(data));
