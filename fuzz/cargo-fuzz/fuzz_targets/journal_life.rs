//! libFuzzer wrapper of the target `journal_life`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::journal::journal_life(data));
