//! libFuzzer wrapper of the target `entry_codec`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::model::entry_codec(data));
