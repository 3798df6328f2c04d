//! One HTTP/2 connection (RFC 9113), by hyper. It is spoken by prior knowledge: whoever begins with its preface gets it.
//!
//! A stream is one request; the limits are those of HTTP/1, but for the time that a client may take to accept an answer:
//! a connection on which nothing has begun or ended for longer than any request may take is closed.

use std::convert::Infallible;
use std::io::Cursor;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::StatusCode;
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
use crate::v1_batch::{Batch, Broken, Exchange};

/// Requests at a time on one connection.
const MOST_STREAMS: u32 = 200;

/// How long a client may take to hear that the connection ends.
const LAST_WORD: Duration = Duration::from_millis(500);

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
            let (router, in_flight) = (Arc::clone(&router), InFlight::on(&activity));
            async move { Ok::<_, Infallible>(answer(router, request, surface, peer, in_flight).await) }
        })
    };
    let (read, write) = stream.into_split();
    let io = TokioIo::new(join(Cursor::new(input).chain(read), write));
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).max_concurrent_streams(MOST_STREAMS).max_header_list_size(head_bytes);
    // One answer is small, and so is one request; more only lets a client pin memory.
    builder
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(256 * 1024)
        .max_send_buf_size(64 * 1024);
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut told = pin!(stop.told());
    // Once it has been told to, or has been idle for too long, a connection ends when its requests have.
    let mut ending = false;
    loop {
        let patience = if ending { LAST_WORD } else { limits.idle_timeout };
        tokio::select! {
            _ = connection.as_mut() => break,
            () = told.as_mut(), if !ending => {
                ending = true;
                connection.as_mut().graceful_shutdown();
                activity.note();
            }
            () = sleep_until(activity.last() + patience) => {
                if activity.last() + patience > Instant::now() {
                    continue;
                }
                if ending && activity.is_idle() {
                    break;
                }
                if !ending {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                activity.note();
            }
        }
    }
}

/// When a request last began or went on, and how many there are.
struct Activity {
    started: Instant,
    millis: AtomicU64,
    requests: AtomicUsize,
}

impl Default for Activity {
    fn default() -> Self {
        Self { started: Instant::now(), millis: AtomicU64::new(0), requests: AtomicUsize::new(0) }
    }
}

/// A request that is under way.
struct InFlight(Arc<Activity>);

impl InFlight {
    fn on(activity: &Arc<Activity>) -> Self {
        activity.note();
        activity.requests.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.note();
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Activity {
    fn note(&self) {
        self.millis.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0
    }

    fn last(&self) -> Instant {
        self.started + Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }
}

async fn answer(
    router: Arc<Router>,
    request: hyper::Request<Incoming>,
    surface: Surface,
    peer: IpAddr,
    in_flight: InFlight,
) -> hyper::Response<Sent> {
    let started = Instant::now();
    let (head, incoming) = request.into_parts();
    let route = router.route(head.uri.path(), surface);
    let mut request = Request {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: Headers::Http2(&head.headers),
        body: Body::Awaited,
        address: peer,
    };
    let is_head = head.method == hyper::Method::HEAD;
    if let Some(kind) = Router::streams(route, &request) {
        let admitted = router.begin_stream(kind, &request);
        let response = admitted.as_ref().map_or_else(Response::clone, |_| Batch::begin());
        router.note(route, &request, &response, started);
        return match admitted {
            Ok(batch) => stream(router, batch, &response, incoming, in_flight),
            Err(response) => translated(response, is_head),
        };
    }
    if Router::checks_head_first(route) {
        let response = router.answer(route, &request).await;
        if response.status != StatusCode::CONTINUE {
            return translated(response, is_head);
        }
    }
    let mut collected = Vec::new();
    let reading = collect(incoming, router.body_limit(route), &mut collected);
    let failed = timeout(router.limits.body_timeout, reading).await.unwrap_or(Some(Body::TooSlow));
    request.body = failed.unwrap_or(Body::Whole(&collected));
    let response = match router.answer_at_once(route, &request) {
        Some(response) => response,
        None => router.answer(route, &request).await,
    };
    translated(response, is_head)
}

/// A body that is whole, or one that comes while it is sent.
type Sent = Either<Full<Bytes>, Channel<Bytes, std::io::Error>>;

/// Answers line by line, in a task of its own, while the lines come.
fn stream(
    router: Arc<Router>,
    batch: Batch,
    head: &Response,
    incoming: Incoming,
    in_flight: InFlight,
) -> hyper::Response<Sent> {
    let (sender, channel) = Channel::new(1);
    tokio::spawn(async move {
        let mut exchange = Streamed { incoming, sender, in_flight, timeout: router.limits.body_timeout };
        let answered = batch.stream(&router, &mut exchange).await;
        if answered.is_err() {
            // Whoever still listens is told that this is not the end.
            exchange.sender.abort(std::io::ErrorKind::ConnectionAborted.into());
        }
    });
    with_head(head).map(|()| Either::Right(channel))
}

/// A request whose body is read while its answer is written.
struct Streamed {
    incoming: Incoming,
    sender: Sender<Bytes, std::io::Error>,
    in_flight: InFlight,
    timeout: Duration,
}

impl Exchange for Streamed {
    async fn read(&mut self, input: &mut Vec<u8>) -> Result<bool, Broken> {
        loop {
            let frame = timeout(self.timeout, self.incoming.frame()).await.map_err(|_| Broken)?;
            self.in_flight.0.note();
            match frame {
                None => return Ok(false),
                Some(Err(_)) => return Err(Broken),
                Some(Ok(frame)) => {
                    if let Some(piece) = frame.data_ref() {
                        input.extend_from_slice(piece);
                        return Ok(true);
                    }
                }
            }
        }
    }

    async fn write(&mut self, piece: &[u8]) -> Result<(), Broken> {
        if piece.is_empty() {
            return Ok(());
        }
        let sent = timeout(self.timeout, self.sender.send_data(Bytes::copy_from_slice(piece))).await;
        self.in_flight.0.note();
        sent.ok().and_then(Result::ok).ok_or(Broken)
    }
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

fn with_head(response: &Response) -> hyper::Response<()> {
    let mut translated = hyper::Response::new(());
    *translated.status_mut() = response.status;
    for (name, value) in response.fields() {
        if let Ok(value) = HeaderValue::from_str(value) {
            translated.headers_mut().append(name, value);
        }
    }
    translated
}

fn translated(response: Response, is_head: bool) -> hyper::Response<Sent> {
    let mut translated = with_head(&response);
    if is_head && response.may_have_body() {
        translated.headers_mut().insert(hyper::header::CONTENT_LENGTH, response.body.len().into());
    }
    let body = if is_head || !response.may_have_body() { Bytes::new() } else { response.body.into_owned().into() };
    translated.map(|()| Either::Left(Full::new(body)))
}
