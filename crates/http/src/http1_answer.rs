//! Answers of HTTP/1 (RFC 9112), as bytes.

use std::io::Write as _;

use crate::buffers;
use crate::date;
use crate::response::Response;

/// What an answer depends on besides itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Protocol {
    pub(crate) is_http10: bool,
    /// Only the head of the answer is wanted.
    pub(crate) is_head: bool,
}

/// Appends a whole answer.
pub(crate) fn write(output: &mut Vec<u8>, response: &Response, protocol: Protocol, closes: bool) {
    if output.capacity() == 0 {
        *output = buffers::take();
    }
    write_head(output, response, protocol.is_http10);
    if response.may_have_body() {
        output.extend_from_slice(b"content-length: ");
        // Writing to a vector cannot fail.
        let _ = write!(output, "{}", response.body.len());
        output.extend_from_slice(b"\r\n");
    }
    if closes {
        output.extend_from_slice(b"connection: close\r\n");
    } else if protocol.is_http10 {
        output.extend_from_slice(b"connection: keep-alive\r\n");
    }
    output.extend_from_slice(b"\r\n");
    if response.may_have_body() && !protocol.is_head {
        output.extend_from_slice(&response.body);
    }
}

/// The status line and the fields but for those that frame the body.
pub(crate) fn write_head(output: &mut Vec<u8>, response: &Response, is_http10: bool) {
    output.extend_from_slice(if is_http10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    output.extend_from_slice(response.status.as_str().as_bytes());
    output.push(b' ');
    output.extend_from_slice(response.status.canonical_reason().unwrap_or_default().as_bytes());
    output.extend_from_slice(b"\r\ndate: ");
    date::write(output);
    output.extend_from_slice(b"\r\n");
    for (name, value) in response.fields() {
        output.extend_from_slice(name.as_bytes());
        output.extend_from_slice(b": ");
        output.extend_from_slice(value.as_bytes());
        output.extend_from_slice(b"\r\n");
    }
}
