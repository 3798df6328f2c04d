//! `/v1`: administration. Every call needs a bearer token with the scope of what it does.

use authority::{Caller, Once};
use hyper::StatusCode;
use serde_json::Value;

use crate::bearer::{self, Bearer};
use crate::form::{self, Form};
use crate::members::Members;
use crate::refusal::{Reason, Refusal};
use crate::request::{self, Headers, Request};
use crate::response::Response;
use crate::router::Router;
use crate::shown::set;
use crate::v1_batch::{Batch, Kind};
use crate::{v1_clients, v1_keys, v1_revocations, v1_tokens};

/// What a path below `/v1/` is about; what names an entity is still as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'p> {
    Mint,
    Verify,
    Batch(Kind),
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
            ["tokens", "mint-batch"] => Self::Batch(Kind::Mint),
            ["tokens", "verify-batch"] => Self::Batch(Kind::Verify),
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
            Self::Batch(Kind::Mint) => "/v1/tokens/mint-batch",
            Self::Batch(Kind::Verify) => "/v1/tokens/verify-batch",
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

    /// Whether a call changes what is stored.
    pub(crate) fn changes(self, method: &str) -> bool {
        !matches!(self, Self::Mint | Self::Verify | Self::Batch(_)) && !matches!(method, "GET" | "HEAD")
    }

    fn methods(self) -> &'static str {
        match self {
            Self::Mint | Self::Verify | Self::Batch(_) | Self::Rotate | Self::KeyStep(..) => "POST",
            Self::Secrets(_) | Self::RevocationBatch => "POST",
            Self::Keys | Self::Clients | Self::Revocations => "GET, HEAD, POST",
            Self::Key(_) | Self::Slots | Self::Revocation(_) | Self::Audit => "GET, HEAD",
            Self::Slot(_) => "PATCH",
            Self::Client(_) => "GET, HEAD, PATCH, DELETE",
            Self::Secret(..) => "DELETE",
        }
    }

    fn scope(self) -> &'static str {
        match self {
            Self::Mint | Self::Batch(Kind::Mint) => "jotd:mint",
            Self::Verify | Self::Batch(Kind::Verify) => "jotd:verify",
            Self::Keys | Self::Rotate | Self::Key(_) | Self::KeyStep(..) | Self::Slots | Self::Slot(_) => "jotd:keys",
            Self::Clients | Self::Client(_) | Self::Secrets(_) | Self::Secret(..) => "jotd:clients",
            Self::Revocations | Self::RevocationBatch | Self::Revocation(_) => "jotd:revoke",
            Self::Audit => "jotd:audit",
        }
    }
}

/// A call by somebody who may make it.
pub(crate) struct Call<'r> {
    pub(crate) request: &'r Request<'r>,
    pub(crate) bearer: Bearer,
    pub(crate) method: &'r str,
    /// The idempotency key, with the request that it came with.
    once: Option<Once>,
    query: &'r str,
    body: &'r [u8],
}

/// Answers a call.
pub(crate) async fn answer(router: &Router, route: Route<'_>, request: &Request<'_>) -> Result<Response, Refusal> {
    if let Route::Batch(kind) = route {
        return Batch::admit(router, kind, request).await?.array(router, request).await;
    }
    let call = Call::of(router, route, request).await?;
    match route {
        // Answered above.
        Route::Batch(_) => Err(Reason::NotFound.into()),
        Route::Mint => v1_tokens::mint(router, &call).await,
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

impl<'r> Call<'r> {
    /// A call of the right method, by somebody who may make it.
    pub(crate) async fn of(router: &Router, route: Route<'_>, request: &'r Request<'r>) -> Result<Self, Refusal> {
        let methods = route.methods();
        if !methods.split(", ").any(|method| request.method == method) {
            return Err(Reason::MethodNotAllowed { allow: methods }.into());
        }
        let mut bearer = bearer::authorize(router, request, route.scope()).await?;
        if route.changes(request.method) && router.authority.is_shared() {
            // A change lasts. Whoever makes it may still do so by what the store knows, not by what this node has heard of.
            router.authority.catch_up().await?;
            bearer = bearer::authorize(router, request, route.scope()).await?;
        }
        let body = request.body()?;
        if !body.is_empty() && !request.is_media_type("application/json") {
            return Err(Reason::UnsupportedMediaType { expected: "The media type must be application/json" }.into());
        }
        let once = idempotency_key(request.headers)?
            .map(|key| Once::new(key, &[request.method.as_bytes(), request.path.as_bytes(), body]));
        Ok(Self { request, bearer, method: request.method, once, query: request.query, body })
    }

    pub(crate) fn reads(&self) -> bool {
        matches!(self.method, "GET" | "HEAD")
    }

    /// Whoever calls, for the log; with the idempotency key, where what is done creates something.
    pub(crate) fn caller(&self) -> Caller {
        Caller { once: self.once.clone(), ..self.bearer.caller() }
    }

    /// The members of the body. No body at all is an object without members.
    pub(crate) fn members(&self) -> Result<Members, Refusal> {
        if self.body.is_empty() { Members::parse(b"{}") } else { Members::parse(self.body) }
    }

    /// For calls that take nothing.
    pub(crate) fn takes_nothing(&self) -> Result<(), Refusal> {
        self.members()?.finish()
    }

    /// The query, which may have these parameters.
    pub(crate) fn query(&self, names: &[&str]) -> Result<Form<'r>, Refusal> {
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

fn idempotency_key(headers: Headers<'_>) -> Result<Option<String>, Refusal> {
    let mut values = headers.all("idempotency-key");
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let key = request::text(value)
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
pub(crate) fn list_answer(items: Vec<Value>, next: Option<String>) -> Response {
    let mut body = serde_json::json!({ "items": items });
    if let Some(next) = next {
        set(&mut body, "next_cursor", jose::base64url::encode(next.as_bytes()));
    }
    ok(&body)
}

pub(crate) fn ok(body: &Value) -> Response {
    Response::json(body.to_string().into_bytes())
}

/// What was created, and where it is now.
pub(crate) fn created(body: &Value, location: &str) -> Response {
    ok(body).with_status(StatusCode::CREATED).with("location", location.to_owned())
}

pub(crate) fn no_content() -> Response {
    Response::empty(StatusCode::NO_CONTENT)
}
