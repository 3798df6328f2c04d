//! One connection through the proxy: what comes from one side is stamped, and given to the other when the network would.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

/// How often a thread that waits looks whether its connection was cut.
const LOOK: Duration = Duration::from_millis(20);

/// What the network does with what is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Pass,
    Hold,
    Delay(Duration),
    Refuse,
}

/// The mode, and a way to wait for another.
pub(crate) struct Network {
    mode: Mutex<Mode>,
    changed: Condvar,
}

impl Network {
    pub(crate) fn new() -> Self {
        Self { mode: Mutex::new(Mode::Pass), changed: Condvar::new() }
    }

    pub(crate) fn mode(&self) -> Mode {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
        self.changed.notify_all();
    }

    /// Waits while nothing gets through, but not for ever.
    fn wait_while_held(&self) {
        let mode = self.mode.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_timeout_while(mode, LOOK, |mode| *mode == Mode::Hold));
    }
}

/// Two connections of which each gets what the other says. When the last thread lets go of it, both are gone.
pub(crate) struct Link {
    client: TcpStream,
    server: TcpStream,
    is_cut: AtomicBool,
}

/// What came, and when. Nothing is the end.
type Piece = (Instant, Vec<u8>);

impl Link {
    pub(crate) fn start(client: TcpStream, server: TcpStream, network: &Arc<Network>) -> io::Result<Arc<Self>> {
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        client.set_write_timeout(Some(LOOK))?;
        server.set_write_timeout(Some(LOOK))?;
        let link = Arc::new(Self { client, server, is_cut: AtomicBool::new(false) });
        for upwards in [true, false] {
            let (sender, receiver) = channel();
            let (reads, writes) = (Arc::clone(&link), Arc::clone(&link));
            let network = Arc::clone(network);
            std::thread::spawn(move || reads.read(upwards, &sender));
            std::thread::spawn(move || writes.write(upwards, &receiver, &network));
        }
        Ok(link)
    }

    /// Both sides get a reset as soon as the threads have let go.
    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for side in [&self.client, &self.server] {
            let _ = set_socket_linger(side, Some(Duration::ZERO));
            // Nothing is said to the other side by this; it only wakes the thread that reads.
            let _ = side.shutdown(Shutdown::Read);
        }
    }

    fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::SeqCst)
    }

    fn read(&self, upwards: bool, pieces: &Sender<Piece>) {
        let mut from = if upwards { &self.client } else { &self.server };
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from.read(&mut buffer).unwrap_or(0);
            let piece = buffer.get(..read).unwrap_or_default().to_vec();
            if pieces.send((Instant::now(), piece)).is_err() || read == 0 {
                return;
            }
        }
    }

    fn write(&self, upwards: bool, pieces: &Receiver<Piece>, network: &Network) {
        let to = if upwards { &self.server } else { &self.client };
        while !self.is_cut() {
            let (came, piece) = match pieces.recv_timeout(LOOK) {
                Ok(piece) => piece,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if !self.travels(came, network) {
                return;
            }
            if piece.is_empty() || !self.write_all(to, &piece) {
                let _ = if self.is_cut() { Ok(()) } else { to.shutdown(Shutdown::Write) };
                return;
            }
        }
    }

    /// Waits until the network lets a piece arrive. `false` when the connection was cut before.
    fn travels(&self, came: Instant, network: &Network) -> bool {
        while !self.is_cut() {
            match network.mode() {
                Mode::Hold => network.wait_while_held(),
                Mode::Delay(delay) => match delay.checked_sub(came.elapsed()) {
                    Some(left) if !left.is_zero() => sleep(left.min(LOOK)),
                    _ => return true,
                },
                Mode::Pass | Mode::Refuse => return true,
            }
        }
        false
    }

    fn write_all(&self, mut to: &TcpStream, mut piece: &[u8]) -> bool {
        while !piece.is_empty() {
            match to.write(piece) {
                Ok(written) if written > 0 => piece = piece.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.is_cut() => {}
                _ => return false,
            }
        }
        true
    }
}
