//! The requests that are measured, as bytes for one connection and as a script for wrk.

use std::io;
use std::net::SocketAddr;

use jotd_wire::Wire;

/// The client's id.
pub(crate) const CLIENT: &str = "bench";
/// How many items a batch has.
const BATCH: usize = 1000;
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// One kind of request, sent over and over.
pub(crate) struct Load {
    /// Its name in tables: the path.
    pub(crate) path: &'static str,
    /// How many calls one request is: as many as a batch has, else one.
    pub(crate) calls: u32,
    method: &'static str,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Load {
    /// A token of the simple contract.
    pub(crate) fn generate() -> Self {
        let body = r#"{"user_data": "this is test"}"#.to_owned();
        Self {
            method: "POST",
            path: "/generateToken",
            calls: 1,
            headers: vec![("Content-Type", JSON.to_owned())],
            body,
        }
    }

    /// Its verification, as existing clients ask for it.
    pub(crate) fn verify(token: &str, key: &str) -> Self {
        let body = format!(r#"{{"Token": "{token}", "Signing_key": "{key}"}}"#);
        Self { method: "GET", path: "/verifyToken", calls: 1, headers: vec![("Content-Type", JSON.to_owned())], body }
    }

    /// An access token by client credentials.
    pub(crate) fn token(secret: &str) -> Self {
        Self::form("/oauth2/token", secret, "grant_type=client_credentials".to_owned())
    }

    /// Introspection of one that is active.
    pub(crate) fn introspect(secret: &str, token: &str) -> Self {
        Self::form("/oauth2/introspect", secret, format!("token={token}"))
    }

    /// As many at once as one request may have, with the token of an administrator.
    pub(crate) fn batches(address: SocketAddr, bearer: &str) -> io::Result<[Self; 2]> {
        let item = r#"{"claims":{"sub":"user-42","aud":"https://api.example"}}"#;
        let token = Self::generate().member(address, "JWT Token")?;
        let batch = |path, item: &str| {
            let body = format!("[{}]", vec![item; BATCH].join(","));
            let headers = vec![("Content-Type", JSON.to_owned()), ("Authorization", format!("Bearer {bearer}"))];
            Self { method: "POST", path, calls: BATCH as u32, headers, body }
        };
        let verify = format!(r#"{{"token":"{token}"}}"#);
        let both = [batch("/v1/tokens/mint-batch", item), batch("/v1/tokens/verify-batch", &verify)];
        for (load, proof) in both.iter().zip([r#""token_id""#, r#""accepted":true"#]) {
            let found = load.answer(address)?.matches(proof).count();
            if found != BATCH {
                return Err(io::Error::other(format!("{} answers {found} times with {proof}", load.path)));
            }
        }
        Ok(both)
    }

    fn form(path: &'static str, secret: &str, body: String) -> Self {
        let authorization = format!("Basic {}", base64(format!("{CLIENT}:{secret}").as_bytes()));
        let headers = vec![("Content-Type", FORM.to_owned()), ("Authorization", authorization)];
        Self { method: "POST", path, calls: 1, headers, body }
    }

    /// All four, with tokens from the server at `address`.
    pub(crate) fn all(address: SocketAddr, key: &str, secret: &str) -> io::Result<Vec<Self>> {
        let (generate, token) = (Self::generate(), Self::token(secret));
        let verify = Self::verify(&generate.member(address, "JWT Token")?, key);
        let introspect = Self::introspect(secret, &token.member(address, "access_token")?);
        let all = vec![generate, verify, token, introspect];
        for (load, proof) in
            all.iter().zip(["JWT Token", r#""Signature Verification": true"#, "Bearer", r#""active": true"#])
        {
            let answer = load.answer(address)?;
            if !answer.contains(proof) {
                return Err(io::Error::other(format!("{} does not answer with {proof}: {answer}", load.path)));
            }
        }
        Ok(all)
    }

    /// Whether the simple contract has it, so that others than jotd can answer it.
    pub(crate) fn is_simple(&self) -> bool {
        ["/generateToken", "/verifyToken"].contains(&self.path)
    }

    /// The bytes of the request.
    pub(crate) fn request(&self) -> Vec<u8> {
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        jotd_wire::request(self.method, self.path, &headers, &self.body)
    }

    /// The body of the answer, which must be a 200.
    pub(crate) fn answer(&self, address: SocketAddr) -> io::Result<String> {
        self.repeat(&mut Wire::connect(address)?, 1)
    }

    /// Sends the request so many times on one connection, each after the answer to the one before, which must be a
    /// 200. Gives the last body.
    pub(crate) fn repeat(&self, wire: &mut Wire, times: u32) -> io::Result<String> {
        let request = self.request();
        let mut last = String::new();
        for _ in 0..times {
            wire.send(&request)?;
            let answer = wire.receive_to(self.method)?;
            last = answer.text();
            if answer.status != 200 {
                return Err(io::Error::other(format!("{} answers {}: {last}", self.path, answer.status)));
            }
        }
        Ok(last)
    }

    fn member(&self, address: SocketAddr, name: &str) -> io::Result<String> {
        let answer: serde_json::Value = serde_json::from_str(&self.answer(address)?)?;
        let member = answer[name].as_str();
        Ok(member.ok_or_else(|| io::Error::other(format!("{} answers without {name}", self.path)))?.to_owned())
    }

    /// A script that makes wrk send it, and print what it measured as one line of JSON.
    pub(crate) fn script(&self) -> String {
        let mut script = format!("wrk.method = {:?}\nwrk.body = {:?}\n", self.method, self.body);
        for (name, value) in &self.headers {
            script += &format!("wrk.headers[{name:?}] = {value:?}\n");
        }
        script + REPORT
    }
}

const REPORT: &str = r#"
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "micros": %d, "p50": %d, "p99": %d, "refused": %d, "failed": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"#;

/// With padding, as HTTP Basic wants it.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, at| bits << 8 | usize::from(chunk.get(at).copied().unwrap_or(0)));
        for digit in 0..4 {
            text.push(if digit > chunk.len() { '=' } else { char::from(DIGITS[bits >> (18 - 6 * digit) & 63]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_padded() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn the_script_has_the_request_in_it() {
        let script = Load::verify("a.b.c", "key").script();
        assert!(script.starts_with("wrk.method = \"GET\"\nwrk.body = \"{\\\"Token\\\": \\\"a.b.c\\\""), "{script}");
        assert!(script.contains("wrk.headers[\"Content-Type\"] = \"application/json\"\n"), "{script}");
    }
}
