//! Keys as PEM (RFC 7468): private ones as PKCS#8 (RFC 5958), public ones as SubjectPublicKeyInfo (RFC 5280).
//!
//! One key, one block. RSA as RFC 8017 appendix A.1, EC as RFC 5915 and 5480, Ed25519 as RFC 8410, ML-DSA as RFC 9881
//! (the seed is needed). Shared secrets have no PEM.

use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, PqdsaKeyPair};
use zeroize::Zeroizing;

use crate::algorithm::{Algorithm, Curve, Primitive};
use crate::base64url;
use crate::der::{self, BIT_STRING, INTEGER, NULL, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE};
use crate::error::{JwkError, KeyError, PemError};
use crate::jwk::{Jwk, MAX_JWK_LENGTH};
use crate::material::{Material, RsaPrivate, Secret};

const PUBLIC: &str = "PUBLIC KEY";
const PRIVATE: &str = "PRIVATE KEY";

/// Context tag 0, primitive and constructed, and 1, constructed.
const SEED: u8 = 0x80;
const PARAMETERS: u8 = 0xa0;
const EC_PUBLIC: u8 = 0xa1;
/// Attributes and the public key of a OneAsymmetricKey (RFC 5958).
const ATTRIBUTES: u8 = 0xa0;
const ONE_ASYMMETRIC_PUBLIC: u8 = 0x81;

/// rsaEncryption, id-ecPublicKey, id-Ed25519.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// The object identifiers of the curves.
const CURVES: [(Curve, &[u8]); 3] = [
    (Curve::P256, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]),
    (Curve::P384, &[0x2b, 0x81, 0x04, 0x00, 0x22]),
    (Curve::P521, &[0x2b, 0x81, 0x04, 0x00, 0x23]),
];

/// The object identifiers of ML-DSA (RFC 9881 section 2).
const ML_DSA: [(Algorithm, &[u8]); 3] = [
    (Algorithm::ML_DSA_44, &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x11]),
    (Algorithm::ML_DSA_65, &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x12]),
    (Algorithm::ML_DSA_87, &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x13]),
];

impl Jwk {
    /// Reads a key from PEM. It has no `kid`, and an `alg` only where its kind has one.
    ///
    /// # Errors
    /// [`PemError`] with the reason.
    ///
    /// ```
    /// let key = jose::Jwk::generate(jose::Algorithm::ES256)?;
    /// let pem = key.public()?.to_pem()?;
    /// assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n"));
    /// assert_eq!(jose::Jwk::from_pem(&pem)?.thumbprint(), key.thumbprint());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_pem(text: &str) -> Result<Self, PemError> {
        let (label, bytes) = read_block(text)?;
        let material = match label {
            PUBLIC => read_public(&bytes)?,
            PRIVATE => read_private(&bytes)?,
            _ => return Err(PemError::Label),
        };
        let algorithm = if let Material::Akp { algorithm, .. } = &material { Some(*algorithm) } else { None };
        Self::new(material, algorithm).map_err(|error| match error {
            JwkError::Key(error) => PemError::Key(error),
            _ => PemError::Der,
        })
    }

    /// The key as PEM: a private key as PKCS#8, a public one as SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`KeyError::NoPublicPart`] for a shared secret, which has no PEM.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let (label, bytes) = match write_private(&self.material)? {
            Some(bytes) => (PRIVATE, bytes),
            None => (PUBLIC, write_public(&self.material)?),
        };
        let base64 = Zeroizing::new(base64url::encode(&bytes));
        let mut text = Zeroizing::new(String::with_capacity(base64.len() * 66 / 64 + 100));
        text.push_str(&format!("-----BEGIN {label}-----\n"));
        let padding = std::iter::repeat_n('=', (4 - base64.len() % 4) % 4);
        let standard = base64.chars().map(|char| match char {
            '-' => '+',
            '_' => '/',
            char => char,
        });
        for (column, char) in standard.chain(padding).enumerate() {
            if column > 0 && column % 64 == 0 {
                text.push('\n');
            }
            text.push(char);
        }
        text.push_str(&format!("\n-----END {label}-----\n"));
        Ok(text)
    }
}

