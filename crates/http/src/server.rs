//! Listening and accepting. Each worker is a thread with a runtime, listeners and connections of its own; what they share
//! is told in [`Router`]. Connections beyond the limit stay in the system's accept queue until one ends.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;

use crate::connection;
use crate::router::{Router, Surface};

/// How long to wait when the system cannot hand out another connection (it is out of file descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// As many connections as a listener's queue holds are still accepted when the server stops.
const MOST_WAITING: usize = 4096;

/// How long a connection without a request is kept when the server stops: its next request may be under way.
pub(crate) const STOP_GRACE: Duration = Duration::from_millis(200);

/// Connections that the system keeps waiting until they are accepted.
const BACKLOG: i32 = 4096;

/// A server with its listeners, ready to run.
pub struct Server {
    router: Router,
    workers: usize,
    public: Vec<std::net::TcpListener>,
    admin: Vec<std::net::TcpListener>,
}

impl Server {
    /// A server with so many workers, at least one, and without listeners.
    #[must_use]
    pub fn new(router: Router, workers: usize) -> Self {
        Self { router, workers: workers.max(1), public: Vec::new(), admin: Vec::new() }
    }

    /// Adds a socket that is bound and listening. Answers its address.
    ///
    /// # Errors
    /// When the socket has no address.
    pub fn listen(&mut self, listener: std::net::TcpListener, surface: Surface) -> io::Result<SocketAddr> {
        let address = listener.local_addr()?;
        match surface {
            Surface::Public => self.public.push(listener),
            Surface::Admin => self.admin.push(listener),
        }
        Ok(address)
    }

    /// Serves until `stop` is done, and on for as long as it drains; then accepts no more, lets requests in flight finish within the limit, and answers
    /// how many connections it had to cut. Operators are served by the runtime of the caller, which is free when every
    /// worker is busy.
    ///
    /// # Errors
    /// When a worker cannot be started.
    pub async fn run(self, stop: impl Future<Output = ()>) -> io::Result<usize> {
        let limits = self.router.limits.clone();
        let places = Arc::new(Semaphore::new(limits.connections));
        let draining = Arc::clone(&self.router.draining);
        let (teller, told) = Stop::new(Arc::clone(&draining));
        let (cut, _) = watch::channel(false);
        let mut workers = JoinSet::new();
        for number in 0..self.workers {
            let listeners =
                self.public.iter().map(|listener| share(listener, number)).collect::<io::Result<Vec<_>>>()?;
            let worker = Worker {
                router: Arc::new(self.router.for_worker()),
                surface: Surface::Public,
                places: Arc::clone(&places),
                stop: told.clone(),
            };
            let mut cut = cut.subscribe();
            let (done, ended) = oneshot::channel::<()>();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                let run = async {
                    tokio::select! { () = worker.run(listeners) => {}, _ = cut.wait_for(|&cut| cut) => {} }
                };
                runtime.block_on(run);
                runtime.shutdown_background();
                drop(done);
            })?;
            workers.spawn(async { drop(ended.await) });
        }
        drop(self.public);
        let admin = Worker {
            router: Arc::new(self.router),
            surface: Surface::Admin,
            // Operators get in even when every place is taken.
            places: Arc::new(Semaphore::new(64)),
            stop: told,
        };
        workers.spawn(admin.run(self.admin));
        stop.await;
        if !limits.drain_time.is_zero() {
            // Whoever deals out requests finds out that this server will be gone, and loses none to it.
            draining.store(true, Ordering::SeqCst);
            tokio::time::sleep(limits.drain_time).await;
        }
        // Each worker drops its listeners, tells its connections, and ends when they have ended.
        teller.tell();
        let drained = async { while workers.join_next().await.is_some() {} };
        if tokio::time::timeout(limits.stop_timeout, drained).await.is_ok() {
            return Ok(0);
        }
        let left = limits.connections.saturating_sub(places.available_permits());
        let _ = cut.send(true);
        Ok(left)
    }
}

