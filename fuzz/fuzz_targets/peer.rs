//! Makes up bytes for `understudy_fuzz::message::`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| understudy_fuzz::message::<understudy_wire::PeerSaid>(data));
