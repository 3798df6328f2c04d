//! One connection of the load generator: HTTP/1.1 (RFC 9112), one request at a time.
//!
//! A request is sent in one piece, and its answer read into a buffer that is used again. A server can make it neither
//! wait for longer than the timeout nor keep more than a head of [`LARGEST_HEAD`] bytes; bodies are counted, not kept,
//! but for those that are asked for. It follows no redirections, and sends nothing twice.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::time::Duration;

use httparse::{EMPTY_HEADER, Status};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::head::{Framing, Head, MOST_HEADERS, parse};
use super::tally::Failure;

/// What one read takes, unless a head is larger.
const BUFFER: usize = 4096;
const LARGEST_HEAD: usize = 16 * 1024;
const LARGEST_BODY: u64 = 16 * 1024 * 1024;

/// A place for a connection, which is opened when it is needed and kept for as long as the server keeps it.
pub(super) struct Client {
    wire: Wire,
    timeout: Duration,
    /// Goes off at the deadline of a request or earlier, and is then set anew: most requests never touch it.
    alarm: Pin<Box<Sleep>>,
}

/// What came back, whatever its status is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Bytes of the answer, its head included.
    pub(super) received: u64,
}

impl Client {
    /// To be called within a runtime. Opens nothing yet.
    pub(super) fn new(address: SocketAddr, timeout: Duration) -> Self {
        let wire =
            Wire { address, stream: None, buffer: vec![0; BUFFER], start: 0, end: 0, received: 0, connections: 0 };
        Self { wire, timeout, alarm: Box::pin(sleep(timeout)) }
    }

    /// Opens the connection ahead of the first request.
    pub(super) async fn open(&mut self) -> Result<(), Failure> {
        match tokio::time::timeout(self.timeout, self.wire.connect()).await {
            Ok(result) => result,
            Err(_) => Err(Failure::ConnectTimeout),
        }
    }

    /// Sends a whole request and reads its answer, within the timeout. A connection is opened where there is none; it
    /// is closed after a failure.
    pub(super) async fn ask(&mut self, request: &[u8], body: Option<&mut Vec<u8>>) -> Result<Answer, Failure> {
        let deadline = Instant::now() + self.timeout;
        let result = {
            let mut exchange = pin!(self.wire.exchange(request, body));
            loop {
                tokio::select! {
                    biased;
                    result = &mut exchange => break Some(result),
                    () = self.alarm.as_mut() => {
                        if Instant::now() >= deadline {
                            break None;
                        }
                        self.alarm.as_mut().reset(deadline);
                    }
                }
            }
        };
        let result = match result {
            Some(result) => result,
            None if self.wire.stream.is_none() => Err(Failure::ConnectTimeout),
            None => Err(Failure::Timeout),
        };
        match result {
            Ok(status) => Ok(Answer { status, received: self.wire.received }),
            Err(failure) => {
                self.wire.stream = None;
                Err(failure)
            }
        }
    }

    /// How many connections were opened so far.
    pub(super) fn connections(&self) -> u64 {
        self.wire.connections
    }
}

/// The connection and what was read from it; not yet used are the bytes from `start` to `end`.
struct Wire {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    received: u64,
    connections: u64,
}

impl Wire {
    async fn connect(&mut self) -> Result<(), Failure> {
        self.stream = None;
        let stream = TcpStream::connect(self.address).await.map_err(|error| Failure::from_connect(&error))?;
        // Requests are written in one piece: there is nothing to wait for.
        let _ = stream.set_nodelay(true);
        (self.start, self.end) = (0, 0);
        self.connections += 1;
        self.stream = Some(stream);
        Ok(())
    }

