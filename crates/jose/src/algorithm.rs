//! The algorithms (RFC 7518 section 3, RFC 8037, RFC 9864, RFC 9964): one table, one row each.
//!
//! `none` is not among them and cannot be.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm};
use aws_lc_rs::signature::{PqdsaSigningAlgorithm, PqdsaVerificationAlgorithm, RsaParameters, RsaSignatureEncoding};

/// A signature algorithm by its registered name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::upper_case_acronyms, reason = "the registered names")]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256 (RFC 7518 section 3.2).
    HS256,
    /// HMAC with SHA-384 (RFC 7518 section 3.2).
    HS384,
    /// HMAC with SHA-512 (RFC 7518 section 3.2).
    HS512,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 section 3.3).
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384 (RFC 7518 section 3.3).
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512 (RFC 7518 section 3.3).
    RS512,
    /// RSASSA-PSS with SHA-256 and a salt of 32 bytes (RFC 7518 section 3.5).
    PS256,
    /// RSASSA-PSS with SHA-384 and a salt of 48 bytes (RFC 7518 section 3.5).
    PS384,
    /// RSASSA-PSS with SHA-512 and a salt of 64 bytes (RFC 7518 section 3.5).
    PS512,
    /// ECDSA on P-256 with SHA-256 (RFC 7518 section 3.4).
    ES256,
    /// ECDSA on P-384 with SHA-384 (RFC 7518 section 3.4).
    ES384,
    /// ECDSA on P-521 with SHA-512 (RFC 7518 section 3.4).
    ES512,
    /// Ed25519 under its polymorphic name (RFC 8037 section 3.1); Ed448 is not meant here.
    EdDSA,
    /// Ed25519 under its fully-specified name (RFC 9864 section 2.2).
    Ed25519,
    /// ML-DSA-44 (RFC 9964).
    #[allow(non_camel_case_types, reason = "the registered name")]
    ML_DSA_44,
    /// ML-DSA-65 (RFC 9964).
    #[allow(non_camel_case_types, reason = "the registered name")]
    ML_DSA_65,
    /// ML-DSA-87 (RFC 9964).
    #[allow(non_camel_case_types, reason = "the registered name")]
    ML_DSA_87,
}

/// The curves of RFC 7518 section 6.2.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Curve {
    /// NIST P-256, secp256r1.
    P256,
    /// NIST P-384, secp384r1.
    P384,
    /// NIST P-521, secp521r1.
    P521,
}

