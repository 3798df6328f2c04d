//! One connection from its first byte to its end.
//!
//! Its end: whoever is still sending when the last answer is out would lose it to a reset, so the rest is read and
//! dropped for a while after the sending side is closed.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::http1::{Connection, End};
use crate::http2;
use crate::router::{Router, Surface};
use crate::server::Stop;

/// How much of what a client still sends is read and dropped after the last answer.
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// How long that goes on when the server stops.
const LAST_LINGER: Duration = Duration::from_millis(500);

/// How long a client that is still sending may pause then.
const LINGER_PAUSE: Duration = Duration::from_secs(5);

/// Serves `stream` until the client leaves, a limit is over, or `stop` is told and what is in flight is done.
pub(crate) async fn serve(mut stream: TcpStream, router: Arc<Router>, surface: Surface, stop: Stop) {
    // Answers are small and complete when written; waiting to fill a segment only delays them.
    let _ = stream.set_nodelay(true);
    // Whoever has left already is not heard anyway.
    let peer = stream.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    let (end, input) = {
        let alarm = pin!(sleep_until(Instant::now() + router.limits.head_timeout));
        let told = pin!(stop.clone().told());
        let mut connection = Connection::new(&mut stream, &router, surface, peer, stop.clone(), alarm, told);
        (connection.serve().await, connection.input)
    };
    match end {
        End::Finished => {
            Box::pin(linger(&stream, if stop.is_told() { LAST_LINGER } else { router.limits.body_timeout })).await
        }
        End::Http2 => {
            let (body_timeout, told) = (router.limits.body_timeout, stop.clone());
            // A second descriptor: what was written last is lost where the only one is closed over what the client has
            // still sent.
            let again = SockRef::from(&stream).try_clone().and_then(|again| TcpStream::from_std(again.into()));
            Box::pin(http2::serve(stream, input, router, surface, peer, stop)).await;
            if let Ok(again) = again {
                Box::pin(linger(&again, if told.is_told() { LAST_LINGER } else { body_timeout })).await;
            }
        }
        // Whoever gets a reset knows that it was not the end.
        End::Broken => drop(SockRef::from(&stream).set_linger(Some(Duration::ZERO))),
        End::Cut => {}
    }
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
