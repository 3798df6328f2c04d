//! What commands print: JSON for programs, text for people, colour only on a terminal.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Result;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::arguments::Format;

/// Prints one line of JSON. Characters that a terminal would obey can only stand in its strings, and are escaped there;
/// line breaks only between its tokens, and become spaces.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value)?;
    let mut line = String::with_capacity(text.len() + 1);
    for char in text.chars() {
        match char {
            '\n' | '\r' | '\t' => line.push(' '),
            char if is_obeyed(char) => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    line.push_str(&format!("\\u{unit:04x}"));
                }
            }
            char => line.push(char),
        }
    }
    line.push('\n');
    bytes(line.as_bytes())
}

/// What was asked for, or else text where somebody is looking.
pub(crate) fn format(asked: Option<Format>) -> Format {
    asked.unwrap_or(if io::stdout().is_terminal() { Format::Text } else { Format::Json })
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

/// Text of a stranger's for a terminal: what could move the cursor, change colours, hide itself or reverse the reading
/// order is shown escaped.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if char == '\n' || !is_obeyed(char) {
            out.push(char);
        } else {
            out.extend(char.escape_unicode());
        }
    }
    out
}

/// As [`harmless`], where the text must not look like several lines.
pub(crate) fn harmless_line(text: &str) -> String {
    harmless(text).replace('\n', "\\n")
}

/// Control characters, and those that are invisible or change the direction of what follows.
fn is_obeyed(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{e0000}'..='\u{e007f}')
}
