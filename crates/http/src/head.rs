//! The head of an HTTP/1 request (RFC 9112). Where two readers could disagree on where a request ends, it is refused,
//! also where the RFC would let it pass: a length beside chunks, two lengths, two hosts.

use std::mem::MaybeUninit;

use httparse::{Header, Status};

/// More header fields than any client sends.
pub(crate) const MOST_FIELDS: usize = 100;

/// Room for the fields of one head.
pub(crate) type Fields<'h> = [MaybeUninit<Header<'h>>; MOST_FIELDS];

/// How an HTTP/2 connection begins (RFC 9113 section 3.4).
pub(crate) const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A head that is whole.
pub(crate) struct Head<'h> {
    pub(crate) method: &'h str,
    pub(crate) path: &'h str,
    pub(crate) query: &'h str,
    pub(crate) fields: &'h [Header<'h>],
    /// In bytes, with the empty line.
    pub(crate) length: usize,
    pub(crate) framing: Framing,
    pub(crate) is_http10: bool,
    pub(crate) keeps_alive: bool,
    /// Whether the client may wait for word that its body is wanted.
    pub(crate) expects_continue: bool,
}

/// How the body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
}

/// Why a head is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadError {
    Malformed,
    TooLarge,
}

impl<'h> Head<'h> {
    /// Reads the head that `input` begins with; `None` when more of it has to come.
    pub(crate) fn parse(input: &'h [u8], limit: usize, room: &'h mut Fields<'h>) -> Result<Option<Self>, HeadError> {
        let mut request = httparse::Request::new(&mut []);
        let length = match request.parse_with_uninit_headers(input, room) {
            Ok(Status::Complete(length)) if length <= limit => length,
            Ok(Status::Partial) if input.len() < limit => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
            Err(_) => return Err(HeadError::Malformed),
        };
        let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
            return Err(HeadError::Malformed);
        };
        let is_http10 = version == 0;
        let (path, query) = split(target);
        let fields: &'h [Header<'h>] = request.headers;
        let said = Said::of(fields)?;
        if said.hosts > 1 || (said.hosts == 0 && !is_http10) || (said.chunked && (is_http10 || said.length.is_some())) {
            return Err(HeadError::Malformed);
        }
        Ok(Some(Self {
            method,
            path,
            query,
            fields,
            length,
            framing: if said.chunked { Framing::Chunked } else { Framing::Length(said.length.unwrap_or(0)) },
            is_http10,
            keeps_alive: !said.closes && (!is_http10 || said.keeps_alive),
            expects_continue: said.expects_continue && !is_http10,
        }))
    }
}

/// What the fields say about the message itself.
#[derive(Default)]
struct Said {
    length: Option<u64>,
    chunked: bool,
    closes: bool,
    keeps_alive: bool,
    expects_continue: bool,
    hosts: usize,
}

impl Said {
    fn of(fields: &[Header<'_>]) -> Result<Self, HeadError> {
        let mut said = Self::default();
        for field in fields {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            // The length of the name tells most of them apart.
            match field.name.len() {
                4 if is("host") => {
                    if !field.value.iter().all(|&byte| is_in_host(byte)) {
                        return Err(HeadError::Malformed);
                    }
                    said.hosts += 1;
                }
                6 if is("expect") => said.expects_continue |= field.value.eq_ignore_ascii_case(b"100-continue"),
                10 if is("connection") => {
                    for option in field.value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                        said.closes |= option.eq_ignore_ascii_case(b"close");
                        said.keeps_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                14 if is("content-length") => {
                    let length = number(field.value).ok_or(HeadError::Malformed)?;
                    if said.length.replace(length).is_some() {
                        return Err(HeadError::Malformed);
                    }
                }
                17 if is("transfer-encoding") => {
                    if said.chunked || !field.value.eq_ignore_ascii_case(b"chunked") {
                        return Err(HeadError::Malformed);
                    }
                    said.chunked = true;
                }
                _ => {}
            }
        }
        Ok(said)
    }
}

/// Whether a byte may stand in a host with a port (RFC 3986 section 3.2.2).
fn is_in_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
}

/// Digits and nothing else. What is beyond 64 bits is only known to be too large.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(std::str::from_utf8(text).ok()?.parse().unwrap_or(u64::MAX))
}

