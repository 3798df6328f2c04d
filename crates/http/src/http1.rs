//! One HTTP/1 connection (RFC 9112): from bytes to requests, and from answers to bytes.
//!
//! Most requests come whole in one piece, and their answer takes no waiting: such a one is read where it lies, answered
//! into one buffer, and written with the answers of those that were sent behind it. The buffers belong to the thread, so
//! that a connection without a request has none. A request that takes longer gets a task state of its own.
//!
//! A client may be slow in four ways: sending a head, sending a body, accepting an answer, or doing nothing between
//! requests. Each has its limit; when it is over, the connection is closed and nobody else has noticed. When the server
//! is told to stop, a request that is already on its way is still answered, with `Connection: close`.

use std::future::Future as _;
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::buffers;
use crate::chunked::Chunks;
use crate::head::{Framing, HTTP2_PREFACE, Head, HeadError, MOST_FIELDS};
use crate::http1_answer as answer;
use crate::refusal::{Dialect, Reason, Refusal};
use crate::request::{Body, Headers, Request};
use crate::response::Response;
use crate::router::{Router, Surface};
use crate::server::{STOP_GRACE, Stop};
use crate::v1_batch::Kind;

/// More answers than this are written before the next request is looked at.
const ENOUGH_TO_WRITE: usize = 64 * 1024;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The last answer is out, but the client may still be sending.
    Finished,
    /// A limit is over, or the client has left.
    Cut,
    /// In the middle of an answer whose end is that of the connection.
    Broken,
    /// It is an HTTP/2 connection.
    Http2,
}

/// A connection and what is under way on it.
pub(crate) struct Connection<'c> {
    pub(crate) stream: &'c mut TcpStream,
    pub(crate) router: &'c Arc<Router>,
    pub(crate) surface: Surface,
    pub(crate) peer: IpAddr,
    pub(crate) stop: Stop,
    alarm: Alarm<'c>,
    /// What the client sent and nobody has used.
    pub(crate) input: Vec<u8>,
    /// Where the next request begins in it.
    pub(crate) begin: usize,
    pub(crate) output: Vec<u8>,
    /// Since when the client could have sent the next request, or the rest of it.
    pub(crate) since: Instant,
    pub(crate) waits_for: Waiting,
    pub(crate) body: Collected,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// The first byte of the first request.
    First,
    /// The first byte of the next.
    Next,
    /// The rest of a head.
    Head,
    /// The rest of a body.
    Body,
}

/// What there is of a body that did not come whole with its head.
pub(crate) enum Collected {
    Nothing,
    /// The client has been told to send it.
    Wanted,
    /// Out of its chunks.
    Whole(Vec<u8>),
    Failed(Body<'static>),
}

/// What is to be done next.
enum Step {
    /// More has to come.
    Read,
    /// An answer is in the buffer.
    Answered(Used),
    /// The request is whole, but its answer takes time.
    Later,
    /// The request is answered line by line.
    Stream(Kind),
    /// The rest of a body has to come.
    Collect {
        head: usize,
        framing: Framing,
        limit: usize,
    },
    /// What came is no request.
    Refuse(Reason),
    Http2,
}

/// What a request has used up.
pub(crate) struct Used {
    pub(crate) bytes: usize,
    pub(crate) closes: bool,
    /// It was only an interim answer (RFC 9110 section 15.2).
    pub(crate) interim: bool,
}

impl<'c> Connection<'c> {
    pub(crate) fn new(
        stream: &'c mut TcpStream,
        router: &'c Arc<Router>,
        surface: Surface,
        peer: IpAddr,
        stop: Stop,
        alarm: Pin<&'c mut Sleep>,
        told: Pin<&'c mut (dyn Future<Output = ()> + Send)>,
    ) -> Self {
        Self {
            stream,
            router,
            surface,
            peer,
            stop,
            alarm: Alarm { sleep: alarm, told, is_told: false, is_armed: false },
            input: Vec::new(),
            begin: 0,
            output: Vec::new(),
            since: Instant::now(),
            waits_for: Waiting::First,
            body: Collected::Nothing,
        }
    }