    async fn exchange(&mut self, request: &[u8], mut body: Option<&mut Vec<u8>>) -> Result<u16, Failure> {
        self.received = 0;
        if !self.is_open() {
            self.connect().await?;
        }
        let stream = self.stream.as_mut().ok_or(Failure::Closed)?;
        // A server may refuse and close before it has read everything; its answer counts then.
        let is_sent = stream.write_all(request).await.is_ok();
        let head = loop {
            let head = self.head().await?;
            match head.status {
                101 => return Err(Failure::MalformedAnswer),
                100..200 => {}
                _ => break head,
            }
        };
        match head.framing {
            Framing::Length(length) => self.take(length, &mut body).await?,
            Framing::Chunked => self.take_chunks(&mut body).await?,
            Framing::UntilClosed => self.take_rest(&mut body).await?,
        }
        if self.start != self.end {
            return Err(Failure::MalformedAnswer);
        }
        if !head.stays || !is_sent {
            self.stream = None;
        }
        Ok(head.status)
    }

    /// Whether the connection can take a request: a server may close it between two, and that is no failure.
    fn is_open(&self) -> bool {
        let would_block = |error: std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
        self.stream.as_ref().is_some_and(|stream| stream.try_read(&mut [0]).is_err_and(would_block))
    }

    async fn head(&mut self) -> Result<Head, Failure> {
        loop {
            if let Some((head, length)) = parse(self.unread())? {
                self.start += length;
                return Ok(head);
            }
            self.need().await?;
        }
    }

    /// Takes as many bytes of the body.
    async fn take(&mut self, length: u64, body: &mut Option<&mut Vec<u8>>) -> Result<(), Failure> {
        if length > LARGEST_BODY {
            return Err(Failure::MalformedAnswer);
        }
        let mut left = length;
        while left > 0 {
            if self.start == self.end {
                self.need().await?;
            }
            let unread = self.unread();
            let part = unread.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(unread);
            if let Some(body) = body {
                body.extend_from_slice(part);
            }
            let taken = part.len();
            self.start += taken;
            left -= taken as u64;
        }
        Ok(())
    }

    /// Takes a body in chunks and the trailer behind it (RFC 9112 section 7.1).
    async fn take_chunks(&mut self, body: &mut Option<&mut Vec<u8>>) -> Result<(), Failure> {
        let mut total: u64 = 0;
        loop {
            let size = loop {
                match httparse::parse_chunk_size(self.unread()).map_err(|_| Failure::MalformedAnswer)? {
                    Status::Complete((length, size)) => {
                        self.start += length;
                        break size;
                    }
                    Status::Partial => self.need().await?,
                }
            };
            total = total.saturating_add(size);
            if total > LARGEST_BODY {
                return Err(Failure::MalformedAnswer);
            }
            if size == 0 {
                break;
            }
            self.take(size, body).await?;
            while self.unread().len() < 2 {
                self.need().await?;
            }
            if !self.unread().starts_with(b"\r\n") {
                return Err(Failure::MalformedAnswer);
            }
            self.start += 2;
        }
        loop {
            let mut headers = [EMPTY_HEADER; MOST_HEADERS];
            match httparse::parse_headers(self.unread(), &mut headers).map_err(|_| Failure::MalformedAnswer)? {
                Status::Complete((length, _)) => {
                    self.start += length;
                    return Ok(());
                }
                Status::Partial => self.need().await?,
            }
        }
    }

    /// Takes a body that ends with the connection.
    async fn take_rest(&mut self, body: &mut Option<&mut Vec<u8>>) -> Result<(), Failure> {
        let mut total = 0;
        loop {
            let unread = self.unread().len();
            total += unread as u64;
            if total > LARGEST_BODY {
                return Err(Failure::MalformedAnswer);
            }
            self.take(unread as u64, body).await?;
            if !self.more().await? {
                return Ok(());
            }
        }
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads on, where the answer must not end yet.
    async fn need(&mut self) -> Result<(), Failure> {
        if self.more().await? { Ok(()) } else { Err(Failure::Closed) }
    }

    /// Reads on; `false` at the end of the connection.
    async fn more(&mut self) -> Result<bool, Failure> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.end == self.buffer.len() {
            if self.end >= LARGEST_HEAD {
                return Err(Failure::MalformedAnswer);
            }
            self.buffer.resize(self.end * 2, 0);
        }
        let stream = self.stream.as_mut().ok_or(Failure::Closed)?;
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let read = stream.read(room).await.map_err(|_| Failure::Closed)?;
        self.end += read;
        self.received += read as u64;
        Ok(read > 0)
    }
}
