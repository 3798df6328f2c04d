//! A TCP proxy on a free port of 127.0.0.1 that can be told to behave badly.

use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use crate::link::{Link, Mode, Network};

/// Longer than a connection needs to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// The proxy. With it go its connections.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    to: u16,
    network: Arc<Network>,
    links: Mutex<Vec<Weak<Link>>>,
    ended: AtomicBool,
}

impl Proxy {
    /// A proxy to this port, which lets everything pass at first.
    #[must_use]
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let own = listener.local_addr().expect("is bound").port();
        let network = Arc::new(Network::new());
        let shared = Shared { to: port, network, links: Mutex::default(), ended: AtomicBool::new(false) };
        let shared = Arc::new(shared);
        let accepting = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.accept(&listener))
        };
        Self { port: own, shared, accepting: Some(accepting) }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets everything pass, also what was held.
    pub fn pass(&self) {
        self.shared.network.set(Mode::Pass);
    }

    /// A black hole: takes connections and what is said on them, and lets nothing arrive, until told otherwise.
    pub fn hold(&self) {
        self.shared.network.set(Mode::Hold);
    }

    /// Lets everything arrive so much later, in both directions.
    pub fn delay(&self, delay: Duration) {
        self.shared.network.set(Mode::Delay(delay));
    }

    /// Resets all connections, and waits until they are gone.
    pub fn cut(&self) {
        let links = std::mem::take(&mut *self.shared.links());
        links.iter().filter_map(Weak::upgrade).for_each(|link| link.cut());
        let until = Instant::now() + PATIENCE;
        while links.iter().any(|link| link.strong_count() > 0) && Instant::now() < until {
            sleep(Duration::from_millis(1));
        }
    }

    /// Closes new connections at once. Those that are there go on.
    pub fn refuse(&self) {
        self.shared.network.set(Mode::Refuse);
    }
}

impl Shared {
    fn links(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(&self, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            let Ok(client) = client else { continue };
            if self.network.mode() == Mode::Refuse {
                let _ = client.shutdown(Shutdown::Both);
                continue;
            }
            let server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.to));
            if let Ok(link) = server.and_then(|server| Link::start(client, server, &self.network)) {
                let mut links = self.links();
                links.retain(|link| link.strong_count() > 0);
                // Whoever cuts all after refusing new ones finds this one in the list, or it is seen here.
                if self.network.mode() == Mode::Refuse {
                    link.cut();
                }
                links.push(Arc::downgrade(&link));
            }
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        self.cut();
    }
}
