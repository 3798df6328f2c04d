//! See `jotd_fuzz::claims`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jotd_fuzz::claims(data));
