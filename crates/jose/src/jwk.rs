//! JSON Web Keys (RFC 7517, 7518 section 6, 8037, 9964), read strictly.
//!
//! A key that is weak, wrong, incomplete or spelled in another than the canonical way is refused with the reason. What
//! a key is for (`use`, `key_ops`, `alg`) is honoured: a key for encryption never signs.

use std::collections::HashSet;
use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

use crate::algorithm::{Algorithm, Curve};
use crate::base64url;
use crate::error::{JwkError, KeyError};
use crate::json::{self, Value, write_string};
use crate::key::{SigningKey, VerifyingKey};
use crate::material::{Material, RsaPrivate, Secret};

/// The longest text of a key or a set of keys that is looked at, in bytes.
pub const MAX_JWK_LENGTH: usize = 1024 * 1024;

/// No honest key has more members.
const MAX_MEMBERS: usize = 256;

/// What `key_ops` allows (RFC 7517 section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Operations {
    sign: bool,
    verify: bool,
}

/// A key, public or private, that has been found sound.
#[derive(Clone)]
pub struct Jwk {
    pub(crate) material: Material,
    pub(crate) key_id: Option<String>,
    pub(crate) algorithm: Option<Algorithm>,
    for_signatures: bool,
    operations: Option<Operations>,
}

impl Jwk {
    /// Reads the JSON text of one key.
    ///
    /// # Errors
    /// [`JwkError`] with the reason.
    ///
    /// ```
    /// use jose::{Algorithm, Jwk};
    /// let key = Jwk::parse(br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#)?;
    /// assert!(!key.is_private());
    /// assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"); // RFC 8037 appendix A.3
    /// # Ok::<_, jose::error::JwkError>(())
    /// ```
    pub fn parse(text: &[u8]) -> Result<Self, JwkError> {
        if text.len() > MAX_JWK_LENGTH {
            return Err(JwkError::TooLong);
        }
        let mut members = Members::default();
        json::object_of(MAX_MEMBERS, text, |name, value| {
            if let Some((_, slot)) = members.0.iter_mut().find(|(known, _)| name == *known) {
                *slot = Some(value);
            }
            Ok::<_, JwkError>(())
        })?;
        members.read()
    }

    pub(crate) fn new(material: Material, algorithm: Option<Algorithm>) -> Result<Self, JwkError> {
        let jwk = Self { material, key_id: None, algorithm, for_signatures: false, operations: None };
        jwk.check()?;
        Ok(jwk)
    }

    fn check(&self) -> Result<(), JwkError> {
        self.material.check()?;
        match self.algorithm {
            Some(algorithm) if !self.material.serves(algorithm) => Err(match &self.material {
                Material::Oct(secret) if algorithm.is_symmetric() => {
                    // All that can be wrong with a secret is its length.
                    let shortest = algorithm.name().get(2..).and_then(|bits| bits.parse().ok()).unwrap_or(512) / 8;
                    KeyError::TooShort { required: shortest, actual: secret.len() }.into()
                }
                _ => KeyError::WrongAlgorithm.into(),
            }),
            _ => Ok(()),
        }
    }

    /// What tells keys of one set apart that have the same `kid`: `kty`, `crv` and `alg`.
    pub(crate) fn kind(&self) -> [&'static str; 3] {
        let curve = match &self.material {
            Material::Ec { curve, .. } => curve.name(),
            Material::Okp { .. } => "Ed25519",
            _ => "",
        };
        [self.key_type(), curve, self.algorithm.map_or("", Algorithm::name)]
    }

