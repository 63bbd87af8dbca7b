//! Finds the end of string literals, including f-strings and t-strings.
//!
//! One set of rules covers all versions. Before Python 3.12 an f-string ended at the first quote of its kind; a literal
//! that is valid by those rules ends at the same byte by the newer ones, which allow nesting.

use crate::error::Fault;

/// The maximum nesting of fields and strings, as in CPython.
const MAX_DEPTH: usize = 200;

/// A fault and its position in bytes.
pub(crate) type At = (usize, Fault);

/// Whether `word` is a prefix of a string literal.
pub(crate) fn is_prefix(word: &[u8]) -> bool {
    match word {
        [one] => matches!(one | 0x20, b'r' | b'b' | b'u' | b'f' | b't'),
        [one, two] => {
            matches!((one | 0x20, two | 0x20), (b'r', b'b' | b'f' | b't') | (b'b' | b'u' | b'f' | b't', b'r'))
        }
        _ => false,
    }
}

/// The position after the literal whose prefix is `bytes[start..quote]`.
pub(crate) fn end(bytes: &[u8], start: usize, quote: usize) -> Result<usize, At> {
    literal(bytes, start, quote, 0)
}

fn literal(bytes: &[u8], start: usize, quote: usize, depth: usize) -> Result<usize, At> {
    let prefix = &bytes[start..quote];
    let has = |letter: u8| prefix.iter().any(|byte| byte | 0x20 == letter);
    let mark = bytes[quote];
    let triple = bytes[quote..].starts_with(&[mark; 3]);
    let mut scanner =
        Scanner { bytes, at: quote + if triple { 3 } else { 1 }, mark, triple, raw: has(b'r'), depth };
    let ended = if has(b'f') || has(b't') { scanner.formatted() } else { scanner.plain() };
    match ended {
        Ok(()) => Ok(scanner.at),
        Err(End::Fault(at, fault)) => Err((at, fault)),
        Err(End::Missing) => {
            Err((start, if triple { Fault::UnterminatedTripleQuoted } else { Fault::UnterminatedString }))
        }
    }
}

/// Why a literal has no end.
enum End {
    /// No closing quote.
    Missing,
    Fault(usize, Fault),
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    mark: u8,
    triple: bool,
    raw: bool,
    depth: usize,
}

