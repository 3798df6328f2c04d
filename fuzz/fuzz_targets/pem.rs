//! See `jotd_fuzz::pem`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jotd_fuzz::pem(data));