    /// The kind of key (`kty`).
    #[must_use]
    pub fn key_type(&self) -> &'static str {
        match self.material {
            Material::Oct(_) => "oct",
            Material::Rsa { .. } => "RSA",
            Material::Ec { .. } => "EC",
            Material::Okp { .. } => "OKP",
            Material::Akp { .. } => "AKP",
        }
    }

    /// The key's id (`kid`).
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The same key with this id.
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// The same key, for this algorithm only.
    ///
    /// # Errors
    /// [`JwkError`] when the key is not of its kind, too short for it, or names another one itself.
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Result<Self, JwkError> {
        if self.algorithm.is_some_and(|own| own != algorithm) {
            return Err(KeyError::WrongAlgorithm.into());
        }
        self.algorithm = Some(algorithm);
        self.check()?;
        Ok(self)
    }

    /// The algorithm that the key itself names (`alg`).
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    /// The algorithms that this key may be used with: its own, or else those that fit its type.
    #[must_use]
    pub fn algorithms(&self) -> Vec<Algorithm> {
        match self.algorithm {
            Some(algorithm) => vec![algorithm],
            None => self.material.algorithms().collect(),
        }
    }

    /// Whether the key can sign.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.material.is_private()
    }

    /// Whether whoever can verify with this key can also sign with it.
    #[must_use]
    pub fn is_symmetric(&self) -> bool {
        self.material.is_symmetric()
    }

    /// The key without its private part. `key_ops` turns from signing to verifying.
    ///
    /// # Errors
    /// [`KeyError::NoPublicPart`] for a shared secret.
    pub fn public(&self) -> Result<Self, KeyError> {
        let material = self.material.public().ok_or(KeyError::NoPublicPart)?;
        let operations = self.operations.map(|_| Operations { sign: false, verify: true });
        Ok(Self { material, operations, ..self.clone() })
    }

    /// The key bound to `algorithm`, to verify with.
    ///
    /// # Errors
    /// [`KeyError`] when the key is not for this algorithm, or `key_ops` does not allow to verify.
    pub fn verifying_key(&self, algorithm: Algorithm) -> Result<VerifyingKey, KeyError> {
        self.may(algorithm, |operations| operations.verify)?;
        let public = self.material.public_key(algorithm)?;
        Ok(VerifyingKey { algorithm, key_id: self.key_id.clone(), public })
    }

    /// The key bound to `algorithm`, to sign with.
    ///
    /// # Errors
    /// [`KeyError`] when the key is not for this algorithm, has no private part, or `key_ops` does not allow to sign.
    pub fn signing_key(&self, algorithm: Algorithm) -> Result<SigningKey, KeyError> {
        self.may(algorithm, |operations| operations.sign)?;
        let private = self.material.private_key(algorithm)?;
        let public = self.material.public_key(algorithm)?;
        Ok(SigningKey { algorithm, key_id: self.key_id.clone(), private, public })
    }

    fn may(&self, algorithm: Algorithm, allowed: impl Fn(Operations) -> bool) -> Result<(), KeyError> {
        if self.algorithm.is_some_and(|own| own != algorithm) {
            return Err(KeyError::WrongAlgorithm);
        }
        if self.operations.is_some_and(|operations| !allowed(operations)) {
            return Err(KeyError::Operation);
        }
        Ok(())
    }

    /// The SHA-256 thumbprint (RFC 7638, for AKP keys RFC 9964 section 6), as base64url. For a shared secret it is
    /// secret too: anyone who has it can test guesses.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let mut members = self.required_members();
        members.sort_unstable_by_key(|(name, _)| *name);
        let mut text = Zeroizing::new(Vec::with_capacity(written_len(&members)));
        text.push(b'{');
        write_members(&members, &mut text);
        text.push(b'}');
        base64url::encode(digest(&SHA256, &text).as_ref())
    }

    /// The members that make the key what it is, `kty` first.
    fn required_members(&self) -> Vec<(&'static str, Zeroizing<String>)> {
        let plain = |text: &str| Zeroizing::new(text.to_owned());
        let encode = |bytes: &[u8]| Zeroizing::new(base64url::encode(bytes));
        let key_type = ("kty", plain(self.key_type()));
        match &self.material {
            Material::Oct(secret) => vec![key_type, ("k", encode(secret))],
            Material::Rsa { n, e, .. } => vec![key_type, ("n", encode(n)), ("e", encode(e))],
            Material::Ec { curve, point, .. } => {
                let (_, coordinates) = point.split_at(1);
                let (x, y) = coordinates.split_at(curve.coordinate_len());
                vec![key_type, ("crv", plain(curve.name())), ("x", encode(x)), ("y", encode(y))]
            }
            Material::Okp { x, .. } => vec![key_type, ("crv", plain("Ed25519")), ("x", encode(x))],
            Material::Akp { algorithm, public, .. } => {
                vec![key_type, ("alg", plain(algorithm.name())), ("pub", encode(public))]
            }
        }
    }

    fn private_members(&self) -> Vec<(&'static str, Zeroizing<String>)> {
        let encode = |bytes: &[u8]| Zeroizing::new(base64url::encode(bytes));
        match &self.material {
            Material::Oct(_) => Vec::new(),
            Material::Rsa { private, .. } => {
                let Some(RsaPrivate { d, p, q, dp, dq, qi }) = private else { return Vec::new() };
                let members = [("d", d), ("p", p), ("q", q), ("dp", dp), ("dq", dq), ("qi", qi)];
                members.into_iter().map(|(name, value)| (name, encode(value))).collect()
            }
            Material::Ec { d, .. } | Material::Okp { d, .. } => d.iter().map(|d| ("d", encode(d))).collect(),
            Material::Akp { seed, .. } => seed.iter().map(|seed| ("priv", encode(seed))).collect(),
        }
    }

    /// The JSON text of the key, private part and all. Wiped when it is dropped.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<String> {
        let mut members = self.required_members();
        if self.for_signatures {
            members.push(("use", Zeroizing::new("sig".to_owned())));
        }
        if let Some(algorithm) = self.algorithm
            && !matches!(self.material, Material::Akp { .. })
        {
            members.push(("alg", Zeroizing::new(algorithm.name().to_owned())));
        }
        if let Some(key_id) = &self.key_id {
            members.push(("kid", Zeroizing::new(key_id.clone())));
        }
        members.extend(self.private_members());
        let mut text = Vec::with_capacity(written_len(&members));
        text.push(b'{');
        write_members(&members, &mut text);
        if let Some(Operations { sign, verify }) = self.operations {
            text.extend_from_slice(match (sign, verify) {
                (true, true) => br#","key_ops":["sign","verify"]"#,
                (true, false) => br#","key_ops":["sign"]"#,
                (false, true) => br#","key_ops":["verify"]"#,
                (false, false) => br#","key_ops":[]"#,
            });
        }
        text.push(b'}');
        Zeroizing::new(String::from_utf8(text).unwrap_or_default())
    }
}

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Jwk");
        debug.field("key_id", &self.key_id).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// At least as many bytes as the text of a key with these members takes. A buffer that grows leaves copies behind.
