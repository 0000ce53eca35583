//! Makes up bytes for `understudy_fuzz::status_request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| understudy_fuzz::status_request(data));