    /// Answers requests until the client leaves, a limit is over, or `stop` is told and what is in flight is done.
    pub(crate) async fn serve(&mut self) -> End {
        loop {
            let used = match self.step() {
                Step::Answered(used) => used,
                Step::Read => {
                    if self.flush().await.is_err() {
                        return End::Cut;
                    }
                    self.rest();
                    match self.receive().await {
                        Received::Bytes => continue,
                        Received::Nothing => return End::Finished,
                        Received::Late => return End::Cut,
                    }
                }
                Step::Later => {
                    // Whoever has been answered already need not wait for this one.
                    if self.flush().await.is_err() {
                        return End::Cut;
                    }
                    let Some(used) = Box::pin(self.answer_later()).await else { return End::Cut };
                    // Requests that came together are answered together, so that the client need not be woken for each.
                    tokio::task::yield_now().await;
                    used
                }
                Step::Stream(kind) => {
                    if self.flush().await.is_err() {
                        return End::Cut;
                    }
                    match Box::pin(self.stream(kind)).await {
                        Ok(used) => used,
                        Err(end) => return end,
                    }
                }
                Step::Collect { head, framing, limit } => {
                    if self.flush().await.is_err() {
                        return End::Cut;
                    }
                    self.body = Box::pin(self.collect(head, framing, limit)).await;
                    continue;
                }
                Step::Refuse(reason) => {
                    let response = Refusal::from(reason).into_response(Dialect::Problem);
                    self.router.note_unread(&response);
                    let is_head = self.input.get(self.begin..).is_some_and(|input| input.starts_with(b"HEAD "));
                    answer::write(&mut self.output, &response, answer::Protocol { is_http10: false, is_head }, true);
                    return self.finish().await;
                }
                Step::Http2 => return End::Http2,
            };
            if used.interim {
                self.body = Collected::Wanted;
                continue;
            }
            if used.closes {
                return self.finish().await;
            }
            self.begin += used.bytes;
            self.body = Collected::Nothing;
            self.waits_for = Waiting::Next;
            self.since = Instant::now();
            if self.output.len() > ENOUGH_TO_WRITE && self.flush().await.is_err() {
                return End::Cut;
            }
        }
    }

    /// Looks at what there is of the next request, and answers it where that takes no waiting.
    fn step(&mut self) -> Step {
        let input = self.input.get(self.begin..).unwrap_or_default();
        if input.is_empty() {
            return Step::Read;
        }
        let mut room = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let head = match Head::parse(input, self.router.limits.head_bytes, &mut room) {
            Ok(Some(head)) => head,
            Ok(None) => return Step::Read,
            Err(_) if self.is_http2(input) => {
                return if input.len() < HTTP2_PREFACE.len() { Step::Read } else { Step::Http2 };
            }
            Err(HeadError::Malformed) => return Step::Refuse(Reason::MalformedHead),
            Err(HeadError::TooLarge) => return Step::Refuse(Reason::HeadTooLarge),
        };
        let route = self.router.route(head.path, self.surface);
        let limit = self.router.body_limit(route);
        if let Some(kind) = Router::streams(route, &request_of(&head, Body::Awaited, self.peer)) {
            return Step::Stream(kind);
        }
        let Some(body) = body_of(&head, input, &self.body, limit, Router::checks_head_first(route)) else {
            return Step::Collect { head: head.length, framing: head.framing, limit };
        };
        let request = request_of(&head, body, self.peer);
        match self.router.answer_at_once(route, &request) {
            Some(response) => Step::Answered(put(&mut self.output, &response, &head, &request, &self.body, &self.stop)),
            None => Step::Later,
        }
    }

    /// As a step that takes time. The head is read once more, so that it does not stand in the state of every connection.
    async fn answer_later(&mut self) -> Option<Used> {
        let Self { stream, router, input, begin, output, body, stop, surface, peer, .. } = self;
        let input = input.get(*begin..).unwrap_or_default();
        let mut room = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let head = Head::parse(input, router.limits.head_bytes, &mut room).ok().flatten()?;
        let route = router.route(head.path, *surface);
        let whole = body_of(&head, input, body, router.body_limit(route), Router::checks_head_first(route))?;
        let request = Request { client: Some(stream), ..request_of(&head, whole, *peer) };
        let response = router.answer(route, &request).await;
        Some(put(output, &response, &head, &request, body, stop))
    }

    /// Whether this is how an HTTP/2 connection begins.
    fn is_http2(&self, input: &[u8]) -> bool {
        let common = input.len().min(HTTP2_PREFACE.len());
        self.waits_for == Waiting::First && input.get(..common) == HTTP2_PREFACE.get(..common)
    }

