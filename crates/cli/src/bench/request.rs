//! Whom the load generator asks, and the bytes of the one request that it sends over and over.
//!
//! What a route needs is fetched from the server first: a token to verify, or to ask about. Secrets are read from
//! files and stand in no message.

use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use hyper::Uri;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::arguments::{Bench, Route};
use super::client::Client;
use crate::{input, output};

/// More than any secret has.
const LONGEST_SECRET: usize = 4096;

/// Stands in for the signing key, where none is given.
const MADE_UP_KEY: &str = "a made-up key, as long as HS512 wants its keys to be: 64 bytes...";

/// The address of a server, with the path before its routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    /// As it is sent in `Host`.
    authority: String,
    host: String,
    port: u16,
    path: String,
}

impl FromStr for Base {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url: Uri = text.parse().map_err(|error| format!("{error}; http://HOST:PORT is meant"))?;
        match url.scheme_str() {
            Some("http") => {}
            Some("https") => return Err("only http:// can be asked: there is no TLS here".to_owned()),
            _ => return Err("http://HOST:PORT is meant".to_owned()),
        }
        let (Some(authority), Some(host)) = (url.authority(), url.host()) else {
            return Err("it has no host".to_owned());
        };
        if authority.as_str().contains('@') || url.query().is_some() {
            return Err("only a host, a port and a path are taken".to_owned());
        }
        Ok(Self {
            authority: authority.as_str().to_owned(),
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port_u16().unwrap_or(80),
            path: url.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl Base {
    /// The first of its addresses at which somebody listens.
    pub(super) async fn find(&self, timeout: Duration) -> Result<SocketAddr> {
        let whom = format!("{}:{}", self.host, self.port);
        let connect = async { TcpStream::connect((&*self.host, self.port)).await?.peer_addr() };
        let connected = tokio::time::timeout(timeout, connect).await;
        let connected = connected.map_err(|_| anyhow!("cannot connect to {whom}: no answer within {timeout:?}"))?;
        connected.with_context(|| format!("cannot connect to {whom}"))
    }

    /// The address of a route.
    pub(super) fn url(&self, route: Route) -> String {
        format!("http://{}{}{}", self.authority, self.path, route.path())
    }

    fn get(&self, route: Route) -> Zeroizing<Vec<u8>> {
        let (authority, path) = (&self.authority, &self.path);
        let head = format!("GET {path}{} HTTP/1.1\r\nHost: {authority}\r\n\r\n", route.path());
        Zeroizing::new(head.into_bytes())
    }

    fn post(&self, route: Route, media_type: &str, body: &str) -> Zeroizing<Vec<u8>> {
        let (authority, path, length) = (&self.authority, &self.path, body.len());
        let head = format!(
            "POST {path}{} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n",
            route.path()
        );
        Zeroizing::new([head.as_bytes(), body.as_bytes()].concat())
    }

    fn post_json(&self, route: Route, body: &Value) -> Zeroizing<Vec<u8>> {
        self.post(route, "application/json", &Zeroizing::new(body.to_string()))
    }

    fn post_form(&self, route: Route, parameters: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
        let mut form = Zeroizing::new(String::new());
        for (name, value) in parameters {
            if !form.is_empty() {
                form.push('&');
            }
            form.push_str(name);
            form.push('=');
            escape(value, &mut form);
        }
        self.post(route, "application/x-www-form-urlencoded", &form)
    }
}

impl Route {
    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Jwks | Self::Healthz => "GET",
            _ => "POST",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::GenerateToken => "/generateToken",
            Self::VerifyToken => "/verifyToken",
            Self::Token => "/oauth2/token",
            Self::Introspect => "/oauth2/introspect",
            Self::Jwks => "/.well-known/jwks.json",
            Self::Healthz => "/healthz",
        }
    }
}

/// The request to send, with all that it needs.
pub(super) async fn prepare(arguments: &Bench, address: SocketAddr) -> Result<Zeroizing<Vec<u8>>> {
    let base = &arguments.url;
    let mint = || {
        let text = "x".repeat(usize::try_from(arguments.data_size).unwrap_or_default());
        base.post_json(Route::GenerateToken, &json!({ "user_data": text }))
    };
    let fetch = async |route, request, member| {
        let token = fetch(Client::new(address, arguments.timeout), request, member).await;
        token.with_context(|| format!("cannot get a token from {}", base.url(route)))
    };
    Ok(match arguments.route {
        Route::GenerateToken => mint(),
        Route::VerifyToken => {
            let key = match &arguments.signing_key_file {
                Some(file) => secret(file)?,
                None => Zeroizing::new(MADE_UP_KEY.to_owned()),
            };
            let token = fetch(Route::GenerateToken, mint(), "JWT Token").await?;
            base.post_json(Route::VerifyToken, &json!({ "Token": token, "Signing_key": *key }))
        }
        Route::Token => base.post_form(Route::Token, &grant(arguments, &credentials(arguments)?)),
        Route::Introspect => {
            let credentials = credentials(arguments)?;
            let request = base.post_form(Route::Token, &grant(arguments, &credentials));
            let token = fetch(Route::Token, request, "access_token").await?;
            let (client, secret) = &credentials;
            let parameters = [("token", token.as_str()), ("client_id", client), ("client_secret", secret)];
            base.post_form(Route::Introspect, &parameters)
        }
        Route::Jwks | Route::Healthz => base.get(arguments.route),
    })
}

type Credentials = (String, Zeroizing<String>);

fn credentials(arguments: &Bench) -> Result<Credentials> {
    let (Some(client), Some(file)) = (&arguments.client, &arguments.client_secret_file) else {
        bail!("--client and --client-secret-file are needed");
    };
    Ok((client.clone(), secret(file)?))
}

/// The parameters of a request for an access token (RFC 6749 section 4.4.2, RFC 8707 section 2).
fn grant<'a>(arguments: &'a Bench, (client, secret): &'a Credentials) -> Vec<(&'static str, &'a str)> {
    let mut parameters =
        vec![("grant_type", "client_credentials"), ("client_id", client.as_str()), ("client_secret", secret.as_str())];
    parameters.extend(arguments.scope.as_deref().map(|scope| ("scope", scope)));
    parameters.extend(arguments.resource.iter().map(|resource| ("resource", resource.as_str())));
    parameters
}

