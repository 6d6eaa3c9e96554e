//! libFuzzer wrapper of the target `uploads`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::channels::uploads(data));
