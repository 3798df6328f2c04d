//! `POST /v1/tokens/mint-batch` and `/v1/tokens/verify-batch`: many tokens with one request. A JSON array has an end and
//! is answered as a whole; lines of JSON (NDJSON) may go on for ever, and each is answered as it comes, in its order. One
//! item that is wrong spoils no other.

use std::borrow::Cow;
use std::time::Duration;

use authority::error::TokenError;
use authority::{AcceptedToken, Custom, Seen};
use jose::error::JsonError;
use jose::json::{self, Value};
use tokio::time::Instant;

use crate::bearer::{self, Bearer};
use crate::lines::{Line, Lines};
use crate::members::Members;
use crate::refusal::{Reason, Refusal};
use crate::request::Request;
use crate::response::Response;
use crate::router::Router;
use crate::v1_tokens;

/// The longest array.
const MOST_ITEMS: usize = 10_000;

/// So much is answered before it is written.
const PIECE: usize = 32 * 1024;

/// A worker's other connections wait no longer than this for a batch.
const SLICE: Duration = Duration::from_millis(1);

/// After so many items it is looked how long they took.
const LOOK_EVERY: usize = 16;

/// How often it is looked whether the caller may still do what it does.
const CHECK_EVERY: Duration = Duration::from_secs(1);

const NDJSON: &str = "application/x-ndjson";

/// What is done with each item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Mint,
    Verify,
}

/// A client that sends and is answered at the same time.
pub(crate) trait Exchange: Send {
    /// Appends what the client sent next; `false` when it has sent everything.
    fn read(&mut self, input: &mut Vec<u8>) -> impl Future<Output = Result<bool, Broken>> + Send;

    /// Hands over a piece of the answer, and waits until there is room for the next.
    fn write(&mut self, piece: &[u8]) -> impl Future<Output = Result<(), Broken>> + Send;
}

/// The exchange cannot go on: the client has left, or is too slow, or framed its request wrongly.
#[derive(Debug)]
pub(crate) struct Broken;

/// A batch by somebody who may have it.
pub(crate) struct Batch {
    kind: Kind,
    bearer: Bearer,
    checked: Instant,
}

/// Whether this is a batch in lines.
pub(crate) fn is_stream(request: &Request<'_>) -> bool {
    request.method == "POST" && request.is_media_type(NDJSON)
}

impl Batch {
    /// Looks whether the caller may.
    pub(crate) async fn admit(router: &Router, kind: Kind, request: &Request<'_>) -> Result<Self, Refusal> {
        if request.method != "POST" {
            return Err(Reason::MethodNotAllowed { allow: "POST" }.into());
        }
        let scope = match kind {
            Kind::Mint => "jotd:mint",
            Kind::Verify => "jotd:verify",
        };
        let bearer = bearer::authorize(router, request, scope).await?;
        Ok(Self { kind, bearer, checked: Instant::now() })
    }

    /// The head of the answer to lines.
    pub(crate) fn begin() -> Response {
        Response::empty(hyper::StatusCode::OK).with("content-type", NDJSON)
    }

    /// Answers line by line until the client has sent everything.
    pub(crate) async fn stream(mut self, router: &Router, exchange: &mut impl Exchange) -> Result<(), Broken> {
        let mut lines = Lines::new(router.limits.api_body_bytes);
        let mut output = Vec::with_capacity(PIECE);
        let mut more = true;
        while more {
            more = exchange.read(lines.input()).await?;
            if let Err(refusal) = self.check(router) {
                refusal.write_into(&mut output);
                output.push(b'\n');
                break;
            }
            let (mut since, mut count, mut seen) = (Instant::now(), 0_usize, router.authority.seen());
            let mut is_caught_up = false;
            while let Some(line) = lines.next(!more) {
                count += 1;
                match line {
                    Line::Whole(text) => self.item(router, text, &mut is_caught_up, &mut output).await,
                    Line::TooLong => Refusal::from(Reason::BodyTooLarge).write_into(&mut output),
                }
                output.push(b'\n');
                if output.len() >= PIECE {
                    if !hand_over(router, seen, &mut output, exchange).await? {
                        return Ok(());
                    }
                    seen = router.authority.seen();
                }
                if count.is_multiple_of(LOOK_EVERY) && since.elapsed() > SLICE {
                    tokio::task::yield_now().await;
                    since = Instant::now();
                }
            }
            // Whoever waits for an answer before it sends the next line gets it.
            if !output.is_empty() && !hand_over(router, seen, &mut output, exchange).await? {
                return Ok(());
            }
        }
        exchange.write(&output).await
    }

    /// Answers an array.
    pub(crate) async fn array(self, router: &Router, request: &Request<'_>) -> Result<Response, Refusal> {
        if !request.is_media_type("application/json") {
            let expected = "The media type must be application/json or application/x-ndjson";
            return Err(Reason::UnsupportedMediaType { expected }.into());
        }
        let body = request.body()?;
        let text = std::str::from_utf8(body).map_err(|_| Reason::NotAnArray)?;
        let mut items = Vec::new();
        let read = json::array(text, |item| {
            match item {
                Value::Object(text) if items.len() < MOST_ITEMS => items.push(Some(text)),
                _ if items.len() < MOST_ITEMS => items.push(None),
                _ => return Err(JsonError::TooManyMembers),
            }
            Ok(())
        });
        read.map_err(|error| match error {
            JsonError::TooManyMembers => Reason::TooManyItems,
            _ => Reason::NotAnArray,
        })?;

        let mut output = Vec::with_capacity(body.len());
        output.push(b'[');
        let (mut since, mut is_caught_up) = (Instant::now(), false);
        for (place, item) in items.into_iter().enumerate() {
            if place > 0 {
                output.push(b',');
            }
            match item {
                Some(text) if text.len() > router.limits.api_body_bytes => {
                    Refusal::from(Reason::BodyTooLarge).write_into(&mut output);
                }
                Some(text) => self.item(router, text.as_bytes(), &mut is_caught_up, &mut output).await,
                None => Refusal::from(Reason::NotAnObject(JsonError::NotAnObject)).write_into(&mut output),
            }
            if place.is_multiple_of(LOOK_EVERY) && since.elapsed() > SLICE {
                tokio::task::yield_now().await;
                since = Instant::now();
            }
        }
        output.push(b']');
        Ok(Response::json(output))
    }

