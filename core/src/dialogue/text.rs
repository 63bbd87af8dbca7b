//! Text as programs show it: lines, unfinished lines, and the escape sequences among them.
//!
//! Knows nothing of rules. Memory is bounded: of an endless line its last bytes are kept, because
//! prompts and markers stand at the end.

/// The bytes kept of one line.
pub(super) const LINE_LIMIT: usize = 4096;

/// Cuts one source's bytes into lines and keeps the unfinished one.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The unfinished line as it came, at most [`LINE_LIMIT`] bytes.
    raw: Vec<u8>,
}

impl Lines {
    /// Takes bytes up to and including the first newline from `data`: the line they finish, or
    /// `None` when all of `data` went into the unfinished one.
    pub(super) fn take_line(&mut self, data: &mut &[u8]) -> Option<Vec<u8>> {
        match data.iter().position(|&byte| byte == b'\n') {
            Some(end) => {
                self.push(&data[..end]);
                *data = &data[end + 1..];
                self.take_rest()
            }
            None => {
                self.push(data);
                *data = &[];
                None
            }
        }
    }

    /// The unfinished line, cleaned; empty when there is none.
    pub(super) fn partial(&self) -> Vec<u8> {
        let mut text = clean(&self.raw).0;
        text.drain(..leading_returns(&text));
        text
    }

    /// Forgets the unfinished line, but not an escape sequence that has only just begun: its end is
    /// still to come and would look like text.
    pub(super) fn consume_partial(&mut self) {
        let (_, complete) = clean(&self.raw);
        self.raw.drain(..complete);
    }

    /// Ends the unfinished line where it stands.
    pub(super) fn take_rest(&mut self) -> Option<Vec<u8>> {
        let raw = std::mem::take(&mut self.raw);
        let mut line = clean(&raw).0;
        while line.last() == Some(&b'\r') {
            line.pop();
        }
        line.drain(..leading_returns(&line));
        Some(line)
    }

    fn push(&mut self, data: &[u8]) {
        let data = &data[data.len().saturating_sub(LINE_LIMIT)..];
        let excess = (self.raw.len() + data.len()).saturating_sub(LINE_LIMIT);
        self.raw.drain(..excess);
        self.raw.extend_from_slice(data);
    }
}

/// `raw` without escape sequences and NULs, and how many bytes of `raw` that took: all but an
/// unfinished escape sequence at its end.
fn clean(raw: &[u8]) -> (Vec<u8>, usize) {
    let mut text = Vec::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        match raw[at] {
            0 => at += 1,
            ESC => match escape_length(&raw[at..]) {
                Some(length) => at += length,
                None => return (text, at),
            },
            byte => {
                text.push(byte);
                at += 1;
            }
        }
    }
    (text, raw.len())
}

/// How many carriage returns `text` begins with. Programs put them before a prompt (readpassphrase
/// does) to begin it at the left; they are no part of it.
fn leading_returns(text: &[u8]) -> usize {
    text.iter().take_while(|&&byte| byte == b'\r').count()
}

/// The length of the escape sequence at the start of `raw`, or `None` if it has not ended yet.
fn escape_length(raw: &[u8]) -> Option<usize> {
    match *raw.get(1)? {
        // Control sequence: parameters, then a byte of 0x40 to 0x7e.
        b'[' => raw[2..].iter().position(|byte| (0x40..=0x7e).contains(byte)).map(|end| end + 3),
        // Operating system command, such as a window title: up to BEL or ESC backslash.
        b']' => {
            let end = raw[2..].iter().position(|&byte| byte == BEL || byte == ESC)? + 2;
            if raw[end] == BEL { Some(end + 1) } else { raw.get(end + 1).map(|_| end + 2) }
        }
        // Character set selections and the like: intermediates, then one final byte.
        0x20..=0x2f => raw[2..].iter().position(|byte| !(0x20..=0x2f).contains(byte)).map(|end| end + 3),
        _ => Some(2),
    }
}

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_nuls_vanish() {
        for (raw, wanted) in [
            (&b"plain"[..], &b"plain"[..]),
            (b"\x1b[1;31mred\x1b[0m", b"red"),
            (b"\x1b]0;title\x07x", b"x"),
            (b"\x1b]0;title\x1b\\x", b"x"),
            (b"\x1b(Bx\x1b=y", b"xy"),
            (b"a\0b", b"ab"),
            (b"x\x1b[3", b"x"),
            (b"x\x1b", b"x"),
        ] {
            assert_eq!(clean(raw).0, wanted, "{raw:?}");
        }
    }

    #[test]
    fn an_unfinished_escape_survives_consumption() {
        let mut lines = Lines::default();
        assert!(lines.take_line(&mut &b"Password: \x1b[3"[..]).is_none());
        lines.consume_partial();
        assert!(lines.take_line(&mut &b"1mx"[..]).is_none());
        assert_eq!(lines.partial(), b"x");
    }

    #[test]
    fn carriage_returns_around_a_line_are_no_part_of_it() {
        let mut lines = Lines::default();
        let mut data = &b"\r\rtext\rmore\r\r\n\rPassword: "[..];
        assert_eq!(lines.take_line(&mut data).unwrap(), b"text\rmore");
        assert!(lines.take_line(&mut data).is_none());
        assert_eq!(lines.partial(), b"Password: ");
    }

    #[test]
    fn an_endless_line_keeps_its_end_only() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            assert!(lines.take_line(&mut &[b'x'; 1000][..]).is_none());
            assert!(lines.raw.len() <= LINE_LIMIT);
        }
        assert!(lines.take_line(&mut &[b'y'; 100_000][..]).is_none());
        assert_eq!(lines.partial(), vec![b'y'; LINE_LIMIT]);
        assert_eq!(lines.take_line(&mut &b"MITO000\r\r\n"[..]).unwrap().len(), LINE_LIMIT - 2);
    }
}
