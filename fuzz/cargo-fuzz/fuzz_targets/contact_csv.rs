//! libFuzzer wrapper of the target `contact_csv`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::sim::contact_csv(data));
