//! Text from other machines on a terminal: control characters are shown instead of sent.
//!
//! A carriage return, an escape sequence or a line feed could otherwise replace what the terminal shows: forge a line of
//! this command or a host's prefix, set the title, fill the clipboard.

use std::borrow::Cow;

/// The text in one line, with control characters as in Rust's strings (`\n`, `\u{1b}`), and characters that change the
/// direction of text likewise.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_active) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_active(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// The same for text of several lines, such as a traceback: line feeds stay.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_active) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split('\n').map(visible).collect::<Vec<_>>().join("\n"))
}

fn is_active(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// Makes one stream of output visible, chunk by chunk. Tabs and line feeds stay, and a carriage return before a line
/// feed is left out; bytes that are not UTF-8 stay as they are.
#[derive(Clone, Debug, Default)]
pub struct VisibleStream {
    /// The end of the last chunk, which cannot be judged without the next.
    held: Vec<u8>,
}

impl VisibleStream {
    /// What can be shown after another chunk.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(chunk);
        let whole = bytes.len() - undecided(&bytes);
        self.held = bytes.split_off(whole);
        shown(&bytes)
    }

    /// What is left at the end.
    pub fn finish(&mut self) -> Vec<u8> {
        shown(&std::mem::take(&mut self.held))
    }
}

/// The number of bytes at the end that may be the beginning of a character or of a line's end.
fn undecided(bytes: &[u8]) -> usize {
    if bytes.last() == Some(&b'\r') {
        return 1;
    }
    // A character has at most four bytes.
    for length in 1..=bytes.len().min(3) {
        let first = bytes[bytes.len() - length];
        let size = match first {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            0x80..=0xbf => continue,
            _ => return 0,
        };
        return if size > length { length } else { 0 };
    }
    0
}

fn shown(bytes: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(bytes.len());
    for piece in bytes.utf8_chunks() {
        let mut chars = piece.valid().chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\n' | '\t' => shown.push(c as u8),
                '\r' if chars.peek() == Some(&'\n') => {}
                _ if is_active(c) => shown.extend(c.escape_default().collect::<String>().bytes()),
                _ => shown.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
        shown.extend_from_slice(piece.invalid());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown() {
        let table = [
            ("plain text, ünïcode", "plain text, ünïcode"),
            ("\x1b]52;c;aGk=\x07", "\\u{1b}]52;c;aGk=\\u{7}"),
            ("a\r\nmitogen: 5 ok", "a\\r\\nmitogen: 5 ok"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
        ];
        for (text, expected) in table {
            assert_eq!(visible(text), expected);
        }
        assert_eq!(visible_lines("a\x1bb\nc\td"), "a\\u{1b}b\nc\\td");
    }

    #[test]
    fn output_is_made_visible_however_it_is_split() {
        let text = "one\r\ntwo\rthree\ttab \x1b[2J \u{9b}x ü \u{202e}".as_bytes();
        let text = [text, b"\xff\xc2", b"end\r"].concat();
        let expected =
            ["one\ntwo\\rthree\ttab \\u{1b}[2J \\u{9b}x ü \\u{202e}".as_bytes(), b"\xff\xc2", b"end\\r"]
                .concat();
        for size in 1..=text.len() {
            let mut stream = VisibleStream::default();
            let mut seen: Vec<u8> = text.chunks(size).flat_map(|chunk| stream.push(chunk)).collect();
            seen.extend(stream.finish());
            assert_eq!(
                String::from_utf8_lossy(&seen),
                String::from_utf8_lossy(&expected),
                "chunks of {size}"
            );
        }
    }
}