    /// That the token of the caller has not expired or been revoked meanwhile.
    fn check(&mut self, router: &Router) -> Result<(), Refusal> {
        if self.checked.elapsed() > CHECK_EVERY {
            self.bearer.check(router)?;
            self.checked = Instant::now();
        }
        Ok(())
    }

    /// Appends the answer to one item. `is_caught_up` says whether all that came with it was known to the store when that was
    /// asked.
    async fn item(&self, router: &Router, text: &[u8], is_caught_up: &mut bool, output: &mut Vec<u8>) {
        let answered = match self.kind {
            Kind::Mint => self.mint(router, text, output).await,
            Kind::Verify => verify(router, text, is_caught_up, output).await,
        };
        if let Err(refusal) = answered {
            refusal.write_into(output);
        }
    }

    async fn mint(&self, router: &Router, text: &[u8], output: &mut Vec<u8>) -> Result<(), Refusal> {
        let custom: Custom = v1_tokens::custom(Members::parse(text)?)?;
        let algorithm = custom.algorithm.or_else(|| router.authority.state().default_algorithm());
        let minted =
            router.turns.wait(algorithm, || router.authority.mint(&self.bearer.accepted.client_id, &custom)).await;
        let issued = minted.inspect_err(|error| router.metrics.refused(error.code()))?;
        router.metrics.minted("custom");
        v1_tokens::write_issued(&issued, output);
        Ok(())
    }
}

/// Hands over a piece of the answer that was made after `seen`; `false`, with the reason in its place, where that was too
/// long ago.
async fn hand_over(
    router: &Router,
    seen: Seen,
    output: &mut Vec<u8>,
    exchange: &mut impl Exchange,
) -> Result<bool, Broken> {
    let usable = router.see_usable(seen);
    if let Err(refusal) = &usable {
        output.clear();
        refusal.write_into(output);
        output.push(b'\n');
    }
    exchange.write(output).await?;
    output.clear();
    Ok(usable.is_ok())
}

/// Appends whether a token is accepted, with what it says or the reason against it.
async fn verify(router: &Router, text: &[u8], is_caught_up: &mut bool, output: &mut Vec<u8>) -> Result<(), Refusal> {
    let (token, audience) = token_of(text)?;
    let accept = || router.authority.state().accept_token(&token, audience.as_deref(), router.authority.now());
    let mut accepted = accept();
    if let Err(error) = &accepted
        && router.authority.knows_more(error, is_caught_up).await
    {
        accepted = accept();
    }
    match accepted {
        Ok(accepted) => {
            let (kind, claims) = match &accepted {
                AcceptedToken::Access(token) => ("access_token", token.claims()),
                AcceptedToken::Simple(token) => ("simple", token.claims()),
            };
            output.extend_from_slice(b"{\"accepted\":true,\"kind\":\"");
            output.extend_from_slice(kind.as_bytes());
            output.extend_from_slice(b"\",\"claims\":");
            write_on_one_line(claims, output);
        }
        Err(error) => {
            router.metrics.refused(error.code());
            write_refused(&error, output);
        }
    }
    output.push(b'}');
    Ok(())
}

fn write_refused(error: &TokenError, output: &mut Vec<u8>) {
    output.extend_from_slice(b"{\"accepted\":false,\"code\":\"");
    output.extend_from_slice(error.code().as_bytes());
    output.extend_from_slice(b"\",\"reason\":");
    json::write_string(&v1_tokens::reason(error), output);
}

/// The token of an item, and for whom it should be.
fn token_of(text: &[u8]) -> Result<(Cow<'_, str>, Option<Cow<'_, str>>), Refusal> {
    let (mut token, mut audience, mut other) = (None, None, false);
    json::object(text, |name, value| {
        match (name, value) {
            ("token", value) => token = Some(value),
            ("audience", Value::String(text)) => audience = Some(text.decode()),
            _ => other = true,
        }
        Ok::<_, JsonError>(())
    })
    .map_err(Reason::NotAnObject)?;
    let wrong = |code, detail: &str| Refusal::from(Reason::Member { code, detail: detail.to_owned() });
    match token {
        _ if other => Err(wrong("member_unknown", "an item has token, and audience, which are strings")),
        Some(Value::String(text)) => Ok((text.decode(), audience)),
        Some(_) => Err(wrong("member_type", "token is not a string")),
        None => Err(wrong("member_missing", "token is missing")),
    }
}

/// Claims are shown as they were signed, but for line ends between them, which would end the answer.
fn write_on_one_line(claims: &[u8], output: &mut Vec<u8>) {
    let start = output.len();
    output.extend_from_slice(claims);
    if memchr::memchr2(b'\n', b'\r', claims).is_none() {
        return;
    }
    // In JSON they can only stand between values.
    for byte in output.iter_mut().skip(start).filter(|byte| matches!(byte, b'\n' | b'\r')) {
        *byte = b' ';
    }
}
