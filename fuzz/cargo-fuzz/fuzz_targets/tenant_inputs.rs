//! libFuzzer wrapper of the target `tenant_inputs`; written by `wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::targets::tenant::tenant_inputs(data));
