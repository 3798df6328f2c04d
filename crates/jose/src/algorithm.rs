//! The algorithms (RFC 7518 section 3): one table, one row each. `none` is not among them and cannot be.

use std::fmt;

use aws_lc_rs::hmac;

/// A signature algorithm by its registered name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::upper_case_acronyms, reason = "the registered names")]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
}

/// What an algorithm is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Primitive {
    /// A MAC; a key has at least as many bytes as its output (RFC 7518 section 3.2).
    Hmac(&'static hmac::Algorithm),
}

struct Row {
    algorithm: Algorithm,
    name: &'static str,
    primitive: Primitive,
}

static TABLE: [Row; 3] = [
    Row { algorithm: Algorithm::HS256, name: "HS256", primitive: Primitive::Hmac(&hmac::HMAC_SHA256) },
    Row { algorithm: Algorithm::HS384, name: "HS384", primitive: Primitive::Hmac(&hmac::HMAC_SHA384) },
    Row { algorithm: Algorithm::HS512, name: "HS512", primitive: Primitive::Hmac(&hmac::HMAC_SHA512) },
];

impl Algorithm {
    /// Every algorithm, in the order of the table.
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
        for name in ["none", "None", "NONE", "nOnE", "", "hs512", "HS512 "] {
            assert_eq!(Algorithm::find_by_name(name), None, "{name:?}");
        }
    }
}
