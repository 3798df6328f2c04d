//! The one place where failures become responses: what went wrong, its status and its code, in the form that the route's
//! clients know.
//!
//! Descriptions never repeat a token, a key or a caller's data, and internal causes are logged, never sent.

use std::borrow::Cow;

use authority::error::{
    AdminError, AuthenticationError, ClientError, GrantError, KeyringError, MalformedToken, MintError, RevokeError,
    StoreError,
};
use hyper::StatusCode;
use jose::error::{JsonError, ParseError, SignError};
use serde_json::{Value, json};

use crate::response::Response;
use crate::shown::set;

/// How soon it is worth trying again when the store did not answer, in seconds.
const STORE_RETRY: u64 = 1;

/// A request that is not answered with what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal(Reason);

/// Why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    NotFound,
    MethodNotAllowed {
        allow: &'static str,
    },
    InvalidContentType,
    UnsupportedMediaType {
        expected: &'static str,
    },
    MalformedHead,
    HeadTooLarge,
    /// No refusal: the body is wanted, and the client waits for word of it.
    BodyAwaited,
    BodyTooLarge,
    BodyTimeout,
    BodyBroken,
    NotAnObject(JsonError),
    NotAnArray,
    TooManyItems,
    MissingToken,
    TokenNotString,
    MissingSigningKey,
    SigningKeyNotString,
    MalformedToken(MalformedToken),
    MissingUserData,
    UserDataNotString,
    Internal,
    /// Something about the parameters of an OAuth request (RFC 6749 section 5.2).
    InvalidRequest(&'static str),
    UnsupportedGrantType,
    /// Whoever it is, it is not who it says.
    InvalidClient,
    /// A client asked for something about a token of another's.
    NotYourToken,
    /// No bearer token where one is needed (RFC 6750 section 3).
    NoBearer,
    /// A bearer token that is not accepted.
    InvalidBearer,
    /// A bearer token without the scope that is needed.
    InsufficientScope(&'static str),
    /// Authentication failed too often.
    TooManyFailures {
        retry_after: u64,
    },
    /// There is more to do than can be done in time.
    Overloaded {
        retry_after: u64,
    },
    /// What is known here is too old to answer by it.
    Stale,
    /// A member of a request is missing, unknown, or not what it should be.
    Member {
        code: &'static str,
        detail: String,
    },
    /// A parameter of the query.
    Query(&'static str),
    /// A token is not granted.
    Grant(GrantError),
    /// A mutation is not made.
    Admin(AdminError),
}

/// In which form a route tells its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The simple contract's `{"status": …, "description": …}`.
    Simple,
    /// OAuth's `{"error": …, "error_description": …}` (RFC 6749 section 5.2).
    OAuth,
    /// Problem details (RFC 9457).
    Problem,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self(reason)
    }
}

impl From<AdminError> for Refusal {
    fn from(error: AdminError) -> Self {
        match error {
            // As if that had been known when it came.
            AdminError::CallerRevoked => Reason::InvalidBearer.into(),
            error => Reason::Admin(error).into(),
        }
    }
}

impl From<KeyringError> for Refusal {
    fn from(error: KeyringError) -> Self {
        Reason::Admin(error.into()).into()
    }
}

impl From<GrantError> for Refusal {
    fn from(error: GrantError) -> Self {
        Reason::Grant(error).into()
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Reason::Admin(error.into()).into()
    }
}

