//! libFuzzer wrapper of the target `desk_frames`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::channels::desk_frames(data));
