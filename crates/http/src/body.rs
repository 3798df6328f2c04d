//! Reading request bodies, within limits of size and time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::header::EXPECT;

use crate::refusal::Refusal;

/// The whole body of `request`.
///
/// # Errors
/// [`Refusal::BodyTooLarge`] beyond `limit` bytes (at once where the length is announced), [`Refusal::BodyTimeout`]
/// after `timeout`, [`Refusal::BodyBroken`] when it ends early or its chunks are malformed.
pub(crate) async fn read(request: Request<Incoming>, limit: usize, timeout: Duration) -> Result<Bytes, Refusal> {
    let body = request.into_body();
    if body.size_hint().lower() > limit as u64 {
        return Err(Refusal::BodyTooLarge);
    }
    match tokio::time::timeout(timeout, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(Refusal::BodyTooLarge),
        Ok(Err(_)) => Err(Refusal::BodyBroken),
        Err(_) => Err(Refusal::BodyTimeout),
    }
}

/// Reads and drops the body of a request that is refused without it, so that the connection can serve the next one.
/// What is longer than `limit` or slower than `timeout` is left for the connection's end to deal with, as is a body
/// that the client has not begun to send because it waits for `100 Continue`.
pub(crate) async fn discard(request: Request<Incoming>, limit: usize, timeout: Duration) {
    if !request.headers().contains_key(EXPECT) {
        // Whatever is wrong with this body, the refusal is the answer.
        let _ = read(request, limit, timeout).await;
    }
}