    /// Reads the rest of the body of the request whose head is in the input.
    async fn collect(&mut self, head: usize, framing: Framing, limit: usize) -> Collected {
        self.waits_for = Waiting::Body;
        self.since = Instant::now();
        let begins = self.begin + head;
        match framing {
            Framing::Length(length) => {
                // It is not longer than the limit: that has been looked at.
                let end = begins.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
                // Not all at once: a client that only says that much will come shall not have it. Whoever may send
                // very much has shown a token.
                self.input.reserve_exact(end.saturating_sub(self.input.len()).min(buffers::SIZE.max(limit / 16)));
                while self.input.len() < end {
                    if let Some(failed) = self.receive().await.failed_body() {
                        return failed;
                    }
                }
                Collected::Wanted
            }
            Framing::Chunked => {
                let (mut chunks, mut body) = (Chunks::default(), Vec::new());
                loop {
                    let raw = self.input.get(begins..).unwrap_or_default();
                    let Ok(used) = chunks.read(raw, |piece| body.extend_from_slice(piece)) else {
                        return Collected::Failed(Body::Broken);
                    };
                    self.input.drain(begins..begins + used);
                    if body.len() > limit {
                        return Collected::Failed(Body::TooLarge);
                    }
                    if chunks.are_done() {
                        return Collected::Whole(body);
                    }
                    if let Some(failed) = self.receive().await.failed_body() {
                        return failed;
                    }
                }
            }
        }
    }

    /// Gives back what is not needed while there is no request.
    fn rest(&mut self) {
        if self.begin > 0 {
            self.input.drain(..self.begin);
            self.begin = 0;
        }
        if self.input.is_empty() {
            buffers::give(std::mem::take(&mut self.input));
        } else if self.waits_for == Waiting::Next {
            self.waits_for = Waiting::Head;
        }
    }

    /// Waits for bytes of the client's, for as long as there is reason to.
    pub(crate) async fn receive(&mut self) -> Received {
        let limits = &self.router.limits;
        let limit = match self.waits_for {
            Waiting::First | Waiting::Head => limits.head_timeout,
            Waiting::Next => limits.idle_timeout,
            Waiting::Body => limits.body_timeout,
        };
        let is_idle = self.input.is_empty() && matches!(self.waits_for, Waiting::First | Waiting::Next);
        let mut deadline = self.since + limit;
        let mut is_stopping = false;
        let received = std::future::poll_fn(|context| {
            if self.input.capacity() == 0 {
                match self.stream.poll_read_ready(context) {
                    Poll::Ready(Ok(())) => self.input = buffers::take(),
                    Poll::Ready(Err(_)) => return Poll::Ready(Received::Nothing),
                    Poll::Pending => {}
                }
            }
            if self.input.capacity() > 0 {
                match pin!(self.stream.read_buf(&mut self.input)).poll(context) {
                    Poll::Ready(Ok(1..)) => return Poll::Ready(Received::Bytes),
                    Poll::Ready(_) => return Poll::Ready(Received::Nothing),
                    Poll::Pending => {}
                }
            }
            if is_idle && !is_stopping && self.stop.is_told() {
                is_stopping = true;
                deadline = deadline.min(Instant::now() + STOP_GRACE);
            }
            self.alarm.poll(context, deadline).map(|()| Received::Late)
        })
        .await;
        if received == Received::Bytes && is_idle && self.waits_for == Waiting::Next {
            self.waits_for = Waiting::Head;
            self.since = Instant::now();
        }
        received
    }

