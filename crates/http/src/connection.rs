//! One connection: its time limits, and its end.
//!
//! A client may be slow in three ways: sending a request's head, accepting a response, or doing nothing between
//! requests. Each has its limit; when it is over, the connection is closed and nobody else has noticed. (A slow body
//! is the route's business, see `body`.)
//!
//! Its end: whoever is still sending when the last answer is out would lose it to a reset, so the rest is read and
//! dropped for a while after the sending side is closed. And when the server is told to stop, a request that is already
//! on its way is still answered, with `Connection: close`.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::limits::Limits;
use crate::router::{Router, Surface};

/// How much of what a client still sends is read and dropped after the last answer.
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// How long a client that is still sending may pause then.
const LINGER_PAUSE: Duration = Duration::from_secs(5);

/// How long a connection without a request is kept when the server stops: its next request may be under way.
const STOP_GRACE: Duration = Duration::from_millis(200);

/// Serves `stream` until the client leaves, a limit is over, or `stop` is told and the request in flight is done.
pub(crate) async fn serve(stream: TcpStream, router: Arc<Router>, surface: Surface, mut stop: watch::Receiver<bool>) {
    // Answers are small and complete when written; waiting to fill a segment only delays them.
    let _ = stream.set_nodelay(true);
    // Whoever has left already is not heard anyway.
    let peer = stream.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    let stream = Arc::new(stream);
    let limits = router.limits.clone();
    let progress = Progress::new();
    let stopped = stop.clone();
    let service = service_fn(|request| {
        let (router, progress, stopped) = (&router, &progress, &stopped);
        progress.enter(Phase::Handling);
        async move {
            let mut response = router.answer(request, surface, peer).await;
            if *stopped.borrow() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            progress.enter(Phase::Writing);
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let io = TokioIo::new(Watched { stream: Arc::clone(&stream), progress: &progress });
    let mut connection =
        http1::Builder::new().max_buf_size(limits.head_bytes).half_close(true).serve_connection(io, service);

    let mut alarm = pin!(sleep_until(progress.deadline(&limits, None)));
    let mut stopping = pin!(stop.wait_for(|&stop| stop));
    let mut stopped_at = None;
    let end = std::future::poll_fn(|context| {
        if stopped_at.is_none() && stopping.as_mut().poll(context).is_ready() {
            stopped_at = Some(Instant::now());
        }
        if Pin::new(&mut connection).poll(context).is_ready() {
            return Poll::Ready(End::Finished);
        }
        // The deadline moves with every request; the alarm follows only when it would ring too late.
        let mut deadline = progress.deadline(&limits, stopped_at);
        if deadline < alarm.deadline() {
            alarm.as_mut().reset(deadline);
        }
        while alarm.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            if now >= deadline {
                if stopped_at.is_none() || !progress.phase().is_without_request() || !has_input(&stream) {
                    return Poll::Ready(End::Cut);
                }
                // A request has come, and is about to be noticed.
                deadline = now + STOP_GRACE;
            }
            alarm.as_mut().reset(deadline);
        }
        Poll::Pending
    })
    .await;

    drop(connection);
    if matches!(end, End::Finished) {
        linger(&stream, limits.body_timeout).await;
    }
}

enum End {
    /// The last answer is out, or the client has left.
    Finished,
    /// A limit is over, or there was nothing to wait for.
    Cut,
}

/// Whether the system has bytes of the client's that nobody has read yet.
fn has_input(stream: &TcpStream) -> bool {
    SockRef::from(stream).peek(&mut [std::mem::MaybeUninit::uninit()]).is_ok_and(|bytes| bytes > 0)
}

/// Closes the sending side, then reads and drops what the client still sends, within bounds.
async fn linger(stream: &TcpStream, patience: Duration) {
    let drain = async {
        SockRef::from(stream).shutdown(std::net::Shutdown::Write)?;
        let mut scratch = [0; 4096];
        let mut dropped = 0;
        while dropped < LINGER_BYTES {
            timeout(LINGER_PAUSE, stream.readable()).await??;
            match stream.try_read(&mut scratch) {
                Ok(0) => break,
                Ok(bytes) => dropped += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok::<_, io::Error>(())
    };
    let _ = timeout(patience, drain).await;
}

/// What a connection is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
enum Phase {
    /// The first byte of the first request.
    Fresh,
    /// The rest of a request's head.
    Head,
    /// The route.
    Handling,
    /// The client, to accept a response.
    Writing,
    /// The next request.
    Idle,
}

impl Phase {
    fn is_without_request(self) -> bool {
        matches!(self, Self::Fresh | Self::Idle)
    }
}

/// The phase and when it began, in one word: milliseconds since the connection's start, and the phase in the low bits.
struct Progress {
    started: Instant,
    word: AtomicU64,
}

impl Progress {
    const PHASE_BITS: u32 = 3;

    fn new() -> Self {
        Self { started: Instant::now(), word: AtomicU64::new(Phase::Fresh as u64) }
    }

    fn enter(&self, phase: Phase) {
        let millis = self.started.elapsed().as_millis() as u64;
        self.word.store(millis << Self::PHASE_BITS | phase as u64, Ordering::Relaxed);
    }

    fn phase(&self) -> Phase {
        match self.word.load(Ordering::Relaxed) & ((1 << Self::PHASE_BITS) - 1) {
            0 => Phase::Fresh,
            1 => Phase::Head,
            2 => Phase::Handling,
            3 => Phase::Writing,
            _ => Phase::Idle,
        }
    }

    /// When the connection is to be cut if nothing happens.
    fn deadline(&self, limits: &Limits, stopped_at: Option<Instant>) -> Instant {
        let since = self.started + Duration::from_millis(self.word.load(Ordering::Relaxed) >> Self::PHASE_BITS);
        let phase = self.phase();
        let deadline = match phase {
            Phase::Fresh | Phase::Head => since + limits.head_timeout,
            // The route keeps its own time; the alarm need only look again later.
            Phase::Handling => Instant::now() + limits.body_timeout + limits.write_timeout,
            Phase::Writing => since + limits.write_timeout,
            Phase::Idle => since + limits.idle_timeout,
        };
        match stopped_at {
            Some(stopped_at) if phase.is_without_request() => deadline.min(stopped_at + STOP_GRACE),
            _ => deadline,
        }
    }
}

/// A stream that notes when a request begins and when a response is out.
struct Watched<'a> {
    stream: Arc<TcpStream>,
    progress: &'a Progress,
}

impl AsyncRead for Watched<'_> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            match self.stream.try_read(buffer.initialize_unfilled()) {
                Ok(bytes) => {
                    buffer.advance(bytes);
                    if bytes > 0 && self.progress.phase().is_without_request() {
                        self.progress.enter(Phase::Head);
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Watched<'_> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            match self.stream.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Called when everything has been handed to the system.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.progress.phase() == Phase::Writing {
            self.progress.enter(Phase::Idle);
        }
        Poll::Ready(Ok(()))
    }

    /// Leaves it to [`linger`], which has more to do than close.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