impl Scanner<'_> {
    /// Scans to the end of a string without replacement fields.
    fn plain(&mut self) -> Result<(), End> {
        loop {
            if self.triple {
                // Docstrings are long, so search for their end quickly.
                let rest = self.bytes.get(self.at..).unwrap_or_default();
                self.at += memchr::memchr2(self.mark, b'\\', rest).unwrap_or(rest.len());
            }
            let byte = *self.bytes.get(self.at).ok_or(End::Missing)?;
            match byte {
                b'\\' => self.skip_escaped(),
                b'\n' | b'\r' if !self.triple => return Err(End::Missing),
                _ if byte == self.mark && self.closes() => return Ok(()),
                _ => self.at += 1,
            }
        }
    }

    /// Scans to the end of a string with replacement fields.
    fn formatted(&mut self) -> Result<(), End> {
        loop {
            let byte = *self.bytes.get(self.at).ok_or(End::Missing)?;
            match byte {
                b'\\' => self.skip_backslash(),
                b'\n' | b'\r' if !self.triple => return Err(End::Missing),
                b'{' | b'}' if self.bytes.get(self.at + 1) == Some(&byte) => self.at += 2,
                b'{' => self.field(0)?,
                b'}' => return Err(End::Fault(self.at, Fault::LoneBrace)),
                _ if byte == self.mark && self.closes() => return Ok(()),
                _ => self.at += 1,
            }
        }
    }

    /// Skips the closing quotes if they are at the current position.
    fn closes(&mut self) -> bool {
        let closes = !self.triple || self.bytes[self.at..].starts_with(&[self.mark; 3]);
        if closes {
            self.at += if self.triple { 3 } else { 1 };
        }
        closes
    }

    fn skip_escaped(&mut self) {
        let two = self.bytes[self.at + 1..].starts_with(b"\r\n");
        self.at += if two { 3 } else { 2 };
    }

    /// Skips a backslash of a formatted string. It does not escape a brace, and a character's name (`\\N{..}`) has its
    /// own braces.
    fn skip_backslash(&mut self) {
        match self.bytes.get(self.at + 1) {
            Some(b'{' | b'}') => self.at += 1,
            Some(b'N') if !self.raw && self.bytes.get(self.at + 2) == Some(&b'{') => {
                let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'-' | b'_');
                self.at += 3;
                self.at += self.bytes[self.at..].iter().take_while(|byte| is_name(byte)).count();
                self.at += usize::from(self.bytes.get(self.at) == Some(&b'}'));
            }
            _ => self.skip_escaped(),
        }
    }

    /// Scans a replacement field from its opening brace to after its closing brace.
    fn field(&mut self, nesting: usize) -> Result<(), End> {
        let start = self.at;
        if nesting + self.depth > MAX_DEPTH {
            return Err(End::Fault(start, Fault::TooDeep));
        }
        let unclosed = || End::Fault(start, Fault::UnclosedField);
        let mut open = 0usize;
        self.at += 1;
        loop {
            let byte = *self.bytes.get(self.at).ok_or_else(unclosed)?;
            match byte {
                b'}' if open == 0 => {
                    self.at += 1;
                    return Ok(());
                }
                // After a newline in the format of a single-quoted string the expression continues.
                b':' if open == 0 => {
                    self.at += 1;
                    if self.format(start, nesting)? {
                        return Ok(());
                    }
                }
                b'(' | b'[' | b'{' => {
                    open += 1;
                    self.at += 1;
                }
                b')' | b']' | b'}' => {
                    open = open.checked_sub(1).ok_or_else(unclosed)?;
                    self.at += 1;
                }
                b'\'' | b'"' => self.nested(self.at, nesting)?,
                b'#' => {
                    let is_rest = |byte: &&u8| !matches!(byte, b'\n' | b'\r');
                    self.at += self.bytes[self.at..].iter().take_while(is_rest).count();
                }
                b'\\' if matches!(self.bytes.get(self.at + 1), Some(b'\n' | b'\r')) => self.skip_escaped(),
                b'\\' => return Err(End::Fault(self.at, Fault::AfterBackslash)),
                _ if is_word(byte) => {
                    let word = self.at;
                    self.at += self.bytes[word..].iter().take_while(|&&byte| is_word(byte)).count();
                    let quoted = matches!(self.bytes.get(self.at), Some(b'\'' | b'"'));
                    if quoted && is_prefix(&self.bytes[word..self.at]) {
                        self.nested(word, nesting)?;
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    /// Scans a string within a field; `self.at` is at its quote.
    fn nested(&mut self, start: usize, nesting: usize) -> Result<(), End> {
        let depth = self.depth + nesting + 1;
        if depth > MAX_DEPTH {
            return Err(End::Fault(start, Fault::TooDeep));
        }
        self.at = literal(self.bytes, start, self.at, depth).map_err(|(at, fault)| End::Fault(at, fault))?;
        Ok(())
    }

    /// Scans the format of a field; returns true if it passed the field's closing brace.
    fn format(&mut self, field: usize, nesting: usize) -> Result<bool, End> {
        loop {
            let byte = *self.bytes.get(self.at).ok_or(End::Fault(field, Fault::UnclosedField))?;
            match byte {
                b'\\' => self.skip_backslash(),
                b'\n' | b'\r' if !self.triple => return Ok(false),
                b'{' => self.field(nesting + 1)?,
                b'}' => {
                    self.at += 1;
                    return Ok(true);
                }
                _ if byte == self.mark && self.closes() => {
                    return Err(End::Fault(field, Fault::UnclosedField));
                }
                _ => self.at += 1,
            }
        }
    }
}

/// Whether `byte` may be part of a name or number; all bytes beyond ASCII may.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}
