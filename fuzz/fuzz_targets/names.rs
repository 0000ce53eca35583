//! Makes up bytes for `understudy_fuzz::names`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| understudy_fuzz::names(data));
