//! libFuzzer wrapper of the target `journal_frames`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::journal::journal_frames(data));
