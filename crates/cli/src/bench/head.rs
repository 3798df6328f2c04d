//! The head of an answer: its status, and where its body ends (RFC 9112 section 6.3). Whatever two readers could read
//! differently is malformed.

use httparse::{EMPTY_HEADER, Status};

use super::tally::Failure;

pub(super) const MOST_HEADERS: usize = 64;

/// Where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    UntilClosed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) framing: Framing,
    /// Whether the connection stays open afterwards.
    pub(super) stays: bool,
}

/// The head of an answer and its length; `None` while it is not whole.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Failure> {
    let mut headers = [EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let Status::Complete(length) = response.parse(bytes).map_err(|_| Failure::MalformedAnswer)? else {
        return Ok(None);
    };
    let status = response.code.filter(|status| *status >= 100).ok_or(Failure::MalformedAnswer)?;
    let (mut body, mut is_chunked, mut stays) = (None, false, response.version == Some(1));
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let value = number(header.value).ok_or(Failure::MalformedAnswer)?;
            if body.is_some_and(|former| former != value) {
                return Err(Failure::MalformedAnswer);
            }
            body = Some(value);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if is_chunked || !header.value.eq_ignore_ascii_case(b"chunked") {
                return Err(Failure::MalformedAnswer);
            }
            is_chunked = true;
        } else if header.name.eq_ignore_ascii_case("connection") {
            let mut options = header.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            stays &= !options.any(|option| option.eq_ignore_ascii_case(b"close"));
        }
    }
    let framing = match (body, is_chunked) {
        _ if status < 200 || status == 204 || status == 304 => Framing::Length(0),
        (Some(_), true) => return Err(Failure::MalformedAnswer),
        (Some(length), false) => Framing::Length(length),
        (None, true) => Framing::Chunked,
        (None, false) => Framing::UntilClosed,
    };
    Ok(Some((Head { status, framing, stays: stays && framing != Framing::UntilClosed }, length)))
}

fn number(digits: &[u8]) -> Option<u64> {
    // `parse` would take a plus sign.
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}
