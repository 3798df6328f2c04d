//! One HTTP/2 connection (RFC 9113), by hyper. It is spoken by prior knowledge: whoever begins with its preface gets it.
//!
//! A stream is one request; the limits are those of HTTP/1, but for the time that a client may take to accept an answer:
//! a connection on which nothing has begun or ended for longer than any request may take is closed.

use std::convert::Infallible;
use std::io::Cursor;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::HeaderValue;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, join};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::request::{Body, Headers, Request};
use crate::response::Response;
use crate::router::{Router, Surface};
use crate::server::Stop;

/// Requests at a time on one connection.
const MOST_STREAMS: u32 = 200;

/// Serves `stream`, of which `input` was read already.
pub(crate) async fn serve(
    stream: TcpStream,
    input: Vec<u8>,
    router: Arc<Router>,
    surface: Surface,
    peer: IpAddr,
    stop: Stop,
) {
    let limits = router.limits.clone();
    let head_bytes = u32::try_from(limits.head_bytes).unwrap_or(u32::MAX);
    let activity = Arc::new(Activity::default());
    let service = {
        let (router, activity) = (Arc::clone(&router), Arc::clone(&activity));
        service_fn(move |request| {
            let (router, activity) = (Arc::clone(&router), Arc::clone(&activity));
            activity.note();
            async move {
                let response = answer(&router, request, surface, peer).await;
                activity.note();
                Ok::<_, Infallible>(response)
            }
        })
    };
    let (read, write) = stream.into_split();
    let io = TokioIo::new(join(Cursor::new(input).chain(read), write));
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).max_concurrent_streams(MOST_STREAMS).max_header_list_size(head_bytes);
    // One answer is small, and so is one request; more only lets a client pin memory.
    builder.initial_stream_window_size(64 * 1024).initial_connection_window_size(256 * 1024).max_send_buf_size(64 * 1024);
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut told = pin!(stop.told());
    let mut stopping = false;
    loop {
        let deadline = activity.last() + limits.idle_timeout;
        tokio::select! {
            _ = connection.as_mut() => break,
            () = told.as_mut(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = sleep_until(deadline) => {
                if activity.last() + limits.idle_timeout <= Instant::now() {
                    connection.as_mut().graceful_shutdown();
                    let _ = timeout(limits.write_timeout, connection.as_mut()).await;
                    break;
                }
            }
        }
    }
}

/// When a request last began or was answered.
struct Activity {
    started: Instant,
    millis: AtomicU64,
}

impl Default for Activity {
    fn default() -> Self {
        Self { started: Instant::now(), millis: AtomicU64::new(0) }
    }
}

impl Activity {
    fn note(&self) {
        self.millis.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.started + Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }
}

async fn answer(
    router: &Router,
    request: hyper::Request<Incoming>,
    surface: Surface,
    peer: IpAddr,
) -> hyper::Response<Full<Bytes>> {
    let (head, incoming) = request.into_parts();
    let route = router.route(head.uri.path(), surface);
    let mut collected = Vec::new();
    let reading = collect(incoming, router.body_limit(route), &mut collected);
    let failed = timeout(router.limits.body_timeout, reading).await.unwrap_or(Some(Body::TooSlow));
    let request = Request {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: Headers::Http2(&head.headers),
        body: failed.unwrap_or(Body::Whole(&collected)),
        address: peer,
    };
    let response = match router.answer_at_once(route, &request) {
        Some(response) => response,
        None => router.answer(route, &request).await,
    };
    translated(response, head.method == hyper::Method::HEAD)
}

/// Reads a body to its end, or answers why not.
async fn collect(mut incoming: Incoming, limit: usize, collected: &mut Vec<u8>) -> Option<Body<'static>> {
    if incoming.size_hint().lower() > limit as u64 {
        return Some(Body::TooLarge);
    }
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else { return Some(Body::Broken) };
        let Some(piece) = frame.data_ref() else { continue };
        if collected.len() + piece.len() > limit {
            return Some(Body::TooLarge);
        }
        collected.extend_from_slice(piece);
    }
    None
}

fn translated(response: Response, is_head: bool) -> hyper::Response<Full<Bytes>> {
    let mut translated = hyper::Response::new(Full::default());
    *translated.status_mut() = response.status;
    for (name, value) in response.fields() {
        if let Ok(value) = HeaderValue::from_str(value) {
            translated.headers_mut().append(name, value);
        }
    }
    if is_head && response.may_have_body() {
        translated.headers_mut().insert(hyper::header::CONTENT_LENGTH, response.body.len().into());
    } else if response.may_have_body() {
        *translated.body_mut() = Full::new(Bytes::from(response.body.into_owned()));
    }
    translated
}
