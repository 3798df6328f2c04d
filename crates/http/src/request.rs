//! A request as the routes see it, whichever protocol it came by. It borrows everything: nothing of a request is copied
//! before a route asks for it.

use std::net::IpAddr;

use hyper::HeaderMap;
use tokio::net::TcpStream;

use crate::refusal::Reason;

/// A request, whole or with the reason why the rest of it was not read.
#[derive(Clone, Copy)]
pub(crate) struct Request<'r> {
    /// Any word that a client makes up.
    pub(crate) method: &'r str,
    pub(crate) path: &'r str,
    /// Behind the question mark; empty where there is none.
    pub(crate) query: &'r str,
    pub(crate) headers: Headers<'r>,
    pub(crate) body: Body<'r>,
    /// Who sent it.
    pub(crate) address: IpAddr,
    /// Where it shows that the client has left, if it is the only request on its connection.
    pub(crate) client: Option<&'r TcpStream>,
}

/// A request's body. A route that refuses a request for what its head says never looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body<'r> {
    Whole(&'r [u8]),
    /// The client waits for word that it is wanted (RFC 9110 section 10.1.1).
    Awaited,
    TooLarge,
    TooSlow,
    /// It ended early, or its chunks are malformed.
    Broken,
}

impl<'r> Body<'r> {
    /// Whether the connection cannot be used for another request: the rest of this one is still under way on it.
    pub(crate) fn is_unread(self) -> bool {
        !matches!(self, Self::Whole(_))
    }
}

impl<'r> Request<'r> {
    /// The whole body, or why there is none.
    pub(crate) fn body(&self) -> Result<&'r [u8], Reason> {
        match self.body {
            Body::Whole(bytes) => Ok(bytes),
            Body::Awaited => Err(Reason::BodyAwaited),
            Body::TooLarge => Err(Reason::BodyTooLarge),
            Body::TooSlow => Err(Reason::BodyTimeout),
            Body::Broken => Err(Reason::BodyBroken),
        }
    }

    /// Ends when the client has closed the connection, or its side of it.
    pub(crate) async fn left(&self) {
        let gone = match self.client {
            Some(client) => matches!(client.peek(&mut [0]).await, Ok(0) | Err(_)),
            None => false,
        };
        if !gone {
            std::future::pending().await
        }
    }

    /// Whether it only asks, and may be asked twice.
    pub(crate) fn reads(&self) -> bool {
        matches!(self.method, "GET" | "HEAD")
    }

    /// That it only asks.
    pub(crate) fn must_read(&self) -> Result<(), Reason> {
        if self.reads() { Ok(()) } else { Err(Reason::MethodNotAllowed { allow: "GET, HEAD" }) }
    }

    /// Whether the one media type is this, in any case and with any parameters (RFC 9110 section 8.3.1).
    pub(crate) fn is_media_type(&self, wanted: &str) -> bool {
        let mut values = self.headers.all("content-type");
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        // Mostly it is the very word, and nothing has to be looked for in it.
        value == wanted.as_bytes()
            || value
                .split(|&byte| byte == b';')
                .next()
                .is_some_and(|media_type| media_type.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
    }
}

/// The header fields of a request.
#[derive(Clone, Copy)]
pub(crate) enum Headers<'r> {
    Http1(&'r [httparse::Header<'r>]),
    Http2(&'r HeaderMap),
}

impl<'r> Headers<'r> {
    /// The values of the fields of this name, which is in lower case.
    pub(crate) fn all(self, name: &'static str) -> impl Iterator<Item = &'r [u8]> {
        match self {
            Self::Http1(fields) => Values::Http1(fields.iter(), name),
            Self::Http2(map) => Values::Http2(map.get_all(name).iter()),
        }
    }

    /// The value of the first field of this name.
    pub(crate) fn find(self, name: &'static str) -> Option<&'r [u8]> {
        self.all(name).next()
    }

    /// The values of the fields of this name that are visible ASCII.
    pub(crate) fn texts(self, name: &'static str) -> impl Iterator<Item = &'r str> {
        self.all(name).filter_map(text)
    }
}

/// The values of the fields of one name.
enum Values<'r> {
    Http1(std::slice::Iter<'r, httparse::Header<'r>>, &'static str),
    Http2(hyper::header::ValueIter<'r, hyper::header::HeaderValue>),
}

impl<'r> Iterator for Values<'r> {
    type Item = &'r [u8];

    fn next(&mut self) -> Option<&'r [u8]> {
        match self {
            Self::Http1(fields, name) => {
                let is_it = |field: &&httparse::Header<'_>| {
                    field.name.len() == name.len() && field.name.eq_ignore_ascii_case(name)
                };
                fields.find(is_it).map(|field| field.value)
            }
            Self::Http2(values) => values.next().map(|value| value.as_bytes()),
        }
    }
}

/// A header's value as text: visible ASCII, spaces and tabs.
pub(crate) fn text(value: &[u8]) -> Option<&str> {
    let is_text = value.iter().all(|&byte| matches!(byte, b' '..=b'~' | b'\t'));
    std::str::from_utf8(value).ok().filter(|_| is_text)
}