    /// Writes what is to be written.
    pub(crate) async fn flush(&mut self) -> Result<(), TooSlow> {
        let mut written = 0;
        let mut deadline = None;
        std::future::poll_fn(|context| {
            while let Some(rest) = self.output.get(written..).filter(|rest| !rest.is_empty()) {
                match Pin::new(&mut *self.stream).poll_write(context, rest) {
                    Poll::Ready(Ok(bytes)) => {
                        written += bytes;
                        deadline = None;
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(TooSlow)),
                    Poll::Pending => {
                        let now = || Instant::now() + self.router.limits.write_timeout;
                        ready!(self.alarm.poll(context, *deadline.get_or_insert_with(now)));
                        return Poll::Ready(Err(TooSlow));
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
        .await?;
        buffers::give(std::mem::take(&mut self.output));
        Ok(())
    }

    /// Writes the last answer.
    async fn finish(&mut self) -> End {
        if self.flush().await.is_ok() { End::Finished } else { End::Cut }
    }
}

/// The client did not accept an answer in time, or has left.
#[derive(Debug)]
pub(crate) struct TooSlow;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    Bytes,
    /// The client sends nothing more.
    Nothing,
    /// Not in time.
    Late,
}

impl Received {
    fn failed_body(self) -> Option<Collected> {
        match self {
            Self::Bytes => None,
            Self::Nothing => Some(Collected::Failed(Body::Broken)),
            Self::Late => Some(Collected::Failed(Body::TooSlow)),
        }
    }
}

/// One timer for a whole connection: it follows the deadline only when it would ring too late, so that a request costs
/// no timer of its own. Beside it, whatever tells that the server stops.
struct Alarm<'c> {
    sleep: Pin<&'c mut Sleep>,
    told: Pin<&'c mut (dyn Future<Output = ()> + Send)>,
    is_told: bool,
    /// Whether both will wake this task.
    is_armed: bool,
}

/// Polls a future that does no work and must not be put off: one that is has not been heard, and will wake nobody.
fn unlimited<F: Future + ?Sized>(future: Pin<&mut F>, context: &mut Context<'_>) -> Poll<F::Output> {
    pin!(tokio::task::unconstrained(future)).poll(context)
}

impl Alarm<'_> {
    /// Ready when `deadline` is over.
    fn poll(&mut self, context: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        if !self.is_armed && !self.is_told {
            self.is_told = unlimited(self.told.as_mut(), context).is_ready();
        }
        if deadline < self.sleep.deadline() {
            self.sleep.as_mut().reset(deadline);
            self.is_armed = false;
        }
        while !self.is_armed || self.sleep.is_elapsed() {
            if unlimited(self.sleep.as_mut(), context).is_pending() {
                self.is_armed = true;
                return Poll::Pending;
            }
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(deadline);
            self.is_armed = false;
        }
        Poll::Pending
    }
}

/// The body of a request, or `None` when it has to be collected.
fn body_of<'i>(
    head: &Head<'i>,
    input: &'i [u8],
    collected: &'i Collected,
    limit: usize,
    checks_head_first: bool,
) -> Option<Body<'i>> {
    match (collected, head.framing) {
        (Collected::Failed(body), _) => return Some(*body),
        (Collected::Whole(body), _) => return Some(Body::Whole(body)),
        (_, Framing::Length(length)) if length > limit as u64 => return Some(Body::TooLarge),
        (_, Framing::Length(length)) => {
            let end = head.length.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
            if let Some(body) = input.get(head.length..end) {
                return Some(Body::Whole(body));
            }
        }
        (_, Framing::Chunked) => {}
    }
    let is_expected = head.expects_continue && input.len() == head.length;
    let is_awaited = matches!(collected, Collected::Nothing) && (is_expected || checks_head_first);
    is_awaited.then_some(Body::Awaited)
}

pub(crate) fn request_of<'r>(head: &Head<'r>, body: Body<'r>, peer: IpAddr) -> Request<'r> {
    let headers = Headers::Http1(head.fields);
    Request { method: head.method, path: head.path, query: head.query, headers, body, address: peer, client: None }
}

/// Appends an answer to what is to be written.
pub(crate) fn put(
    output: &mut Vec<u8>,
    response: &Response,
    head: &Head<'_>,
    request: &Request<'_>,
    collected: &Collected,
    stop: &Stop,
) -> Used {
    if response.status == StatusCode::CONTINUE {
        if head.expects_continue {
            output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        return Used { bytes: 0, closes: false, interim: true };
    }
    let closes = !head.keeps_alive || request.body.is_unread() || stop.ends_connections();
    let protocol = answer::Protocol { is_http10: head.is_http10, is_head: head.method == "HEAD" };
    answer::write(output, response, protocol, closes);
    let body = match (collected, request.body) {
        // Its chunks are gone already.
        (Collected::Whole(_), _) => 0,
        (_, Body::Whole(body)) => body.len(),
        _ => 0,
    };
    Used { bytes: head.length + body, closes, interim: false }
}
