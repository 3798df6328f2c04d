//! One HTTP/2 connection (RFC 9113), by hyper. It is spoken by prior knowledge: whoever begins with its preface gets it.
//!
//! A stream is one request, and the limits are those of HTTP/1. A client that does not accept one of its answers loses the
//! connection with all of them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, Cursor};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt as _, Either};
use hyper::StatusCode;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::header::HeaderValue;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, join};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use crate::request::{Body, Headers, Request};
use crate::response::Response;
use crate::router::{Router, Surface};
use crate::server::Stop;
use crate::v1_batch::{Batch, Broken, Exchange};

/// Requests at a time on one connection: as many as clients take for granted before they are told.
const MOST_STREAMS: u32 = 100;

/// How much of an answer is handed over at a time.
const PIECE: usize = 16 * 1024;

/// How often it is looked whether a connection still goes on.
const LOOK_EVERY: Duration = Duration::from_millis(250);

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
    let mut ending = None;
    loop {
        tokio::select! {
            _ = connection.as_mut() => break,
            () = told.as_mut(), if ending.is_none() => {
                ending = Some(Instant::now());
                connection.as_mut().graceful_shutdown();
            }
            () = sleep(LOOK_EVERY.min(limits.idle_timeout).min(limits.write_timeout)) => {
                let now = Instant::now();
                if activity.slowest_answer().is_some_and(|since| now > since + limits.write_timeout) {
                    break;
                }
                let quiet = now.saturating_duration_since(activity.last());
                match ending {
                    Some(since) if activity.is_idle() && quiet > LAST_WORD && now > since + LAST_WORD => break,
                    None if activity.is_idle() && quiet > limits.idle_timeout => {
                        ending = Some(now);
                        connection.as_mut().graceful_shutdown();
                    }
                    _ => {}
                }
            }
        }
    }
}

/// What is under way on a connection: when a request last began or went on, how many there are, and since when each
/// answer that is being sent has not gone on.
struct Activity {
    started: Instant,
    millis: AtomicU64,
    requests: AtomicUsize,
    answers: Mutex<BTreeMap<usize, Instant>>,
    next: AtomicUsize,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            millis: AtomicU64::new(0),
            requests: AtomicUsize::new(0),
            answers: Mutex::default(),
            next: AtomicUsize::new(0),
        }
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

    fn answers(&self) -> MutexGuard<'_, BTreeMap<usize, Instant>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slowest_answer(&self) -> Option<Instant> {
        self.answers().values().min().copied()
    }
}

/// A request that is under way, until its answer is out.
struct InFlight {
    activity: Arc<Activity>,
    number: usize,
}

impl InFlight {
    fn on(activity: &Arc<Activity>) -> Self {
        activity.note();
        activity.requests.fetch_add(1, Ordering::Relaxed);
        Self { activity: Arc::clone(activity), number: activity.next.fetch_add(1, Ordering::Relaxed) }
    }

    /// The answer begins or goes on.
    fn goes_on(&self) {
        self.activity.note();
        self.activity.answers().insert(self.number, Instant::now());
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.activity.note();
        self.activity.answers().remove(&self.number);
        self.activity.requests.fetch_sub(1, Ordering::Relaxed);
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
        client: None,
    };
    let is_head = head.method == hyper::Method::HEAD;
    if let Some(kind) = Router::streams(route, &request) {
        let admitted = router.begin_stream(kind, &request).await;
        let response = admitted.as_ref().map_or_else(Response::clone, |_| Batch::begin());
        router.note(route, &request, &response, started);
        return match admitted {
            Ok(batch) => stream(router, batch, &response, incoming, in_flight),
            Err(response) => translated(response, is_head, in_flight, Arc::clone(&router.http2_room)),
        };
    }
    if Router::checks_head_first(route) {
        let response = router.answer(route, &request).await;
        if response.status != StatusCode::CONTINUE {
            return translated(response, is_head, in_flight, Arc::clone(&router.http2_room));
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
    translated(response, is_head, in_flight, Arc::clone(&router.http2_room))
}

/// An answer that is whole: it is handed over in pieces, so that it shows when the client does not take them. The last byte
/// goes by itself: hyper sends it when the client has room for it, and so for all before it, and keeps this until then.
struct Whole {
    rest: Bytes,
    in_flight: InFlight,
    _room: Option<OwnedSemaphorePermit>,
}

impl hyper::body::Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        self.in_flight.goes_on();
        let length = match self.rest.len() {
            1 => 1,
            length => (length - 1).min(PIECE),
        };
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// A body that is whole, or one that comes while it is sent.
type Sent = Either<Whole, Channel<Bytes, io::Error>>;

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
        let (body, patience) = (router.limits.body_timeout, router.limits.write_timeout);
        let mut exchange = Streamed { incoming, sender: Some(sender), in_flight, body, patience };
        if batch.stream(&router, &mut exchange).await.is_ok() {
            // Without this it is told that it is not the end.
            drop(exchange.sender.take());
        }
    });
    with_head(head).map(|()| Either::Right(channel))
}

/// A request whose body is read while its answer is written.
struct Streamed {
    incoming: Incoming,
    /// Until the answer has come to its end.
    sender: Option<Sender<Bytes, io::Error>>,
    in_flight: InFlight,
    /// How long the client may take for the next piece, and to accept one.
    body: Duration,
    patience: Duration,
}

impl Drop for Streamed {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take() {
            sender.abort(io::ErrorKind::ConnectionAborted.into());
        }
    }
}

impl Exchange for Streamed {
    async fn read(&mut self, input: &mut Vec<u8>) -> Result<bool, Broken> {
        loop {
            let frame = timeout(self.body, self.incoming.frame()).await.map_err(|_| Broken)?;
            self.in_flight.activity.note();
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
        let Some(sender) = self.sender.as_mut().filter(|_| !piece.is_empty()) else { return Ok(()) };
        let sent = timeout(self.patience, sender.send_data(Bytes::copy_from_slice(piece))).await;
        self.in_flight.activity.note();
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

fn translated(response: Response, is_head: bool, in_flight: InFlight, room: Arc<Semaphore>) -> hyper::Response<Sent> {
    let mut translated = with_head(&response);
    if is_head && response.may_have_body() {
        translated.headers_mut().insert(hyper::header::CONTENT_LENGTH, response.body.len().into());
    }
    let mut rest = if is_head || !response.may_have_body() { Bytes::new() } else { response.body.into_owned().into() };
    let room = room.try_acquire_many_owned(u32::try_from(rest.len()).unwrap_or(u32::MAX));
    if room.is_err() && !rest.is_empty() {
        // Others have not fetched what they asked for.
        *translated.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        translated.headers_mut().insert(hyper::header::RETRY_AFTER, HeaderValue::from_static("1"));
        rest = Bytes::new();
    }
    in_flight.goes_on();
    translated.map(|()| Either::Left(Whole { rest, in_flight, _room: room.ok() }))
}
