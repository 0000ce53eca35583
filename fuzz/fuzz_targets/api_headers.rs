//! Makes up bytes for `understudy_fuzz::api_headers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| understudy_fuzz::api_headers(data));
