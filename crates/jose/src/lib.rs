//! JOSE, strictly: JSON Web Signatures in compact serialization (RFC 7515) on the audited primitives of aws-lc.
//!
//! A token that has not been verified shows its header and nothing else; only a signature that holds under one of the
//! verifier's keys opens the payload. What cannot be forgotten cannot be forgotten wrongly:
//!
//! ```
//! use jose::{Algorithm, Signer, SigningKey, UnverifiedJws, Verifier};
//!
//! let key = SigningKey::hmac(Algorithm::HS512, &[7; 64])?;
//! let verifier = Verifier::new(&[Algorithm::HS512], [key.verifying_key()])?;
//! let signer = Signer::new(key, Some("JWT"));
//!
//! let token = signer.sign(br#"{"sub":"42"}"#)?;
//! let verified = UnverifiedJws::parse(token.as_bytes())?.verify(&verifier)?;
//! assert_eq!(verified.payload(), br#"{"sub":"42"}"#);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! The payload of an unverified token is out of reach:
//!
//! ```compile_fail
//! fn claims(token: &jose::UnverifiedJws<'_>) -> &[u8] {
//!     token.payload()
//! }
//! ```
//!
//! No I/O, no clock, no global state: whoever calls passes the time in.

pub mod base64url;
pub mod dangerous;
pub mod error;
pub mod json;

mod algorithm;
mod header;
mod jws;
mod key;

pub use algorithm::Algorithm;
pub use header::Header;
pub use jws::{MAX_TOKEN_LENGTH, Signer, UnverifiedJws, VerifiedJws, Verifier};
pub use key::{SigningKey, VerifyingKey};