impl Reason {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::InvalidContentType => StatusCode::ACCEPTED,
            Self::UnsupportedMediaType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodyAwaited => StatusCode::CONTINUE,
            Self::Overloaded { .. } | Self::Stale => StatusCode::SERVICE_UNAVAILABLE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::MissingToken => StatusCode::NON_AUTHORITATIVE_INFORMATION,
            Self::MissingSigningKey => StatusCode::NO_CONTENT,
            Self::InvalidClient | Self::NoBearer | Self::InvalidBearer => StatusCode::UNAUTHORIZED,
            Self::InsufficientScope(_) => StatusCode::FORBIDDEN,
            Self::TooManyFailures { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::MalformedHead
            | Self::BodyBroken
            | Self::NotAnObject(_)
            | Self::NotAnArray
            | Self::TooManyItems
            | Self::TokenNotString
            | Self::SigningKeyNotString
            | Self::MalformedToken(_)
            | Self::MissingUserData
            | Self::UserDataNotString
            | Self::InvalidRequest(_)
            | Self::UnsupportedGrantType
            | Self::NotYourToken
            | Self::Member { .. }
            | Self::Query(_) => StatusCode::BAD_REQUEST,
            Self::Grant(error) => grant_status(error),
            Self::Admin(error) => admin_status(error),
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A stable name for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::InvalidContentType | Self::UnsupportedMediaType { .. } => "unsupported_media_type",
            Self::MalformedHead => "malformed_head",
            Self::HeadTooLarge => "head_too_large",
            Self::BodyAwaited => "continue",
            Self::Overloaded { .. } => "overloaded",
            Self::Stale => "stale",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyBroken => "body_broken",
            Self::NotAnObject(error) => error.code(),
            Self::NotAnArray => "json_not_an_array",
            Self::TooManyItems => "too_many_items",
            Self::MissingToken | Self::TokenNotString => "token_missing",
            Self::MissingSigningKey | Self::SigningKeyNotString => "signing_key_missing",
            Self::MalformedToken(error) => error.code(),
            Self::MissingUserData | Self::UserDataNotString => "user_data_missing",
            Self::Internal => "internal",
            Self::InvalidRequest(_) | Self::Query(_) => "invalid_request",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidClient => "invalid_client",
            Self::NotYourToken => "unauthorized_client",
            Self::NoBearer => "unauthenticated",
            Self::InvalidBearer => "invalid_token",
            Self::InsufficientScope(_) => "insufficient_scope",
            Self::TooManyFailures { .. } => "too_many_failures",
            Self::Member { code, .. } => code,
            Self::Grant(error) => error.code(),
            Self::Admin(error) => error.code(),
        }
    }

    /// The code that OAuth has for it (RFC 6749 section 5.2, RFC 8707 section 2, and by analogy).
    fn oauth_code(&self) -> &'static str {
        match self.status() {
            _ if matches!(self, Self::Grant(GrantError::Scope)) => "invalid_scope",
            _ if matches!(self, Self::Grant(GrantError::Target)) => "invalid_target",
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => "temporarily_unavailable",
            StatusCode::INTERNAL_SERVER_ERROR => "server_error",
            StatusCode::UNAUTHORIZED if matches!(self, Self::NoBearer) => "invalid_client",
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.code(),
            _ if matches!(self, Self::UnsupportedGrantType | Self::NotYourToken) => self.code(),
            _ => "invalid_request",
        }
    }

    fn description(&self) -> Cow<'static, str> {
        let fixed = match self {
            Self::NotFound => "There is nothing at this path",
            Self::MethodNotAllowed { .. } => "Method not allowed, see the Allow header",
            Self::InvalidContentType => "Invalid content type",
            Self::UnsupportedMediaType { expected } => expected,
            Self::MalformedHead => "This is not an HTTP request, or one that could be read in two ways",
            Self::HeadTooLarge => "The request's header fields are too large or too many",
            Self::BodyAwaited => "Continue",
            Self::Overloaded { .. } => "There is more to do than can be done in time, try again later",
            Self::Stale => "The store is out of reach, and what is known here is too old to answer by it",
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
            Self::NotAnArray => "Request body is not a JSON array",
            Self::TooManyItems => "There are more than 10000 items; lines (application/x-ndjson) have no such limit",
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
            Self::InvalidRequest(what) | Self::Query(what) => what,
            Self::UnsupportedGrantType => "The only grant type is client_credentials",
            Self::InvalidClient => "Client authentication failed",
            Self::NotYourToken => "The token was issued to another client",
            Self::NoBearer => "A bearer token is needed",
            Self::InvalidBearer => "The bearer token is not accepted",
            Self::InsufficientScope(scope) => return format!("The token needs the scope {scope}").into(),
            Self::TooManyFailures { .. } => "Authentication failed too often, try again later",
            Self::Member { detail, .. } => return sentence(detail),
            Self::Grant(GrantError::Mint(MintError::Sign(SignError::TooLong))) => "The token would be too long",
            Self::Grant(GrantError::Mint(_)) => "Internal error",
            Self::Grant(error) => return sentence(&error.to_string()),
            Self::Admin(AdminError::Store(StoreError::Uncertain(_))) => {
                "The store did not answer in time; it is not known whether this was changed"
            }
            Self::Admin(AdminError::Store(_)) => "The store does not take changes at present; nothing was changed",
            Self::Admin(
                AdminError::Keyring(KeyringError::Seal(_)) | AdminError::Client(ClientError::Randomness(_)),
            ) => "Internal error",
            Self::Admin(error) => return sentence(&error.to_string()),
        };
        fixed.into()
    }

    /// Problem details (RFC 9457).
    fn problem(&self) -> Value {
        let status = self.status();
        let mut problem = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "code": self.code(),
            "detail": self.description(),
        });
        if let Self::Admin(AdminError::Keyring(KeyringError::TooEarly { allowed_at, .. })) = self {
            set(&mut problem, "allowed_at", allowed_at.0);
        }
        problem
    }

    /// What a client is asked to authenticate with (RFC 9110 section 11.6.1, RFC 6750 section 3).
    fn challenge(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::InvalidClient => Some("Basic realm=\"jotd\", charset=\"UTF-8\"".into()),
            Self::NoBearer => Some("Bearer realm=\"jotd\"".into()),
            Self::InvalidBearer => Some("Bearer realm=\"jotd\", error=\"invalid_token\"".into()),
            Self::InsufficientScope(scope) => {
                Some(format!("Bearer realm=\"jotd\", error=\"insufficient_scope\", scope=\"{scope}\"").into())
            }
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooManyFailures { retry_after } | Self::Overloaded { retry_after } => Some(*retry_after),
            Self::Admin(AdminError::Store(_)) | Self::Stale => Some(STORE_RETRY),
            Self::Grant(GrantError::ClientChanged) => Some(STORE_RETRY),
            Self::Grant(GrantError::JustRevoked { seconds }) => Some(seconds.unsigned_abs().max(1)),
            _ => None,
        }
    }
}

