//! Makes up bytes for `understudy_fuzz::call_line`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| understudy_fuzz::call_line(data));
