//! What commands print: JSON for programs, text for people, colour only on a terminal.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Result;
use serde::Serialize;
use serde_json::value::RawValue;

/// Prints one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    bytes(&line)
}

/// Prints what is already in its final form.
pub(crate) fn bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    Ok(stdout.write_all(bytes).and_then(|()| stdout.flush())?)
}

/// JSON that is embedded as it stands, with every digit and in its own order; `None` where it is no JSON.
pub(crate) fn verbatim(text: &[u8]) -> Option<Box<RawValue>> {
    RawValue::from_string(String::from_utf8(text.to_vec()).ok()?).ok()
}

/// Colours, where somebody is looking and has not asked for none (<https://no-color.org>).
#[derive(Clone, Copy)]
pub(crate) struct Palette {
    is_on: bool,
}

impl Palette {
    pub(crate) fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { is_on: wanted && io::stdout().is_terminal() }
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    pub(crate) fn doubtful(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub(crate) fn title(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.is_on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Text of a stranger's for a terminal: what could move the cursor, change colours or reverse the reading order is
/// shown escaped.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        let is_harmless = char == '\n'
            || !(char.is_control()
                || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'));
        if is_harmless {
            out.push(char);
        } else {
            out.extend(char.escape_unicode());
        }
    }
    out
}
