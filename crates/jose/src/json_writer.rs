//! Writing JSON: strings in their shortest form, integers in decimal.

use crate::json_reader::plain_len;

/// Appends `text` as a JSON string with its quotes to `out`. Only `"`, `\` and U+0000 to U+001F are escaped, each in
/// its shortest form.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, special) = rest.split_at(plain_len(rest));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = special.split_first() else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x0d => out.extend_from_slice(b"\\r"),
            _ => {
                out.extend_from_slice(if byte < 0x10 { b"\\u000" } else { b"\\u001" });
                out.push(match byte & 0x0f {
                    digit @ 0..=9 => b'0' + digit,
                    digit => b'a' - 10 + digit,
                });
            }
        }
        rest = after;
    }
    out.push(b'"');
}

/// Appends `number` in decimal.
pub fn write_integer(number: i64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut rest = number.unsigned_abs();
    let mut length = 0;
    // Two digits for each division, from the end.
    let (pairs, _) = digits.as_chunks_mut::<2>();
    for pair in pairs.iter_mut().rev() {
        let two = (rest % 100) as u8;
        *pair = [b'0' + two / 10, b'0' + two % 10];
        rest /= 100;
        length += 2;
        if rest == 0 {
            length -= usize::from(two < 10);
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(digits.get(digits.len() - length..).unwrap_or_default());
}
