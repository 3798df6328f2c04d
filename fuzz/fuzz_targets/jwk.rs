//! See `jotd_fuzz::jwk`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jotd_fuzz::jwk(data));
