//! The one place where failures become responses.
//!
//! Descriptions are fixed ASCII texts: they never repeat a token, a key or a caller's data.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use jose::error::{JsonError, ParseError};

use authority::error::MalformedToken;

/// Carries the description of an error where a body may not (RFC 9110 section 15.3.5 forbids one on 204).
const X_ERROR_DESCRIPTION: HeaderName = HeaderName::from_static("x-error-description");

/// A request that is not answered with what it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    reason: Reason,
    /// Whether the connection cannot be used for another request, because of what may still be under way on it.
    closes: bool,
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    NotFound,
    MethodNotAllowed { allow: &'static str },
    InvalidContentType,
    BodyTooLarge,
    BodyTimeout,
    BodyBroken,
    NotAnObject(JsonError),
    MissingToken,
    TokenNotString,
    MissingSigningKey,
    SigningKeyNotString,
    MalformedToken(MalformedToken),
    MissingUserData,
    UserDataNotString,
    Internal,
}

/// In which form a route tells its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The simple contract's `{"status": …, "description": …}`.
    Simple,
    /// Problem details (RFC 9457).
    Problem,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, closes: matches!(reason, Reason::BodyTooLarge | Reason::BodyTimeout | Reason::BodyBroken) }
    }
}

impl Reason {
    fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::InvalidContentType => StatusCode::ACCEPTED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::MissingToken => StatusCode::NON_AUTHORITATIVE_INFORMATION,
            Self::MissingSigningKey => StatusCode::NO_CONTENT,
            Self::BodyBroken
            | Self::NotAnObject(_)
            | Self::TokenNotString
            | Self::SigningKeyNotString
            | Self::MalformedToken(_)
            | Self::MissingUserData
            | Self::UserDataNotString => StatusCode::BAD_REQUEST,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::NotFound => "There is nothing at this path",
            Self::MethodNotAllowed { .. } => "Method not allowed, see the Allow header",
            Self::InvalidContentType => "Invalid content type",
            Self::BodyTooLarge => "Request body is too large",
            Self::BodyTimeout => "Request body did not arrive in time",
            Self::BodyBroken => "Request body is incomplete or wrongly framed",
            Self::NotAnObject(error) => match error {
                JsonError::Syntax { .. } | JsonError::NotAnObject => "Request body is not a JSON object",
                JsonError::NotUtf8 { .. } => "Request body is not a JSON object: invalid UTF-8",
                JsonError::LoneSurrogate { .. } => "Request body is not a JSON object: lone surrogate",
                JsonError::TooDeep => "Request body is not a JSON object: nested deeper than 128",
                JsonError::DuplicateMember => "Request body is not a JSON object: a member is given twice",
                JsonError::TooManyMembers => "Request body is not a JSON object: too many members",
                JsonError::Trailing { .. } => "Request body is not a JSON object: something follows it",
            },
            Self::MissingToken => "Missing token in GET request body",
            Self::TokenNotString => "Token is not a string",
            Self::MissingSigningKey => "Missing signing key in GET request body",
            Self::SigningKeyNotString => "Signing_key is not a string",
            Self::MalformedToken(error) => match error {
                MalformedToken::Form(ParseError::PartCount) => "Malformed token: not three parts",
                MalformedToken::Form(ParseError::TooLong) => "Malformed token: too long",
                MalformedToken::Form(_) => "Malformed token: a part is not base64url",
                MalformedToken::Header(_) => "Malformed token: the header is not a JSON object",
                MalformedToken::Claims(_) => "Malformed token: the claims are not a JSON object",
            },
            Self::MissingUserData => "Missing user_data in request body",
            Self::UserDataNotString => "user_data is not a string",
            Self::Internal => "Internal error",
        }
    }
}

impl Refusal {
    /// The same refusal of a request whose body was not read to its end.
    pub(crate) fn and_close(self) -> Self {
        Self { closes: true, ..self }
    }

    /// The response, in the form that the route's clients know.
    pub(crate) fn into_response(self, dialect: Dialect) -> Response<Full<Bytes>> {
        let (status, description) = (self.reason.status(), self.reason.description());
        let (content_type, body) = match dialect {
            // Not even an empty body, so that no length is announced either.
            Dialect::Simple if status == StatusCode::NO_CONTENT => (None, String::new()),
            Dialect::Simple => (
                Some("application/json"),
                format!("{{\"status\": {}, \"description\": \"{}\"}}", status.as_u16(), description),
            ),
            Dialect::Problem => (
                Some("application/problem+json"),
                format!(
                    "{{\"type\": \"about:blank\", \"title\": \"{}\", \"status\": {}, \"detail\": \"{}\"}}",
                    status.canonical_reason().unwrap_or("Error"),
                    status.as_u16(),
                    description
                ),
            ),
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if dialect == Dialect::Simple {
            headers.insert(X_ERROR_DESCRIPTION, HeaderValue::from_static(description));
        }
        if let Reason::MethodNotAllowed { allow } = self.reason {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
