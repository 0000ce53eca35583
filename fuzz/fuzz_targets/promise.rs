//! Makes up bytes for `understudy_fuzz::promise`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| understudy_fuzz::promise(data));