/// A socket of its own on the same address: the system deals the connections out among them. The first worker takes the
/// one that is there. That was bound alone, so that another process on the address was found out; only then is it shared.
fn share(listener: &std::net::TcpListener, number: usize) -> io::Result<std::net::TcpListener> {
    if number == 0 {
        return listener.try_clone();
    }
    let own = SockRef::from(listener);
    own.set_reuse_port(true)?;
    let address = listener.local_addr()?;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(own.only_v6()?)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Tells everyone to stop.
struct StopTeller {
    flag: Arc<AtomicBool>,
    notice: watch::Sender<bool>,
}

impl StopTeller {
    fn tell(&self) {
        self.flag.store(true, Ordering::SeqCst);
        let _ = self.notice.send(true);
    }
}

/// Whether the server stops: asked often, and waited for once.
#[derive(Clone)]
pub(crate) struct Stop {
    draining: Arc<AtomicBool>,
    flag: Arc<AtomicBool>,
    notice: watch::Receiver<bool>,
}

impl Stop {
    fn new(draining: Arc<AtomicBool>) -> (StopTeller, Self) {
        let flag = Arc::new(AtomicBool::new(false));
        let (sender, notice) = watch::channel(false);
        (StopTeller { flag: Arc::clone(&flag), notice: sender }, Self { draining, flag, notice })
    }

    pub(crate) fn is_told(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// Whether a connection ends with the next answer.
    pub(crate) fn ends_connections(&self) -> bool {
        self.is_told() || self.draining.load(Ordering::Relaxed)
    }

    pub(crate) async fn told(mut self) {
        let _ = self.notice.wait_for(|&told| told).await;
    }
}

/// What one thread serves connections with.
#[derive(Clone)]
struct Worker {
    router: Arc<Router>,
    surface: Surface,
    places: Arc<Semaphore>,
    stop: Stop,
}

impl Worker {
    async fn run(self, listeners: Vec<std::net::TcpListener>) {
        let mut acceptors = JoinSet::new();
        for listener in listeners {
            match listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener)) {
                Ok(listener) => drop(acceptors.spawn(accept(listener, self.clone()))),
                Err(error) => tracing::error!(%error, "cannot listen"),
            }
        }
        while acceptors.join_next().await.is_some() {}
    }
}

async fn accept(listener: TcpListener, worker: Worker) {
    let mut told = pin!(worker.stop.clone().told());
    let mut connections = JoinSet::new();
    // One connection is accepted before there is a place for it, so that no listener holds a place that it does not
    // use; the others stay in the system's queue.
    let mut accepted = None;
    let serve = |stream, place| {
        let served = connection::serve(stream, Arc::clone(&worker.router), worker.surface, worker.stop.clone());
        async move {
            served.await;
            drop(place);
        }
    };
    loop {
        while connections.try_join_next().is_some() {}
        let next = async {
            if accepted.is_none() {
                accepted = Some(next_connection(&listener).await);
            }
            Arc::clone(&worker.places).acquire_owned().await.ok()
        };
        let place = tokio::select! {
            biased;
            () = told.as_mut() => break,
            place = next => place,
        };
        if let Some(stream) = accepted.take() {
            connections.spawn(serve(stream, place));
        }
    }
    // Whoever has been let in by the system but not by us may have sent a request already.
    let waiting =
        listener.into_std().into_iter().flat_map(|listener| std::iter::from_fn(move || listener.accept().ok()));
    let waiting = waiting.take(MOST_WAITING).filter_map(|(stream, _)| {
        stream.set_nonblocking(true).ok()?;
        TcpStream::from_std(stream).ok()
    });
    for stream in accepted.into_iter().chain(waiting) {
        connections.spawn(serve(stream, None));
    }
    while connections.join_next().await.is_some() {}
}

async fn next_connection(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => match error.kind() {
                // The client has gone again already.
                io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted => {}
                _ => {
                    tracing::warn!(%error, "cannot accept a connection, trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}
