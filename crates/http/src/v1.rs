//! `/v1`: administration. Every call needs a bearer token with the scope of what it does.

use std::net::IpAddr;

use authority::{Caller, Once};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::Value;

use crate::bearer::{self, Bearer};
use crate::form::{self, Form};
use crate::limits::Limits;
use crate::members::Members;
use crate::refusal::{Reason, Refusal};
use crate::router::Router;
use crate::shown::set;
use crate::{body, v1_clients, v1_keys, v1_revocations, v1_tokens};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What a path below `/v1/` is about; what names an entity is still as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'p> {
    Mint,
    Verify,
    Keys,
    Rotate,
    Key(&'p str),
    KeyStep(&'p str, Step),
    Slots,
    Slot(&'p str),
    Clients,
    Client(&'p str),
    Secrets(&'p str),
    Secret(&'p str, &'p str),
    Revocations,
    RevocationBatch,
    Revocation(&'p str),
    Audit,
}

/// What is done to a key by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Activate,
    Retire,
    Compromise,
}

impl<'p> Route<'p> {
    /// The route of a path behind `/v1/`.
    pub(crate) fn find(path: &'p str) -> Option<Self> {
        let segments: Vec<&str> = path.split('/').collect();
        Some(match segments[..] {
            ["tokens", "mint"] => Self::Mint,
            ["tokens", "verify"] => Self::Verify,
            ["keys"] => Self::Keys,
            ["keys", "rotate"] => Self::Rotate,
            ["keys", id] if !id.is_empty() => Self::Key(id),
            ["keys", id, "activate"] => Self::KeyStep(id, Step::Activate),
            ["keys", id, "retire"] => Self::KeyStep(id, Step::Retire),
            ["keys", id, "compromise"] => Self::KeyStep(id, Step::Compromise),
            ["slots"] => Self::Slots,
            ["slots", algorithm] if !algorithm.is_empty() => Self::Slot(algorithm),
            ["clients"] => Self::Clients,
            ["clients", id] if !id.is_empty() => Self::Client(id),
            ["clients", id, "secrets"] => Self::Secrets(id),
            ["clients", id, "secrets", secret] if !secret.is_empty() => Self::Secret(id, secret),
            ["revocations"] => Self::Revocations,
            ["revocations", "batch"] => Self::RevocationBatch,
            ["revocations", id] if !id.is_empty() => Self::Revocation(id),
            ["audit"] => Self::Audit,
            _ => return None,
        })
    }

    /// For logs and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mint => "/v1/tokens/mint",
            Self::Verify => "/v1/tokens/verify",
            Self::Keys => "/v1/keys",
            Self::Rotate => "/v1/keys/rotate",
            Self::Key(_) => "/v1/keys/{id}",
            Self::KeyStep(_, Step::Activate) => "/v1/keys/{id}/activate",
            Self::KeyStep(_, Step::Retire) => "/v1/keys/{id}/retire",
            Self::KeyStep(_, Step::Compromise) => "/v1/keys/{id}/compromise",
            Self::Slots => "/v1/slots",
            Self::Slot(_) => "/v1/slots/{algorithm}",
            Self::Clients => "/v1/clients",
            Self::Client(_) => "/v1/clients/{id}",
            Self::Secrets(_) => "/v1/clients/{id}/secrets",
            Self::Secret(..) => "/v1/clients/{id}/secrets/{secret_id}",
            Self::Revocations => "/v1/revocations",
            Self::RevocationBatch => "/v1/revocations/batch",
            Self::Revocation(_) => "/v1/revocations/{id}",
            Self::Audit => "/v1/audit",
        }
    }

    fn methods(self) -> &'static str {
        match self {
            Self::Mint | Self::Verify | Self::Rotate | Self::KeyStep(..) | Self::Secrets(_) | Self::RevocationBatch => {
                "POST"
            }
            Self::Keys | Self::Clients | Self::Revocations => "GET, HEAD, POST",
            Self::Key(_) | Self::Slots | Self::Revocation(_) | Self::Audit => "GET, HEAD",
            Self::Slot(_) => "PATCH",
            Self::Client(_) => "GET, HEAD, PATCH, DELETE",
            Self::Secret(..) => "DELETE",
        }
    }

    fn scope(self) -> &'static str {
        match self {
            Self::Mint => "jotd:mint",
            Self::Verify => "jotd:verify",
            Self::Keys | Self::Rotate | Self::Key(_) | Self::KeyStep(..) | Self::Slots | Self::Slot(_) => "jotd:keys",
            Self::Clients | Self::Client(_) | Self::Secrets(_) | Self::Secret(..) => "jotd:clients",
            Self::Revocations | Self::RevocationBatch | Self::Revocation(_) => "jotd:revoke",
            Self::Audit => "jotd:audit",
        }
    }
}

