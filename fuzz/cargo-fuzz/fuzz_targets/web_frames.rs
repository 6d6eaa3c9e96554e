//! libFuzzer wrapper of the target `web_frames`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::channels::web_frames(data));