/// The label and the bytes of the one block in `text`. What stands around it is not looked at.
fn read_block(text: &str) -> Result<(&str, Secret), PemError> {
    if text.len() > MAX_JWK_LENGTH {
        return Err(PemError::TooLong);
    }
    let (_, rest) = text.split_once("-----BEGIN ").ok_or(PemError::NoBlock)?;
    let (label, rest) = rest.split_once("-----").ok_or(PemError::NoBlock)?;
    let (body, rest) = rest.split_once("-----END ").ok_or(PemError::NoBlock)?;
    let rest = rest.strip_prefix(label).and_then(|rest| rest.strip_prefix("-----")).ok_or(PemError::NoBlock)?;
    if rest.contains("-----BEGIN ") {
        return Err(PemError::SeveralBlocks);
    }
    let translated = body.bytes().filter(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).map(|byte| match byte {
        b'+' => b'-',
        b'/' => b'_',
        // They belong to the other alphabet.
        b'-' | b'_' => b'!',
        byte => byte,
    });
    // As large as it can get from the start: a buffer that grows leaves copies behind.
    let mut base64 = Zeroizing::new(Vec::with_capacity(body.len()));
    base64.extend(translated);
    let padding = base64.iter().rev().take_while(|byte| **byte == b'=').count();
    let (base64, _) = base64.split_at(base64.len() - padding);
    if padding != (4 - base64.len() % 4) % 4 {
        return Err(PemError::Encoding);
    }
    let bytes = base64url::decode(base64).map_err(|_| PemError::Encoding)?;
    Ok((label, Zeroizing::new(bytes)))
}

/// What an AlgorithmIdentifier says.
enum Kind {
    Rsa,
    Ec(Curve),
    Ed25519,
    MlDsa(Algorithm),
}

fn read_kind(content: &[u8]) -> Result<Kind, PemError> {
    let mut reader = Reader::new(content);
    let kind = match reader.element(OBJECT_IDENTIFIER)? {
        RSA => {
            if !reader.element(NULL)?.is_empty() {
                return Err(PemError::Der);
            }
            Kind::Rsa
        }
        EC => Kind::Ec(find_curve(reader.element(OBJECT_IDENTIFIER)?)?),
        ED25519 => Kind::Ed25519,
        other => Kind::MlDsa(find(ML_DSA, other).ok_or(PemError::UnknownKey)?),
    };
    reader.end()?;
    Ok(kind)
}

fn find<T: Copy>(table: [(T, &[u8]); 3], identifier: &[u8]) -> Option<T> {
    table.iter().find(|(_, known)| *known == identifier).map(|(value, _)| *value)
}

fn find_curve(identifier: &[u8]) -> Result<Curve, PemError> {
    find(CURVES, identifier).ok_or(PemError::UnknownKey)
}

fn read_public(bytes: &[u8]) -> Result<Material, PemError> {
    let mut reader = Reader::sequence(bytes)?;
    let kind = read_kind(reader.element(SEQUENCE)?)?;
    // The first byte counts the bits that are left over, and keys leave none.
    let key = reader.element(BIT_STRING)?.strip_prefix(&[0]).ok_or(PemError::Der)?;
    reader.end()?;
    Ok(match kind {
        Kind::Rsa => {
            let mut reader = Reader::sequence(key)?;
            let (n, e) = (reader.unsigned()?.to_vec(), reader.unsigned()?.to_vec());
            reader.end()?;
            Material::Rsa { n, e, private: None }
        }
        Kind::Ec(curve) => Material::Ec { curve, point: uncompressed(curve, key)?, d: None },
        Kind::Ed25519 => Material::Okp { x: key.try_into().map_err(|_| PemError::Der)?, d: None },
        Kind::MlDsa(algorithm) => Material::Akp { algorithm, public: key.to_vec(), seed: None },
    })
}

fn uncompressed(curve: Curve, point: &[u8]) -> Result<Vec<u8>, PemError> {
    if point.first() != Some(&4) || point.len() != 1 + 2 * curve.coordinate_len() {
        return Err(PemError::Der);
    }
    Ok(point.to_vec())
}