impl Route<'_> {
    fn body_limit(self, limits: &Limits) -> usize {
        if self == Self::RevocationBatch { limits.batch_body_bytes } else { limits.api_body_bytes }
    }
}

/// A call by somebody who may make it.
pub(crate) struct Call {
    pub(crate) bearer: Bearer,
    pub(crate) method: Method,
    /// The idempotency key, with the request that it came with.
    once: Option<Once>,
    query: String,
    body: Vec<u8>,
}

/// Answers a call.
pub(crate) async fn answer(
    router: &Router,
    route: Route<'_>,
    request: Request<Incoming>,
    address: IpAddr,
) -> Result<Response<Full<Bytes>>, Refusal> {
    let call = Call::read(router, route, request, address).await?;
    match route {
        Route::Mint => v1_tokens::mint(router, &call),
        Route::Verify => v1_tokens::verify(router, &call).await,
        Route::Keys if call.reads() => v1_keys::list(router, &call),
        Route::Keys => v1_keys::create(router, &call).await,
        Route::Rotate => v1_keys::rotate(router, &call).await,
        Route::Key(id) => v1_keys::show(router, &call, &segment(id)?),
        Route::KeyStep(id, step) => v1_keys::step(router, &call, &segment(id)?, step).await,
        Route::Slots => v1_keys::slots(router, &call),
        Route::Slot(algorithm) => v1_keys::schedule(router, &call, &segment(algorithm)?).await,
        Route::Clients if call.reads() => v1_clients::list(router, &call),
        Route::Clients => v1_clients::create(router, &call).await,
        Route::Client(id) => v1_clients::one(router, &call, &segment(id)?).await,
        Route::Secrets(id) => v1_clients::add_secret(router, &call, &segment(id)?).await,
        Route::Secret(id, secret) => v1_clients::remove_secret(router, &call, &segment(id)?, &segment(secret)?).await,
        Route::Revocations if call.reads() => v1_revocations::list(router, &call).await,
        Route::Revocations => v1_revocations::create(router, &call).await,
        Route::RevocationBatch => v1_revocations::create_many(router, &call).await,
        Route::Revocation(id) => v1_revocations::show(router, &call, &segment(id)?).await,
        Route::Audit => v1_revocations::audit(router, &call).await,
    }
}

impl Call {
    async fn read(
        router: &Router,
        route: Route<'_>,
        request: Request<Incoming>,
        address: IpAddr,
    ) -> Result<Self, Refusal> {
        let (limit, timeout) = (route.body_limit(&router.limits), router.limits.body_timeout);
        let methods = route.methods();
        let refusal = if !methods.split(", ").any(|method| request.method() == method) {
            Some(Refusal::from(Reason::MethodNotAllowed { allow: methods }))
        } else {
            None
        };
        let authorized = match refusal {
            Some(refusal) => Err(refusal),
            None => bearer::authorize(router, request.headers(), address, route.scope()),
        };
        let bearer = match authorized {
            Ok(bearer) => bearer,
            Err(refusal) => {
                let whole = body::discard(request, limit, timeout).await;
                return Err(if whole { refusal } else { refusal.and_close() });
            }
        };
        let (method, uri, headers) = (request.method().clone(), request.uri().clone(), request.headers().clone());
        let body = body::read(request, limit, timeout).await?;
        if !body.is_empty() && !body::is_media_type(&headers, b"application/json") {
            return Err(Reason::UnsupportedMediaType { expected: "The media type must be application/json" }.into());
        }
        let once = idempotency_key(&headers)?
            .map(|key| Once::new(key, &[method.as_str().as_bytes(), uri.path().as_bytes(), &body]));
        Ok(Self { bearer, method, once, query: uri.query().unwrap_or_default().to_owned(), body })
    }

