//! See `jotd_fuzz::jws`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jotd_fuzz::jws(data));
