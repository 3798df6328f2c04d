//! Reading request bodies, within limits of size and time.
//!
//! What is kept is copied out of the connection's buffers: a body that comes in a thousand small pieces would
//! otherwise hold on to a thousand large ones.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, EXPECT, HeaderMap};

use crate::refusal::Reason;

/// The whole body of `request`.
///
/// # Errors
/// [`Reason::BodyTooLarge`] beyond `limit` bytes (at once where the length is announced), [`Reason::BodyTimeout`] after
/// `timeout`, [`Reason::BodyBroken`] when it ends early or its chunks are malformed.
pub(crate) async fn read(request: Request<Incoming>, limit: usize, timeout: Duration) -> Result<Vec<u8>, Reason> {
    let mut body = Vec::new();
    each_piece(request, limit, timeout, |piece| body.extend_from_slice(piece)).await?;
    Ok(body)
}

/// Reads and drops the body of a request that is refused without it, and answers whether its end was reached, so that
/// the connection can serve the next request. Left alone is what is longer than `limit` or slower than `timeout`, and a
/// body that the client has not begun to send because it waits for `100 Continue`.
pub(crate) async fn discard(request: Request<Incoming>, limit: usize, timeout: Duration) -> bool {
    !request.headers().contains_key(EXPECT) && each_piece(request, limit, timeout, |_| ()).await.is_ok()
}

async fn each_piece(
    request: Request<Incoming>,
    limit: usize,
    timeout: Duration,
    mut take: impl FnMut(&[u8]),
) -> Result<(), Reason> {
    let mut body = request.into_body();
    if body.size_hint().lower() > limit as u64 {
        return Err(Reason::BodyTooLarge);
    }
    let pieces = async {
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Reason::BodyBroken)?;
            let Some(piece) = frame.data_ref() else { continue };
            length += piece.len();
            if length > limit {
                return Err(Reason::BodyTooLarge);
            }
            take(piece);
        }
        Ok(())
    };
    tokio::time::timeout(timeout, pieces).await.unwrap_or(Err(Reason::BodyTimeout))
}

/// Whether the one media type is this, in any case and with any parameters (RFC 9110 section 8.3.1).
pub(crate) fn is_media_type(headers: &HeaderMap, wanted: &[u8]) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let media_type = value.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(wanted)
}