fn written_len(members: &[(&'static str, Zeroizing<String>)]) -> usize {
    // A name is escaped to six times its length at the worst, and only the id needs it.
    let each =
        |(name, value): &(&str, Zeroizing<String>)| name.len() + value.len() * if *name == "kid" { 6 } else { 1 } + 6;
    members.iter().map(each).sum::<usize>() + 64
}

fn write_members(members: &[(&'static str, Zeroizing<String>)], out: &mut Vec<u8>) {
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        write_string(value, out);
    }
}

/// The members that are read, while they are read.
struct Members<'a>([(&'static str, Option<Value<'a>>); 20]);

impl Default for Members<'_> {
    fn default() -> Self {
        let names = [
            "kty", "use", "key_ops", "alg", "kid", "k", "n", "e", "d", "p", "q", "dp", "dq", "qi", "oth", "crv", "x",
            "y", "pub", "priv",
        ];
        Self(names.map(|name| (name, None)))
    }
}

impl Members<'_> {
    fn read(&self) -> Result<Jwk, JwkError> {
        let algorithm = match self.text("alg")? {
            Some(name) => Some(Algorithm::find_by_name(&name).ok_or(JwkError::UnknownAlgorithm)?),
            None => None,
        };
        let for_signatures = match self.text("use")?.as_deref().map(String::as_str) {
            None => false,
            Some("sig") => true,
            Some(_) => return Err(JwkError::NotForSignatures),
        };
        let operations = self.operations()?;
        let material = match self.text("kty")?.ok_or(JwkError::Missing("kty"))?.as_str() {
            "oct" => Material::Oct(self.bytes("k")?),
            "RSA" => self.rsa()?,
            "EC" => self.ec()?,
            "OKP" => self.okp()?,
            "AKP" => self.akp(algorithm.ok_or(JwkError::Missing("alg"))?)?,
            _ => return Err(JwkError::UnknownKeyType),
        };
        let key_id = self.text("kid")?.map(|key_id| (*key_id).clone());
        let jwk = Jwk { material, key_id, algorithm, for_signatures, operations };
        jwk.check()?;
        Ok(jwk)
    }

    fn find(&self, name: &'static str) -> Option<Value<'_>> {
        self.0.iter().find(|(known, _)| *known == name)?.1
    }

    fn text(&self, name: &'static str) -> Result<Option<Zeroizing<String>>, JwkError> {
        match self.find(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(Zeroizing::new(text.decode().into_owned()))),
            Some(_) => Err(JwkError::Type(name)),
        }
    }

    fn optional_bytes(&self, name: &'static str) -> Result<Option<Secret>, JwkError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let bytes = base64url::decode(text.as_bytes()).map_err(|error| JwkError::Encoding { name, error })?;
        Ok(Some(Zeroizing::new(bytes)))
    }

    fn bytes(&self, name: &'static str) -> Result<Secret, JwkError> {
        self.optional_bytes(name)?.ok_or(JwkError::Missing(name))
    }

    /// A Base64urlUInt: big-endian, without leading zeros (RFC 7518 section 2).
    fn unsigned(&self, name: &'static str) -> Result<Secret, JwkError> {
        let bytes = self.bytes(name)?;
        match bytes.first() {
            None | Some(0) => Err(JwkError::NotMinimal(name)),
            Some(_) => Ok(bytes),
        }
    }

    fn fixed(&self, name: &'static str, length: usize) -> Result<Secret, JwkError> {
        let bytes = self.bytes(name)?;
        if bytes.len() != length {
            return Err(KeyError::Length { required: length, actual: bytes.len() }.into());
        }
        Ok(bytes)
    }

    fn optional_fixed(&self, name: &'static str, length: usize) -> Result<Option<Secret>, JwkError> {
        if self.find(name).is_some() { self.fixed(name, length).map(Some) } else { Ok(None) }
    }

    fn rsa(&self) -> Result<Material, JwkError> {
        if self.find("oth").is_some() {
            return Err(JwkError::MultiPrime);
        }
        let private = ["d", "p", "q", "dp", "dq", "qi"];
        // With d alone the rest would have to be found by factoring (RFC 7518 section 6.3.2 allows to refuse it).
        let private = if private.iter().any(|name| self.find(name).is_some()) {
            let [d, p, q, dp, dq, qi] = private.map(|name| self.unsigned(name));
            Some(RsaPrivate { d: d?, p: p?, q: q?, dp: dp?, dq: dq?, qi: qi? })
        } else {
            None
        };
        Ok(Material::Rsa { n: self.unsigned("n")?.to_vec(), e: self.unsigned("e")?.to_vec(), private })
    }

    fn ec(&self) -> Result<Material, JwkError> {
        let name = self.text("crv")?.ok_or(JwkError::Missing("crv"))?;
        let curve = Curve::ALL.into_iter().find(|curve| curve.name() == *name).ok_or(JwkError::UnknownCurve)?;
        let length = curve.coordinate_len();
        let point = [&[4], &**self.fixed("x", length)?, &**self.fixed("y", length)?].concat();
        Ok(Material::Ec { curve, point, d: self.optional_fixed("d", length)? })
    }

    fn okp(&self) -> Result<Material, JwkError> {
        if *self.text("crv")?.ok_or(JwkError::Missing("crv"))? != "Ed25519" {
            return Err(JwkError::UnknownCurve);
        }
        let x = self.bytes("x")?;
        let x = x.as_slice().try_into().map_err(|_| KeyError::Length { required: 32, actual: x.len() })?;
        Ok(Material::Okp { x, d: self.optional_fixed("d", 32)? })
    }

    fn akp(&self, algorithm: Algorithm) -> Result<Material, JwkError> {
        Ok(Material::Akp { algorithm, public: self.bytes("pub")?.to_vec(), seed: self.optional_fixed("priv", 32)? })
    }

    fn operations(&self) -> Result<Option<Operations>, JwkError> {
        let text = match self.find("key_ops") {
            None => return Ok(None),
            Some(Value::Array(text)) => text,
            Some(_) => return Err(JwkError::Type("key_ops")),
        };
        let mut seen = HashSet::new();
        json::array(text, |value| {
            let Value::String(name) = value else { return Err(JwkError::Type("key_ops")) };
            if seen.insert(name.decode()) { Ok(()) } else { Err(JwkError::RepeatedOperation) }
        })?;
        let operations = Operations {
            sign: seen.iter().any(|name| name == "sign"),
            verify: seen.iter().any(|name| name == "verify"),
        };
        if operations.sign || operations.verify { Ok(Some(operations)) } else { Err(JwkError::NotForSignatures) }
    }
}