    pub(crate) fn reads(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }

    /// Whoever calls, for the log; with the idempotency key, where what is done creates something.
    pub(crate) fn caller(&self) -> Caller {
        Caller { name: self.bearer.actor.clone(), once: self.once.clone(), scopes: Some(self.bearer.scopes.clone()) }
    }

    /// The members of the body. No body at all is an object without members.
    pub(crate) fn members(&self) -> Result<Members, Refusal> {
        if self.body.is_empty() { Members::parse(b"{}") } else { Members::parse(&self.body) }
    }

    /// For calls that take nothing.
    pub(crate) fn takes_nothing(&self) -> Result<(), Refusal> {
        self.members()?.finish()
    }

    /// The query, which may have these parameters.
    pub(crate) fn query(&self, names: &[&str]) -> Result<Form<'_>, Refusal> {
        let form = Form::parse(self.query.as_bytes()).map_err(|error| Reason::Query(error.description()))?;
        if !form.has_only(names) {
            return Err(Reason::Query("There is a parameter that is not known here").into());
        }
        if form.repeats("") {
            return Err(Reason::Query("A parameter is given twice").into());
        }
        Ok(form)
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let key = value
                .to_str()
                .ok()
                .filter(|key| (1..=255).contains(&key.len()) && key.bytes().all(|byte| matches!(byte, 0x21..=0x7e)));
            let wrong = Reason::Query("Idempotency-Key must be 1 to 255 visible ASCII characters");
            Ok(Some(key.ok_or(wrong)?.to_owned()))
        }
        _ => Err(Reason::Query("Idempotency-Key is given twice").into()),
    }
}

/// The text of a segment of a path. What cannot be read names nothing.
fn segment(text: &str) -> Result<String, Refusal> {
    // A plus stands for itself in a path.
    let text = text.replace('+', "%2B");
    form::decode(text.as_bytes()).map(|text| text.into_owned()).map_err(|_| Reason::NotFound.into())
}

/// A part of a list.
pub(crate) struct Page {
    pub(crate) limit: usize,
    /// Where the part before ended.
    pub(crate) after: Option<String>,
}

impl Page {
    pub(crate) const PARAMETERS: [&str; 2] = ["limit", "cursor"];

    pub(crate) fn of(query: &Form<'_>) -> Result<Self, Refusal> {
        let one = |name| query.given(name).map_err(|error| Reason::Query(error.description()));
        let limit = match one("limit")? {
            None => 50,
            Some(text) => match text.parse() {
                Ok(limit @ 1..=200) if text.bytes().all(|byte| byte.is_ascii_digit()) => limit,
                _ => return Err(Reason::Query("limit must be a whole number from 1 to 200").into()),
            },
        };
        let cursor = one("cursor")?.map(|cursor| {
            let bytes = jose::base64url::decode(cursor.as_bytes()).ok().filter(|bytes| !bytes.is_empty());
            bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(Reason::Query("cursor is not one of ours"))
        });
        Ok(Self { limit, after: cursor.transpose()? })
    }

    /// The part of a list that is in order of its ids, and in memory.
    pub(crate) fn cut<T>(&self, all: impl Iterator<Item = T>, id: impl Fn(&T) -> &str) -> (Vec<T>, Option<String>) {
        let is_next = |item: &T| self.after.as_deref().is_none_or(|after| id(item) > after);
        let mut items: Vec<T> = all.filter(is_next).take(self.limit + 1).collect();
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let next = items.last().filter(|_| more).map(|last| id(last).to_owned());
        (items, next)
    }
}

/// A list, or a part of it with the cursor of the next.
pub(crate) fn list_answer(items: Vec<Value>, next: Option<String>) -> Response<Full<Bytes>> {
    let mut body = serde_json::json!({ "items": items });
    if let Some(next) = next {
        set(&mut body, "next_cursor", jose::base64url::encode(next.as_bytes()));
    }
    ok(&body)
}

pub(crate) fn ok(body: &Value) -> Response<Full<Bytes>> {
    with_status(StatusCode::OK, body)
}

/// What was created, and where it is now.
pub(crate) fn created(body: &Value, location: &str) -> Response<Full<Bytes>> {
    let mut response = with_status(StatusCode::CREATED, body);
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

pub(crate) fn no_content() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn with_status(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
