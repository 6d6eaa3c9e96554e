//! libFuzzer wrapper of the target `trace_headers`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::router::trace_headers(data));
