//! Requests of HTTP/1 that are answered while their body comes.

use std::io::Write as _;
use std::mem::MaybeUninit;

use tokio::time::Instant;

use crate::chunked::Chunks;
use crate::head::{Framing, Head, MOST_FIELDS};
use crate::http1::{Connection, End, Received, Used, Waiting, put, request_of};
use crate::http1_answer as answer;
use crate::request::Body;
use crate::v1_batch::{Batch, Broken, Exchange, Kind};

/// How much is read at a time.
const AT_A_TIME: usize = 64 * 1024;

impl Connection<'_> {
    /// Answers line by line while the lines come.
    pub(crate) async fn stream(&mut self, kind: Kind) -> Result<Used, End> {
        let started = Instant::now();
        let (router, surface, peer) = (self.router, self.surface, self.peer);
        let input = self.input.get(self.begin..).unwrap_or_default().to_vec();
        let mut room = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let head = Head::parse(&input, router.limits.head_bytes, &mut room).ok().flatten().ok_or(End::Cut)?;
        let request = request_of(&head, Body::Awaited, peer);
        let route = router.route(head.path, surface);
        let batch = match router.begin_stream(kind, &request).await {
            Ok(batch) => batch,
            Err(response) => {
                router.note(route, &request, &response, started);
                return Ok(put(&mut self.output, &response, &head, &request, &self.body, &self.stop));
            }
        };
        if head.expects_continue {
            self.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let response = Batch::begin();
        let closes = !head.keeps_alive || head.is_http10;
        answer::write_head(&mut self.output, &response, head.is_http10);
        self.output.extend_from_slice(if head.is_http10 { b"" } else { b"transfer-encoding: chunked\r\n" });
        self.output.extend_from_slice(if closes { b"connection: close\r\n\r\n" } else { b"\r\n" });
        self.begin += head.length;
        // Whoever waits for a word before it sends the first line gets it.
        self.flush().await.map_err(|_| End::Cut)?;
        let mut exchange = Streamed::new(self, &head);
        let cut = if head.is_http10 { End::Broken } else { End::Cut };
        batch.stream(router, &mut exchange).await.map_err(|_| cut)?;
        let is_read = exchange.is_read;
        if !head.is_http10 {
            self.output.extend_from_slice(b"0\r\n\r\n");
        }
        router.note(route, &request, &response, started);
        Ok(Used { bytes: 0, closes: closes || !is_read || self.stop.ends_connections(), interim: false })
    }
}

/// A request whose body is read while its answer is written.
struct Streamed<'x, 'c> {
    connection: &'x mut Connection<'c>,
    framing: Framing,
    chunks: Chunks,
    is_http10: bool,
    /// Whether the body has come to its end.
    is_read: bool,
}

impl<'x, 'c> Streamed<'x, 'c> {
    fn new(connection: &'x mut Connection<'c>, head: &Head<'_>) -> Self {
        let (framing, is_http10) = (head.framing, head.is_http10);
        Self { connection, framing, chunks: Chunks::default(), is_http10, is_read: false }
    }

    /// Takes what has come of the body.
    fn take(&mut self, input: &mut Vec<u8>) -> Result<(), Broken> {
        let raw = self.connection.input.get(self.connection.begin..).unwrap_or_default();
        let used = match &mut self.framing {
            Framing::Length(left) => {
                let (body, _) = raw.split_at(usize::try_from(*left).unwrap_or(usize::MAX).min(raw.len()));
                input.extend_from_slice(body);
                *left -= body.len() as u64;
                self.is_read = *left == 0;
                body.len()
            }
            Framing::Chunked => {
                let used = self.chunks.read(raw, |piece| input.extend_from_slice(piece)).map_err(|_| Broken)?;
                self.is_read = self.chunks.are_done();
                used
            }
        };
        self.connection.input.drain(..self.connection.begin + used);
        self.connection.begin = 0;
        Ok(())
    }
}

impl Exchange for Streamed<'_, '_> {
    async fn read(&mut self, input: &mut Vec<u8>) -> Result<bool, Broken> {
        let before = input.len();
        loop {
            self.take(input)?;
            if self.is_read || input.len() > before {
                return Ok(!self.is_read);
            }
            self.connection.waits_for = Waiting::Body;
            self.connection.since = Instant::now();
            // More at a time than most requests need.
            self.connection.input.reserve(AT_A_TIME);
            if self.connection.receive().await != Received::Bytes {
                return Err(Broken);
            }
        }
    }

    async fn write(&mut self, piece: &[u8]) -> Result<(), Broken> {
        let output = &mut self.connection.output;
        if !piece.is_empty() && self.is_http10 {
            output.extend_from_slice(piece);
        } else if !piece.is_empty() {
            // Writing to a vector cannot fail.
            let _ = write!(output, "{:x}\r\n", piece.len());
            output.extend_from_slice(piece);
            output.extend_from_slice(b"\r\n");
        }
        self.connection.flush().await.map_err(|_| Broken)
    }
}