pub(crate) fn read_private(pkcs8: &[u8]) -> Result<Material, PemError> {
    let mut reader = Reader::sequence(pkcs8)?;
    if !matches!(reader.element(INTEGER)?, [0 | 1]) {
        return Err(PemError::Der);
    }
    let kind = read_kind(reader.element(SEQUENCE)?)?;
    let key = reader.element(OCTET_STRING)?;
    reader.optional(ATTRIBUTES)?;
    let public = reader.optional(ONE_ASYMMETRIC_PUBLIC)?;
    reader.end()?;
    let rejected = |_| PemError::Key(KeyError::PrivatePart);
    let material = match kind {
        Kind::Rsa => read_rsa_private(key)?,
        Kind::Ec(curve) => {
            let mut reader = Reader::sequence(key)?;
            if reader.element(INTEGER)? != [1] {
                return Err(PemError::Der);
            }
            let d = reader.element(OCTET_STRING)?;
            if d.len() != curve.coordinate_len() {
                return Err(PemError::Der);
            }
            if let Some(parameters) = reader.optional(PARAMETERS)? {
                let mut parameters = Reader::new(parameters);
                if find_curve(parameters.element(OBJECT_IDENTIFIER)?)? != curve {
                    return Err(PemError::Der);
                }
                parameters.end()?;
            }
            let inner = reader.optional(EC_PUBLIC)?;
            reader.end()?;
            // The library derives the public point from the private part alone.
            let mut material = Material::Ec { curve, point: Vec::new(), d: Some(d.to_vec().into()) };
            let alone = write_private(&material)?.ok_or(PemError::Der)?;
            let pair = EcdsaKeyPair::from_pkcs8(ec_signing(curve)?, &alone).map_err(rejected)?;
            if let Material::Ec { point, .. } = &mut material {
                *point = pair.public_key().as_ref().to_vec();
            }
            if let Some(inner) = inner {
                let mut reader = Reader::new(inner);
                same_public_part(&material, reader.element(BIT_STRING)?)?;
                reader.end()?;
            }
            material
        }
        Kind::Ed25519 => {
            let mut reader = Reader::new(key);
            let seed = reader.element(OCTET_STRING)?;
            reader.end()?;
            let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(rejected)?;
            let x = pair.public_key().as_ref().try_into().map_err(|_| PemError::Der)?;
            Material::Okp { x, d: Some(seed.to_vec().into()) }
        }
        Kind::MlDsa(algorithm) => {
            let seed = read_ml_dsa_seed(key)?;
            let Primitive::MlDsa(signing, _) = algorithm.primitive() else { return Err(PemError::UnknownKey) };
            // Where both forms are there, the library makes sure that they agree.
            let pair = PqdsaKeyPair::from_pkcs8(signing, pkcs8).map_err(rejected)?;
            Material::Akp { algorithm, public: pair.public_key().as_ref().to_vec(), seed: Some(seed) }
        }
    };
    if let Some(public) = public {
        same_public_part(&material, public)?;
    }
    Ok(material)
}

/// Makes sure that a public part beside a private one (as the content of a BIT STRING) belongs to it.
fn same_public_part(material: &Material, bits: &[u8]) -> Result<(), PemError> {
    let key = bits.strip_prefix(&[0]).ok_or(PemError::Der)?;
    if *public_bytes(material)? == *key { Ok(()) } else { Err(KeyError::PrivatePart.into()) }
}

fn ec_signing(curve: Curve) -> Result<&'static aws_lc_rs::signature::EcdsaSigningAlgorithm, PemError> {
    let signing = Algorithm::all().find_map(|algorithm| match algorithm.primitive() {
        Primitive::Ecdsa(own, signing, _) if own == curve => Some(signing),
        _ => None,
    });
    signing.ok_or(PemError::UnknownKey)
}

fn read_rsa_private(key: &[u8]) -> Result<Material, PemError> {
    let mut reader = Reader::sequence(key)?;
    if reader.element(INTEGER)? != [0] {
        return Err(PemError::UnknownKey);
    }
    let mut next = || reader.unsigned().map(<[u8]>::to_vec);
    let (n, e) = (next()?, next()?);
    let [d, p, q, dp, dq, qi] = [next()?, next()?, next()?, next()?, next()?, next()?].map(Zeroizing::new);
    reader.end()?;
    Ok(Material::Rsa { n, e, private: Some(RsaPrivate { d, p, q, dp, dq, qi }) })
}