impl Curve {
    /// Every curve.
    pub(crate) const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    /// The registered name (`crv`).
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// The length of a coordinate, and of a private key, in bytes.
    pub(crate) fn coordinate_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// What an algorithm is made of: what signs, and what verifies.
#[derive(Clone, Copy)]
pub(crate) enum Primitive {
    Hmac(&'static hmac::Algorithm),
    Rsa(&'static RsaSignatureEncoding, &'static RsaParameters),
    Ecdsa(Curve, &'static EcdsaSigningAlgorithm, &'static EcdsaVerificationAlgorithm),
    Ed25519,
    MlDsa(&'static PqdsaSigningAlgorithm, &'static PqdsaVerificationAlgorithm),
}

struct Row {
    algorithm: Algorithm,
    name: &'static str,
    primitive: Primitive,
}

#[rustfmt::skip]
static TABLE: [Row; 17] = {
    use signature as s;
    use Algorithm as A;
    use Primitive::{Ecdsa, Ed25519, Hmac, MlDsa, Rsa};
    const fn row(algorithm: A, name: &'static str, primitive: Primitive) -> Row {
        Row { algorithm, name, primitive }
    }
    [
        row(A::HS256, "HS256", Hmac(&hmac::HMAC_SHA256)),
        row(A::HS384, "HS384", Hmac(&hmac::HMAC_SHA384)),
        row(A::HS512, "HS512", Hmac(&hmac::HMAC_SHA512)),
        row(A::RS256, "RS256", Rsa(&s::RSA_PKCS1_SHA256, &s::RSA_PKCS1_2048_8192_SHA256)),
        row(A::RS384, "RS384", Rsa(&s::RSA_PKCS1_SHA384, &s::RSA_PKCS1_2048_8192_SHA384)),
        row(A::RS512, "RS512", Rsa(&s::RSA_PKCS1_SHA512, &s::RSA_PKCS1_2048_8192_SHA512)),
        row(A::PS256, "PS256", Rsa(&s::RSA_PSS_SHA256, &s::RSA_PSS_2048_8192_SHA256)),
        row(A::PS384, "PS384", Rsa(&s::RSA_PSS_SHA384, &s::RSA_PSS_2048_8192_SHA384)),
        row(A::PS512, "PS512", Rsa(&s::RSA_PSS_SHA512, &s::RSA_PSS_2048_8192_SHA512)),
        row(A::ES256, "ES256", Ecdsa(Curve::P256, &s::ECDSA_P256_SHA256_FIXED_SIGNING, &s::ECDSA_P256_SHA256_FIXED)),
        row(A::ES384, "ES384", Ecdsa(Curve::P384, &s::ECDSA_P384_SHA384_FIXED_SIGNING, &s::ECDSA_P384_SHA384_FIXED)),
        row(A::ES512, "ES512", Ecdsa(Curve::P521, &s::ECDSA_P521_SHA512_FIXED_SIGNING, &s::ECDSA_P521_SHA512_FIXED)),
        row(A::EdDSA, "EdDSA", Ed25519),
        row(A::Ed25519, "Ed25519", Ed25519),
        row(A::ML_DSA_44, "ML-DSA-44", MlDsa(&s::ML_DSA_44_SIGNING, &s::ML_DSA_44)),
        row(A::ML_DSA_65, "ML-DSA-65", MlDsa(&s::ML_DSA_65_SIGNING, &s::ML_DSA_65)),
        row(A::ML_DSA_87, "ML-DSA-87", MlDsa(&s::ML_DSA_87_SIGNING, &s::ML_DSA_87)),
    ]
};

impl Algorithm {
    /// Every algorithm, in the order of the table.
    ///
    /// ```
    /// let names: Vec<_> = jose::Algorithm::all().map(|algorithm| algorithm.name()).collect();
    /// assert!(names.contains(&"ES256") && names.contains(&"ML-DSA-65") && !names.contains(&"none"));
    /// ```
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.algorithm)
    }

    /// The algorithm of this registered name, which is case-sensitive (RFC 7515 section 4.1.1).
    #[must_use]
    pub fn find_by_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.algorithm)
    }

    /// The registered name, as it stands in a header.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Whether whoever can verify can also sign.
    #[must_use]
    pub fn is_symmetric(self) -> bool {
        matches!(self.primitive(), Primitive::Hmac(_))
    }

    /// Whether its keys are RSA keys, which come in several sizes.
    #[must_use]
    pub fn is_rsa(self) -> bool {
        matches!(self.primitive(), Primitive::Rsa(..))
    }

    pub(crate) fn primitive(self) -> Primitive {
        self.row().primitive
    }

    #[allow(clippy::indexing_slicing, reason = "a test holds the table to the order of the enum")]
    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_stands_at_the_place_of_its_algorithm() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.algorithm as usize, index);
            assert_eq!(Algorithm::find_by_name(row.name), Some(row.algorithm));
            assert_eq!(format!("{:?}", row.algorithm), row.name.replace('-', "_"));
        }
    }

    #[test]
    fn none_is_not_an_algorithm() {
        for name in ["none", "None", "NONE", "nOnE", "", "hs512", "HS512 ", "ES256K", "Ed448", "RSA-OAEP", "A128GCM"] {
            assert_eq!(Algorithm::find_by_name(name), None, "{name:?}");
        }
    }
}