/// Path and query of a target, which may name a whole address (RFC 9112 section 3.2).
fn split(target: &str) -> (&str, &str) {
    let target = match memchr::memchr(b'#', target.as_bytes()) {
        Some(at) => target.get(..at).unwrap_or_default(),
        None => target,
    };
    if target.starts_with('/') {
        return divided(target);
    }
    let scheme = |scheme: &str| target.get(..scheme.len()).is_some_and(|own| own.eq_ignore_ascii_case(scheme));
    let authority = ["http://", "https://"].into_iter().find(|own| scheme(own)).and_then(|own| target.get(own.len()..));
    let target = match authority {
        None => target,
        Some(rest) => match rest.find(['/', '?']).and_then(|at| rest.get(at..)) {
            None => "/",
            Some(target) if target.starts_with('?') => return ("/", target.get(1..).unwrap_or_default()),
            Some(target) => target,
        },
    };
    divided(target)
}

fn divided(target: &str) -> (&str, &str) {
    match memchr::memchr(b'?', target.as_bytes()) {
        Some(at) => (target.get(..at).unwrap_or_default(), target.get(at + 1..).unwrap_or_default()),
        None => (target, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<(String, String, Framing, bool)>, HeadError> {
        let mut room = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let head = Head::parse(text.as_bytes(), 1024, &mut room)?;
        Ok(head.map(|head| (head.path.to_owned(), head.query.to_owned(), head.framing, head.keeps_alive)))
    }

    #[test]
    fn heads_are_read() {
        for (text, path, query, framing, keeps_alive) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "/", "", Framing::Length(0), true),
            ("GET /a?b?c#d HTTP/1.1\r\nhost:x\r\n\r\n", "/a", "b?c", Framing::Length(0), true),
            ("GET http://x/a?b HTTP/1.1\r\nHost: x\r\n\r\n", "/a", "b", Framing::Length(0), true),
            ("GET HTTPS://x HTTP/1.1\r\nHost: x\r\n\r\n", "/", "", Framing::Length(0), true),
            ("GET http://x?q HTTP/1.1\r\nHost: x\r\n\r\n", "/", "q", Framing::Length(0), true),
            ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "*", "", Framing::Length(0), true),
            ("GET / HTTP/1.0\r\n\r\n", "/", "", Framing::Length(0), false),
            ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "/", "", Framing::Length(0), true),
            ("GET / HTTP/1.1\r\nHost: x\r\nConnection: x, Close\r\n\r\n", "/", "", Framing::Length(0), false),
            ("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 007\r\n\r\n", "/", "", Framing::Length(7), true),
            ("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n", "/", "", Framing::Chunked, true),
            (
                "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
                "/",
                "",
                Framing::Length(u64::MAX),
                true,
            ),
        ] {
            let expect = (path.to_owned(), query.to_owned(), framing, keeps_alive);
            assert_eq!(parse(text), Ok(Some(expect)), "{text}");
            assert_eq!(parse(&text[..text.len() - 1]), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for fields in [
            "",
            "Host: x\r\nHost: x\r\n",
            "Host: x y\r\n",
            "Host: x/y\r\n",
            "Host: u@x\r\n",
            "Host: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
            "Host: x\r\nContent-Length: 1, 1\r\n",
            "Host: x\r\nContent-Length: +1\r\n",
            "Host: x\r\nContent-Length: 0x1\r\n",
            "Host: x\r\nContent-Length: \r\n",
            "Host: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Host: x\r\nTransfer-Encoding: gzip, chunked\r\n",
            "Host: x\r\nTransfer-Encoding: identity\r\n",
            "Host: x\r\nTransfer-Encoding : chunked\r\n",
            "Host: x\r\n folded\r\n",
        ] {
            assert_eq!(parse(&format!("PUT / HTTP/1.1\r\n{fields}\r\n")), Err(HeadError::Malformed), "{fields}");
        }
        assert_eq!(parse("PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(HeadError::Malformed));
    }

    #[test]
    fn heads_have_a_limit() {
        let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "y".repeat(1024));
        assert_eq!(parse(&long), Err(HeadError::TooLarge));
        assert_eq!(parse(&format!("{long}\r\n\r\n")), Err(HeadError::TooLarge));
        assert_eq!(parse(&format!("GET / HTTP/1.1\r\n{}", "x:\r\n".repeat(101))), Err(HeadError::TooLarge));
    }
}
