//! JOSE, strictly: JSON Web Signatures, Keys and Tokens (RFC 7515, 7517, 7518, 7519, 8037, 8725, 9864, 9964) on the
//! audited primitives of aws-lc.
//!
//! A token that has not been verified shows its header and nothing else; only a signature that holds under one of the
//! verifier's keys opens the payload, and only a [`ClaimsPolicy`] turns a payload into claims. What cannot be forgotten
//! cannot be forgotten wrongly:
//!
//! ```
//! use std::time::Duration;
//! use jose::{Algorithm, Claims, ClaimsPolicy, Jwk, NumericDate, Signer, UnverifiedJws, Verifier};
//!
//! let key = Jwk::generate(Algorithm::ES256)?;
//! let now = NumericDate::from_seconds(1_800_000_000); // whoever calls tells the time
//!
//! // The issuer signs …
//! let signer = Signer::new(key.signing_key(Algorithm::ES256)?, Some("JWT"))?;
//! let claims = Claims::new().issuer("https://issuer.example").audience("api").subject("42");
//! let token = signer.sign(&claims.issued_at(now).expires_at(now + Duration::from_secs(900)).to_json())?;
//!
//! // … and whoever has the public key verifies.
//! let verifier = Verifier::from_jwk(&key.public()?, &[Algorithm::ES256])?;
//! let policy = ClaimsPolicy::new().issuer("https://issuer.example").audience("api");
//! let verified = UnverifiedJws::parse(token.as_bytes())?.verify(&verifier)?;
//! let claims = policy.validate(&verified, now)?;
//! assert_eq!(claims.subject(), Some("42"));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! The payload of an unverified token is out of reach:
//!
//! ```compile_fail
//! fn payload(token: &jose::UnverifiedJws<'_>) -> &[u8] {
//!     token.payload()
//! }
//! ```
//!
//! A key serves the one algorithm that it is bound to, and there is no algorithm `none`:
//!
//! ```compile_fail
//! let algorithm = jose::Algorithm::None;
//! ```
//!
//! No I/O, no clock, no global state. No input makes it panic; what is larger than [`MAX_TOKEN_LENGTH`] or
//! [`MAX_JWK_LENGTH`], or nested deeper than [`json::MAX_DEPTH`], is refused before any work is done. Signatures and
//! key generation draw randomness from the crypto library.

pub mod base64url;
pub mod dangerous;
pub mod error;
pub mod json;

mod algorithm;
mod claims;
mod der;
mod edwards;
mod generate;
mod header;
mod json_reader;
mod json_writer;
mod jwk;
mod jwk_set;
mod jws;
mod jwt;
mod key;
mod material;
mod numeric_date;
mod pem;
mod policy;
mod report;
mod roca;
mod signer;
mod verifier;

pub use algorithm::Algorithm;
pub use claims::{Audience, VerifiedClaims, check_registered_claims};
pub use header::Header;
pub use jwk::{Jwk, MAX_JWK_LENGTH};
pub use jwk_set::{JwkSet, SkippedKey};
pub use jws::{MAX_TOKEN_LENGTH, UnverifiedJws, VerifiedJws};
pub use jwt::Claims;
pub use key::{SigningKey, VerifyingKey};
pub use numeric_date::NumericDate;
pub use policy::ClaimsPolicy;
pub use report::{Check, Outcome, Report, Spoken};
pub use signer::Signer;
pub use verifier::Verifier;
