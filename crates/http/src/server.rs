//! Listening and accepting. Connections beyond the limit stay in the system's accept queue until one ends.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::connection;
use crate::router::{Router, Surface};

/// How long to wait when the system cannot hand out another connection (it is out of file descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// As many connections as a listener's queue holds are still accepted when the server stops.
const MOST_WAITING: usize = 4096;

/// A server with its listeners, ready to run.
pub struct Server {
    router: Arc<Router>,
    listeners: Vec<(TcpListener, Surface)>,
}

impl Server {
    /// A server without listeners.
    #[must_use]
    pub fn new(router: Router) -> Self {
        Self { router: Arc::new(router), listeners: Vec::new() }
    }

    /// Adds a socket that is bound and listening; must be called within a tokio runtime. Answers its address.
    ///
    /// # Errors
    /// When the socket cannot be made non-blocking or has no address.
    pub fn listen(&mut self, listener: std::net::TcpListener, surface: Surface) -> io::Result<SocketAddr> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        self.listeners.push((listener, surface));
        Ok(address)
    }

    /// Serves until `stop` is done; then accepts no more, lets requests in flight finish within the limit, and answers
    /// how many connections it had to cut.
    pub async fn run(self, stop: impl Future<Output = ()>) -> usize {
        let limits = &self.router.limits;
        let (stop_sender, stopping) = watch::channel(false);
        let places = Arc::new(Semaphore::new(limits.connections));
        let mut acceptors = JoinSet::new();
        for (listener, surface) in self.listeners {
            // Operators get in even when every place is taken.
            let places = if surface == Surface::Admin { Arc::new(Semaphore::new(64)) } else { Arc::clone(&places) };
            acceptors.spawn(accept(listener, surface, Arc::clone(&self.router), places, stopping.clone()));
        }
        stop.await;
        // Each acceptor drops its listener, tells its connections, and ends when they have ended.
        let _ = stop_sender.send(true);
        let drained = async { while acceptors.join_next().await.is_some() {} };
        match tokio::time::timeout(limits.stop_timeout, drained).await {
            Ok(()) => 0,
            Err(_) => limits.connections.saturating_sub(places.available_permits()),
        }
    }
}

async fn accept(
    listener: TcpListener,
    surface: Surface,
    router: Arc<Router>,
    places: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
) {
    let mut stop = stopping.clone();
    let mut connections = JoinSet::new();
    // One connection is accepted before there is a place for it, so that no listener holds a place that it does not
    // use; the others stay in the system's queue.
    let mut accepted = None;
    let serve = |stream, place| {
        let served = connection::serve(stream, Arc::clone(&router), surface, stopping.clone());
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
            Arc::clone(&places).acquire_owned().await.ok()
        };
        let place = tokio::select! {
            biased;
            _ = stop.wait_for(|&stop| stop) => break,
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
