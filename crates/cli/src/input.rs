//! What commands read: keys, tokens and payloads, from files or standard input, within limits.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use jose::{Jwk, JwkSet, MAX_JWK_LENGTH, MAX_TOKEN_LENGTH};
use zeroize::Zeroizing;

/// A key, or several.
pub(crate) enum Keys {
    One(Jwk),
    Set(JwkSet),
}

/// Reads a file, or standard input for `-`; what is longer than `limit` is cut one byte later, so that it is refused as
/// too long further on.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>> {
    // As large as it can get from the start: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit + 1));
    let result = if path == Path::new("-") {
        read_up_to(io::stdin().lock(), limit, &mut bytes)
    } else {
        File::open(path).and_then(|file| read_up_to(file, limit, &mut bytes))
    };
    result.with_context(|| format!("cannot read {}", shown(path)))?;
    Ok(bytes)
}

fn read_up_to(reader: impl Read, limit: usize, bytes: &mut Vec<u8>) -> io::Result<usize> {
    reader.take(limit as u64 + 1).read_to_end(bytes)
}

/// The token on standard input. The line break behind it is not part of it.
pub(crate) fn token() -> Result<Vec<u8>> {
    let bytes = read(Path::new("-"), MAX_TOKEN_LENGTH + 2)?;
    let token = bytes.strip_suffix(b"\n").map_or(&**bytes, |token| token.strip_suffix(b"\r").unwrap_or(token));
    Ok(token.to_vec())
}

/// The keys in a file: a JWK, a JWK Set, or PEM.
pub(crate) fn keys(path: &Path) -> Result<Keys> {
    let bytes = read(path, MAX_JWK_LENGTH)?;
    let name = shown(path);
    let Ok(text) = std::str::from_utf8(&bytes) else { bail!("{name}: not UTF-8, so neither a JWK, a JWK Set nor PEM") };
    if text.trim_start().starts_with('{') {
        let mut is_set = false;
        jose::json::object(&bytes, |member, _| {
            is_set |= member == "keys";
            Ok::<_, jose::error::JsonError>(())
        })
        .map_err(|error| anyhow!("{name}: {error}"))?;
        if is_set {
            return Ok(Keys::Set(JwkSet::parse(&bytes).map_err(|error| anyhow!("{name}: {error}"))?));
        }
        return Ok(Keys::One(Jwk::parse(&bytes).map_err(|error| anyhow!("{name}: {error}"))?));
    }
    if text.contains("-----BEGIN ") {
        return Ok(Keys::One(Jwk::from_pem(text).map_err(|error| anyhow!("{name}: {error}"))?));
    }
    bail!("{name}: neither a JWK, a JWK Set nor PEM")
}

/// The one key in a file.
pub(crate) fn key(path: &Path) -> Result<Jwk> {
    match keys(path)? {
        Keys::One(key) => Ok(key),
        Keys::Set(_) => bail!("{}: one key is wanted, not a set", shown(path)),
    }
}

fn shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}
