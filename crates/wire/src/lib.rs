//! Raw HTTP/1.1 over a socket, for tests: it sends exactly the bytes it is given, also what no client library would,
//! and reads answers strictly.
//!
//! Every wait has an end: a server that hangs fails the test instead of stopping it.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than anything that a test waits for on purpose.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
pub struct Wire {
    stream: BufReader<TcpStream>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Name in lower case and value, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body, unframed.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of the one header of this name, `None` when there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(header, _)| header == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert!(values.next().is_none(), "{name} comes twice");
        value
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Wire {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends `bytes` as they are.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Says that nothing more will be sent.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn finish_sending(&mut self) -> io::Result<()> {
        self.stream.get_mut().shutdown(Shutdown::Write)
    }

    /// Reads one answer. Interim answers (1xx) are answers too.
    ///
    /// # Errors
    /// When the connection ends before the answer does, or what comes is not an HTTP/1.1 answer.
    pub fn receive(&mut self) -> io::Result<Answer> {
        self.receive_to("GET")
    }

    /// Reads one answer to a request with `method`, which decides whether there is a body to read.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_to(&mut self, method: &str) -> io::Result<Answer> {
        let mut answer = self.receive_head()?;
        if method == "HEAD" || answer.status < 200 || answer.status == 204 || answer.status == 304 {
            return Ok(answer);
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let chunk = self.receive_chunk()?;
                if chunk.is_empty() {
                    return Ok(answer);
                }
                answer.body.extend(chunk);
            }
        }
        let length = answer.header("content-length").ok_or_else(|| invalid("no content-length".to_owned()))?;
        let length = length.parse().map_err(|_| invalid(format!("content-length {length:?}")))?;
        answer.body.resize(length, 0);
        self.stream.read_exact(&mut answer.body)?;
        Ok(answer)
    }

    /// Reads the head of an answer, and nothing of its body.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_head(&mut self) -> io::Result<Answer> {
        let status_line = self.line()?;
        let status = status_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| invalid(format!("not a status line: {status_line:?}")))?;
        let mut answer = Answer { status, headers: Vec::new(), body: Vec::new() };
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| invalid(format!("not a header: {line:?}")))?;
            answer.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(answer)
    }

    /// Reads one chunk of a body; the last one is empty.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_chunk(&mut self) -> io::Result<Vec<u8>> {
        let line = self.line()?;
        let length = usize::from_str_radix(&line, 16).map_err(|_| invalid(format!("not a chunk: {line:?}")))?;
        let mut chunk = vec![0; length];
        self.stream.read_exact(&mut chunk)?;
        if self.line()?.is_empty() { Ok(chunk) } else { Err(invalid("a chunk is longer than it says".to_owned())) }
    }

    /// Waits until the server has closed, and answers what else it sent.
    ///
    /// # Errors
    /// When the connection is reset or stays open.
    pub fn until_closed(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        match line.strip_suffix(b"\r\n") {
            Some(line) => String::from_utf8(line.to_vec()).map_err(|_| invalid("head is not UTF-8".to_owned())),
            None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed within a head")),
        }
    }
}

/// The bytes of a request with a length, and `headers` as given.
#[must_use]
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut head = format!("{method} {path} HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str("Host: localhost\r\n");
    }
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let mut bytes = (head + "\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Sends one request on a connection of its own and reads its answer.
///
/// # Errors
/// As [`Wire::receive`].
pub fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> io::Result<Answer> {
    let mut wire = Wire::connect(address)?;
    wire.send(request(method, path, headers, body))?;
    wire.receive_to(method)
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
