//! A connection to a node that is kept alive and made anew, as callers of a service do.

use std::net::SocketAddr;

use jotd_wire::{Answer, Wire, request};
use serde_json::Value;

pub(super) const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// What came of a request.
#[derive(Debug)]
pub(super) enum Heard {
    Answer(Answer),
    /// It was sent, and the connection ended without an answer.
    Nothing,
    /// Nobody listens: nothing was sent.
    NotSent,
}

pub(super) struct Caller {
    address: SocketAddr,
    wire: Option<Wire>,
}

impl Caller {
    pub(super) fn to(address: SocketAddr) -> Self {
        Self { address, wire: None }
    }

    pub(super) fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Heard {
        if self.begin(&request(method, path, headers, body)) { self.finish() } else { Heard::NotSent }
    }

    /// Sends a request whose answer is read later. `false` when nobody listens.
    pub(super) fn begin(&mut self, request: &[u8]) -> bool {
        if self.wire.is_none() {
            self.wire = Wire::connect(self.address).ok();
        }
        // A connection that is gone shows when the answer is read.
        self.wire.as_mut().map(|wire| wire.send(request)).is_some()
    }

    /// The answer to what was sent.
    pub(super) fn finish(&mut self) -> Heard {
        let Some(mut wire) = self.wire.take() else { return Heard::NotSent };
        let Ok(answer) = wire.receive() else { return Heard::Nothing };
        if answer.header("connection") != Some("close") {
            self.wire = Some(wire);
        }
        Heard::Answer(answer)
    }
}

impl Heard {
    /// The answer, where there was one.
    pub(super) fn answer(self) -> Option<Answer> {
        if let Self::Answer(answer) = self { Some(answer) } else { None }
    }
}

/// The body as JSON.
pub(super) fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
}