fn grant_status(error: &GrantError) -> StatusCode {
    match error {
        GrantError::Mint(MintError::Sign(SignError::TooLong)) => StatusCode::BAD_REQUEST,
        GrantError::Mint(_) => StatusCode::INTERNAL_SERVER_ERROR,
        GrantError::NoKey | GrantError::ClientChanged | GrantError::JustRevoked { .. } => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        GrantError::Algorithm => StatusCode::CONFLICT,
        GrantError::OwnScope => StatusCode::FORBIDDEN,
        GrantError::Scope
        | GrantError::Target
        | GrantError::ReservedClaim(_)
        | GrantError::Claims(_)
        | GrantError::MissingClaim(_)
        | GrantError::OwnAudience
        | GrantError::Lifetime { .. } => StatusCode::BAD_REQUEST,
    }
}

fn admin_status(error: &AdminError) -> StatusCode {
    match error {
        AdminError::Keyring(error) => match error {
            KeyringError::NoSuchKey | KeyringError::NoSuchSlot => StatusCode::NOT_FOUND,
            KeyringError::KeyExists
            | KeyringError::TooEarly { .. }
            | KeyringError::NotPossible { .. }
            | KeyringError::StillSigning
            | KeyringError::AlreadyPending { .. }
            | KeyringError::TooManyKeys
            | KeyringError::NoReplacement
            | KeyringError::FromOutside
            | KeyringError::OtherSimpleKey
            | KeyringError::GivenUp
            | KeyringError::NoPrivatePart => StatusCode::CONFLICT,
            KeyringError::Unusable(_) | KeyringError::Schedule { .. } => StatusCode::BAD_REQUEST,
            KeyringError::NotSetUp => StatusCode::SERVICE_UNAVAILABLE,
            KeyringError::Seal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        },
        AdminError::Client(error) => match error {
            ClientError::NoSuchClient | ClientError::NoSuchSecret => StatusCode::NOT_FOUND,
            ClientError::ClientExists
            | ClientError::TooManySecrets
            | ClientError::LastSecret
            | ClientError::Algorithm => StatusCode::CONFLICT,
            ClientError::Id
            | ClientError::Name
            | ClientError::Scope(_)
            | ClientError::Audiences
            | ClientError::Lifetime { .. }
            | ClientError::Jwks(_) => StatusCode::BAD_REQUEST,
            ClientError::Beyond => StatusCode::FORBIDDEN,
            ClientError::NotSetUp => StatusCode::SERVICE_UNAVAILABLE,
            ClientError::Randomness(_) => StatusCode::INTERNAL_SERVER_ERROR,
        },
        AdminError::Revoke(error) => match error {
            RevokeError::NoSuchClient => StatusCode::NOT_FOUND,
            RevokeError::NotOurs
            | RevokeError::TooMany
            | RevokeError::Expired
            | RevokeError::TooLong
            | RevokeError::Past
            | RevokeError::Far => StatusCode::BAD_REQUEST,
        },
        AdminError::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        AdminError::CallerRevoked => StatusCode::UNAUTHORIZED,
        AdminError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Errors speak in lower case and without a full stop; so do these details, but for their first letter.
fn sentence(text: &str) -> Cow<'static, str> {
    let mut chars = text.chars();
    let first = chars.next().into_iter().flat_map(char::to_uppercase);
    first.chain(chars).collect::<String>().into()
}

/// How a failed authentication is told: all reasons alike, but for a store that cannot be asked.
pub(crate) fn authentication_refused(error: &AuthenticationError) -> Reason {
    tracing::debug!(code = error.code(), "a client was not authenticated");
    match error {
        AuthenticationError::Store(error) => Reason::Admin(error.clone().into()),
        AuthenticationError::Secret
        | AuthenticationError::MalformedAssertion
        | AuthenticationError::AssertionSignature
        | AuthenticationError::AssertionClaims
        | AuthenticationError::Replayed => Reason::InvalidClient,
    }
}

impl Refusal {
    /// Whether it tells what has become of a change in the store.
    pub(crate) fn is_by_store(&self) -> bool {
        matches!(self.0, Reason::Admin(AdminError::Store(_)))
    }

    /// Appends the refusal of one item among others.
    pub(crate) fn write_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(json!({ "problem": self.0.problem() }).to_string().as_bytes());
    }

    /// The same as problem details, where it is about one of many.
    pub(crate) fn into_problem(self) -> Value {
        self.0.problem()
    }

    /// The response, in the form that the route's clients know.
    pub(crate) fn into_response(self, dialect: Dialect) -> Response {
        let reason = self.0;
        if reason == Reason::BodyAwaited {
            return Response::of(StatusCode::CONTINUE);
        }
        let (status, description) = (reason.status(), reason.description());
        let is_expected = matches!(
            reason,
            Reason::Grant(GrantError::JustRevoked { .. } | GrantError::ClientChanged)
                | Reason::Overloaded { .. }
                | Reason::Stale
        );
        if status.is_server_error() && !is_expected {
            tracing::error!(code = reason.code(), cause = ?reason, "a request failed");
        }
        let (content_type, body) = match dialect {
            // Not even an empty body, so that no length is announced either.
            Dialect::Simple if status == StatusCode::NO_CONTENT => (None, String::new()),
            Dialect::Simple => (
                Some("application/json"),
                format!("{{\"status\": {}, \"description\": \"{}\"}}", status.as_u16(), description),
            ),
            Dialect::OAuth => {
                let body = json!({ "error": reason.oauth_code(), "error_description": description });
                (Some("application/json"), body.to_string())
            }
            Dialect::Problem => (Some("application/problem+json"), reason.problem().to_string()),
        };
        let mut response = Response::empty(status).with_body(body.into_bytes());
        if let Some(content_type) = content_type {
            response = response.with("content-type", content_type);
        }
        if dialect == Dialect::Simple {
            // Where a body may not tell it (RFC 9110 section 15.3.5 forbids one on 204).
            response = response.with("x-error-description", description);
        }
        if let Reason::MethodNotAllowed { allow } = reason {
            response = response.with("allow", allow);
        }
        if let Some(challenge) = reason.challenge() {
            response = response.with("www-authenticate", challenge);
        }
        if let Some(seconds) = reason.retry_after() {
            response = response.with("retry-after", seconds.to_string());
        }
        response
    }
}
