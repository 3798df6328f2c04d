//! RSA moduli that can be factored: by dividing by small primes, or because they come from a flawed generator that was
//! in many smart cards (ROCA, CVE-2017-15361).
//!
//! Nemec, Sys, Svenda, Klinec, Matyas: "The Return of Coppersmith's Attack", CCS 2017, section 3. Its primes are
//! k·M + (65537^a mod M) with M a product of small primes, so modulo each of those the modulus is a power of 65537. For
//! a sound modulus that happens by chance less than once in 2^27 already for the primes used here.

const PRIMES: [u64; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Whether the modulus (big-endian) has the fingerprint.
pub(crate) fn has_fingerprint(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|&prime| {
        let remainder = remainder(modulus, prime);
        let mut power = 1;
        // The powers repeat after fewer steps than the prime.
        (0..prime).any(|_| {
            power = power * 65537 % prime;
            power == remainder
        })
    })
}

/// Whether a small odd prime divides the modulus, which then is no product of two large ones.
pub(crate) fn has_small_factor(modulus: &[u8]) -> bool {
    PRIMES.iter().any(|&prime| remainder(modulus, prime) == 0)
}

fn remainder(modulus: &[u8], prime: u64) -> u64 {
    modulus.iter().fold(0, |remainder, &byte| (remainder << 8 | u64::from(byte)) % prime)
}