/// The secret in a file. The line break behind it is not part of it.
fn secret(file: &Path) -> Result<Zeroizing<String>> {
    let bytes = input::read(file, LONGEST_SECRET)?;
    if bytes.len() > LONGEST_SECRET {
        bail!("the secret in {} is longer than {LONGEST_SECRET} bytes", file.display());
    }
    let Ok(text) = std::str::from_utf8(&bytes) else { bail!("the secret in {} is not UTF-8", file.display()) };
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    Ok(Zeroizing::new(text.to_owned()))
}

/// A member of the JSON that a request is answered with.
async fn fetch(mut client: Client, request: Zeroizing<Vec<u8>>, member: &str) -> Result<String> {
    let mut body = Vec::new();
    let answer = client.ask(&request, Some(&mut body)).await.map_err(|failure| anyhow!("{}", failure.label()))?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |member| body.get(member).and_then(Value::as_str);
    match (answer.status, text(member)) {
        (200, Some(token)) => Ok(token.to_owned()),
        (200, None) => bail!("there is no {member:?} in the answer; is it jotd?"),
        (status, _) => match text("error") {
            Some(error) => bail!("status {status}, {}", output::harmless_line(error)),
            None => bail!("status {status}"),
        },
    }
}

/// Percent-encodes all that does not stand for itself in every form (RFC 3986 section 2.3).
fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, expect) in [
            ("http://127.0.0.1:8000", Some(("127.0.0.1", 8000, ""))),
            ("http://[::1]:8000/", Some(("::1", 8000, ""))),
            ("http://auth.example/base/", Some(("auth.example", 80, "/base"))),
            ("https://auth.example", None),
            ("auth.example:8000", None),
            ("http://user:secret@auth.example", None),
            ("http://auth.example/?x=1", None),
            ("/base", None),
            ("", None),
        ] {
            let base = text.parse::<Base>().ok();
            let found = base.as_ref().map(|base| (&*base.host, base.port, &*base.path));
            assert_eq!(found, expect, "{text}");
        }
    }

    #[test]
    fn forms_escape_what_would_end_a_value() {
        let base: Base = "http://h".parse().unwrap();
        let request = base.post_form(Route::Token, &[("a", "x y&z=%+é"), ("b", "~")]);
        assert!(request.ends_with(b"\r\n\r\na=x%20y%26z%3D%25%2B%C3%A9&b=~"));
    }
}
