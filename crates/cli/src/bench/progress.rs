//! One line on a terminal's standard error that shows how far the run is, and nothing anywhere else.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

/// Characters of the bar.
const WIDTH: usize = 24;

/// The line, which is removed when it is dropped.
pub(super) struct Progress {
    whole: Duration,
    is_drawn: bool,
}

impl Progress {
    /// A line for a run of this length, where somebody is looking.
    pub(super) fn new(whole: Duration) -> Option<Self> {
        io::stderr().is_terminal().then_some(Self { whole, is_drawn: false })
    }

    /// Shows the time since the start, the requests that have ended, and how many of them failed.
    pub(super) fn draw(&mut self, elapsed: Duration, ended: u64, failed: u64) {
        let part = (elapsed.as_secs_f64() / self.whole.as_secs_f64()).clamp(0.0, 1.0);
        let full = "#".repeat((part * WIDTH as f64) as usize);
        let (elapsed, whole) = (elapsed.as_secs_f64(), self.whole.as_secs_f64());
        let line = format!("[{full:.<WIDTH$}] {elapsed:.0} s of {whole:.0} s, {ended} requests, {failed} failed");
        self.put(&format!("\r\u{1b}[K{line}"));
        self.is_drawn = true;
    }

    fn put(&self, text: &str) {
        // Whether it can be seen is nothing that a run depends on.
        let mut stderr = io::stderr().lock();
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_drawn {
            self.put("\r\u{1b}[K");
        }
    }
}
