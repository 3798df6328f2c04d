//! An answer, before it is known by which protocol it goes out.

use std::borrow::Cow;

use hyper::StatusCode;

/// A status, header fields and a body.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    /// The same for many answers.
    fields: &'static [(&'static str, &'static str)],
    /// What only this answer has.
    own_fields: Vec<(&'static str, Cow<'static, str>)>,
    pub(crate) body: Cow<'static, [u8]>,
}

/// Some of these statuses are cacheable, and caches do not look at the body that makes GET requests differ.
const JSON: &[(&str, &str)] = &[("content-type", "application/json"), ("cache-control", "no-store")];

const NO_STORE: &[(&str, &str)] = &[("cache-control", "no-store")];

impl Response {
    /// JSON that no cache may keep.
    pub(crate) fn json(body: impl Into<Cow<'static, [u8]>>) -> Self {
        Self { fields: JSON, body: body.into(), ..Self::of(StatusCode::OK) }
    }

    /// An empty answer that no cache may keep.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { fields: NO_STORE, ..Self::of(status) }
    }

    /// An empty answer without any header field of its own.
    pub(crate) fn of(status: StatusCode) -> Self {
        Self { status, fields: &[], own_fields: Vec::new(), body: Cow::Borrowed(&[]) }
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn with_body(self, body: impl Into<Cow<'static, [u8]>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// With one more header field, whose name is in lower case. A value that cannot stand in one leaves it out.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        let value = value.into();
        if value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
            self.own_fields.push((name, value));
        }
        self
    }

    /// The header fields, but for those that belong to the protocol.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let own = self.own_fields.iter().map(|(name, value)| (*name, &**value));
        self.fields.iter().copied().chain(own)
    }

    /// Whether an answer with this status has a body at all, even an empty one (RFC 9110 section 6.4.1).
    pub(crate) fn may_have_body(&self) -> bool {
        !matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }
}
