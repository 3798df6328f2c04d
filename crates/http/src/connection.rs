//! One connection: its time limits, and its end.
//!
//! A client may be slow in three ways: sending a request's head, accepting a response, or doing nothing between
//! requests. Each has its limit; when it is over, the connection is closed and nobody else has noticed. (A slow body
//! is the route's business, see `body`.)
//!
//! The end: whoever is still sending when the answer is out would lose it to a reset, so the rest is read and dropped
//! for a while after the sending side is closed.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::limits::Limits;
use crate::router::{Router, Surface};

/// How much of what a client still sends is read and dropped after the last answer, and for how long.
const LINGER_BYTES: usize = 64 * 1024 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(5);

/// Serves `stream` until the client leaves, a limit is over, or `stop` is told and the request in flight is done.
pub(crate) async fn serve(stream: TcpStream, router: Arc<Router>, surface: Surface, mut stop: watch::Receiver<bool>) {
    // Answers are small and complete when written; waiting to fill a segment only delays them.
    let _ = stream.set_nodelay(true);
    let limits = router.limits.clone();
    let progress = Arc::new(Progress::new());
    let service = service_fn(|request| {
        let (router, progress) = (&router, &progress);
        progress.enter(Phase::Handling);
        async move {
            let response = router.answer(request, surface).await;
            progress.enter(Phase::Writing);
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let io = TokioIo::new(Watched { stream, progress: Arc::clone(&progress) });
    let mut connection =
        http1::Builder::new().max_buf_size(limits.head_bytes).half_close(true).serve_connection(io, service);

    let mut alarm = pin!(sleep_until(progress.deadline(&limits)));
    let mut stopping = pin!(stop.wait_for(|&stop| stop));
    let mut is_stopping = false;
    let end = std::future::poll_fn(|context| {
        if !is_stopping && stopping.as_mut().poll(context).is_ready() {
            is_stopping = true;
            if progress.phase() == Phase::Fresh {
                return Poll::Ready(End::Cut);
            }
            Pin::new(&mut connection).graceful_shutdown();
        }
        if Pin::new(&mut connection).poll(context).is_ready() {
            return Poll::Ready(End::Finished);
        }
        // The deadline moves with every request; the alarm follows only when it would ring too late.
        let deadline = progress.deadline(&limits);
        if deadline < alarm.deadline() {
            alarm.as_mut().reset(deadline);
        }
        while alarm.as_mut().poll(context).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(End::Cut);
            }
            alarm.as_mut().reset(deadline);
        }
        Poll::Pending
    })
    .await;

    if matches!(end, End::Finished) {
        linger(connection.into_parts().io.into_inner().stream).await;
    }
}

enum End {
    /// The last answer is out, or the client has left.
    Finished,
    /// A limit is over, or there was nothing to wait for.
    Cut,
}

/// Closes the sending side, then reads and drops what the client still sends, within bounds.
async fn linger(mut stream: TcpStream) {
    let _ = timeout(LINGER_TIME, async {
        stream.shutdown().await?;
        let mut scratch = [0; 4096];
        let mut dropped = 0;
        while dropped < LINGER_BYTES {
            match stream.read(&mut scratch).await? {
                0 => break,
                bytes => dropped += bytes,
            }
        }
        Ok::<_, io::Error>(())
    })
    .await;
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
    fn deadline(&self, limits: &Limits) -> Instant {
        let since = self.started + Duration::from_millis(self.word.load(Ordering::Relaxed) >> Self::PHASE_BITS);
        match self.phase() {
            Phase::Fresh | Phase::Head => since + limits.head_timeout,
            // The route keeps its own time; the alarm need only look again later.
            Phase::Handling => Instant::now() + limits.body_timeout + limits.write_timeout,
            Phase::Writing => since + limits.write_timeout,
            Phase::Idle => since + limits.idle_timeout,
        }
    }
}

/// A stream that notes when a request begins and when a response is out.
struct Watched {
    stream: TcpStream,
    progress: Arc<Progress>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if buffer.filled().len() > before && matches!(self.progress.phase(), Phase::Fresh | Phase::Idle) {
            self.progress.enter(Phase::Head);
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.stream).poll_flush(context));
        if self.progress.phase() == Phase::Writing {
            self.progress.enter(Phase::Idle);
        }
        Poll::Ready(result)
    }

    /// Leaves it to [`linger`], which has more to do than close.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