/// The seed, alone or beside the expanded key (RFC 9881 section 6).
fn read_ml_dsa_seed(key: &[u8]) -> Result<Secret, PemError> {
    let mut reader = Reader::new(key);
    if let Some(seed) = reader.optional(SEED)? {
        reader.end()?;
        return Ok(seed.to_vec().into());
    }
    let Some(both) = reader.optional(SEQUENCE)? else { return Err(PemError::NoSeed) };
    reader.end()?;
    let mut reader = Reader::new(both);
    let seed = reader.element(OCTET_STRING)?;
    reader.element(OCTET_STRING)?;
    reader.end()?;
    Ok(seed.to_vec().into())
}

fn write_kind(material: &Material, out: &mut Vec<u8>) -> Result<(), KeyError> {
    let mut content = Vec::new();
    let mut identifier = |bytes: &[u8]| der::write(OBJECT_IDENTIFIER, bytes, &mut content);
    match material {
        Material::Oct(_) => return Err(KeyError::NoPublicPart),
        Material::Rsa { .. } => {
            identifier(RSA);
            der::write(NULL, &[], &mut content);
        }
        Material::Ec { curve, .. } => {
            identifier(EC);
            CURVES.iter().filter(|(known, _)| known == curve).for_each(|(_, bytes)| identifier(bytes));
        }
        Material::Okp { .. } => identifier(ED25519),
        Material::Akp { algorithm, .. } => {
            ML_DSA.iter().filter(|(known, _)| known == algorithm).for_each(|(_, bytes)| identifier(bytes));
        }
    }
    der::write(SEQUENCE, &content, out);
    Ok(())
}

/// The public part as it stands in a BIT STRING.
fn public_bytes(material: &Material) -> Result<Vec<u8>, KeyError> {
    Ok(match material {
        Material::Oct(_) => return Err(KeyError::NoPublicPart),
        Material::Rsa { n, e, .. } => {
            let (mut numbers, mut key) = (Vec::new(), Vec::new());
            der::write_unsigned(n, &mut numbers);
            der::write_unsigned(e, &mut numbers);
            der::write(SEQUENCE, &numbers, &mut key);
            key
        }
        Material::Ec { point, .. } => point.clone(),
        Material::Okp { x, .. } => x.to_vec(),
        Material::Akp { public, .. } => public.clone(),
    })
}

fn write_public(material: &Material) -> Result<Secret, KeyError> {
    let mut content = Vec::new();
    write_kind(material, &mut content)?;
    der::write(BIT_STRING, &[&[0], &*public_bytes(material)?].concat(), &mut content);
    let mut bytes = Vec::new();
    der::write(SEQUENCE, &content, &mut bytes);
    Ok(bytes.into())
}

/// No PKCS#8 of a key that is taken here is larger. A buffer that grows leaves copies behind.
const LARGEST_PRIVATE: usize = 16 * 1024;

/// `None` when there is no private part.
fn write_private(material: &Material) -> Result<Option<Secret>, KeyError> {
    let buffer = || Zeroizing::new(Vec::with_capacity(LARGEST_PRIVATE));
    let mut key = buffer();
    match material {
        Material::Rsa { n, e, private: Some(RsaPrivate { d, p, q, dp, dq, qi }) } => {
            let mut numbers = buffer();
            der::write(INTEGER, &[0], &mut numbers);
            for number in [n.as_slice(), e, d, p, q, dp, dq, qi] {
                der::write_unsigned(number, &mut numbers);
            }
            der::write(SEQUENCE, &numbers, &mut key);
        }
        Material::Ec { point, d: Some(d), .. } => {
            let mut content = buffer();
            der::write(INTEGER, &[1], &mut content);
            der::write(OCTET_STRING, d, &mut content);
            if !point.is_empty() {
                let mut public = Vec::new();
                der::write(BIT_STRING, &[&[0], point.as_slice()].concat(), &mut public);
                der::write(EC_PUBLIC, &public, &mut content);
            }
            der::write(SEQUENCE, &content, &mut key);
        }
        Material::Okp { d: Some(d), .. } => der::write(OCTET_STRING, d, &mut key),
        Material::Akp { seed: Some(seed), .. } => der::write(SEED, seed, &mut key),
        _ => return Ok(None),
    }
    let mut content = buffer();
    der::write(INTEGER, &[0], &mut content);
    write_kind(material, &mut content)?;
    der::write(OCTET_STRING, &key, &mut content);
    let mut bytes = buffer();
    der::write(SEQUENCE, &content, &mut bytes);
    Ok(Some(bytes))
}
