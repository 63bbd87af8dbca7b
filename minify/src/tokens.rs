//! The tokenizer for Python 2.7 to 3.14, in one pass.
//!
//! It checks the rules that all versions share: brackets match, strings end, blocks return to the indentation of an open
//! block. It does not check the grammar.

use crate::error::{Error, Fault, newlines};
use crate::{literal, number};

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A name or a keyword, including soft keywords.
    Name,
    /// A number.
    Number,
    /// A string literal with its prefix. A whole f-string or t-string is one token.
    String,
    /// An operator, a bracket or another delimiter.
    Operator,
    /// A comment, up to the end of its line.
    Comment,
    /// The end of a logical line; with an empty text where the source ends without a newline.
    Newline,
    /// The end of a line that does not end a logical line: a blank line, a comment, or within brackets.
    BlankNewline,
    /// The start of a block; the text is the white space before its first token.
    Indent,
    /// The end of a block; the text is empty.
    Dedent,
    /// The end of the source; the text is empty.
    End,
}

/// A token of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// The kind of the token.
    pub kind: TokenKind,
    /// The token as written in the source.
    pub text: &'a str,
    /// The line in which it begins, starting at 1.
    pub line: usize,
    /// Its offset in that line, in bytes.
    pub column: usize,
    /// Its offset in the source, in bytes.
    pub start: usize,
}

/// Iterates over the tokens of a text. The last item is [`TokenKind::End`] or an error.
///
/// A line ends with a line feed, a carriage return, or both. Tabs advance to multiples of eight columns.
///
/// ```
/// use mitogen_minify::{TokenKind, tokens};
///
/// let kinds: Result<Vec<_>, _> = tokens("x = 1\n").map(|token| token.map(|token| token.kind)).collect();
/// let expected = [TokenKind::Name, TokenKind::Operator, TokenKind::Number, TokenKind::Newline, TokenKind::End];
/// assert_eq!(kinds?, expected);
/// # Ok::<(), mitogen_minify::Error>(())
/// ```
pub fn tokens(text: &str) -> Tokens<'_> {
    Tokens {
        text,
        bytes: text.as_bytes(),
        at: 0,
        line: 1,
        line_start: 0,
        indents: Vec::new(),
        dedents: 0,
        brackets: Vec::new(),
        place: Place::LineStart,
        found: Found { start: 0, line: 1, column: 0 },
    }
}

/// The iterator of [`tokens`].
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    line: usize,
    line_start: usize,
    /// The columns of the open blocks, ascending.
    indents: Vec<usize>,
    /// The number of ended blocks that were not reported yet.
    dedents: usize,
    /// The open brackets and their positions.
    brackets: Vec<(u8, usize, usize)>,
    place: Place,
    /// The start of the last token; it ends at `at`.
    found: Found,
}

/// The position of a token. A [`Token`] is only created from it on demand, because passing tokens between functions
/// takes longer than finding them.
#[derive(Clone, Copy, Debug)]
struct Found {
    start: usize,
    line: usize,
    column: usize,
}

/// The part of the source that the tokenizer reads next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The start of a line outside of brackets.
    LineStart,
    /// The newline of a line that contains only white space or a comment.
    BlankLine,
    /// The rest of a logical line.
    Inside,
    /// Nothing: the end or an error was reported.
    Done,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Result<Token<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.place == Place::Done {
            return None;
        }
        let kind = self.advance();
        if kind.as_ref().map_or(true, |kind| *kind == TokenKind::End) {
            self.place = Place::Done;
        }
        Some(kind.map(|kind| self.found(kind)))
    }
}

impl<'a> Tokens<'a> {
    /// Finds the next token. Must not be called after the end or an error.
    pub(crate) fn advance(&mut self) -> Result<TokenKind, Error> {
        if self.dedents > 0 {
            self.dedents -= 1;
            return Ok(self.take(TokenKind::Dedent, 0));
        }
        if self.place == Place::LineStart
            && let Some(token) = self.line_start()?
        {
            return Ok(token);
        }
        self.skip_blanks()?;
        let Some(&byte) = self.bytes.get(self.at) else { return self.end() };
        match byte {
            b'\n' | b'\r' => Ok(self.newline()),
            b'#' => Ok(self.comment()),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word(),
            b'"' | b'\'' => self.string(self.at),
            b'0'..=b'9' => self.number(),
            b'.' if self.bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit) => self.number(),
            b'(' | b'[' | b'{' => {
                self.brackets.push((byte, self.at, self.line));
                Ok(self.take(TokenKind::Operator, 1))
            }
            b')' | b']' | b'}' => self.close(byte),
            0x80.. => self.word(),
            _ => match operator_length(&self.bytes[self.at..]) {
                0 => Err(self.invalid_character()),
                length => Ok(self.take(TokenKind::Operator, length)),
            },
        }
    }

    /// The token that was found last.
    #[inline]
    pub(crate) fn found(&self, kind: TokenKind) -> Token<'a> {
        let Found { start, line, column } = self.found;
        Token { kind, text: &self.text[start..self.at], line, column, start }
    }

    /// Measures the indentation of a line outside of brackets. Returns a token if blocks begin or end there.
    fn line_start(&mut self) -> Result<Option<TokenKind>, Error> {
        let (start, line) = (self.at, self.line);
        let mut column = 0;
        // A line that begins with a backslash has the indentation of the backslash.
        let mut continued = 0;
        loop {
            match self.bytes.get(self.at) {
                Some(b' ') => column += 1,
                Some(b'\t') => column = (column / 8 + 1) * 8,
                Some(0x0c) => column = 0,
                Some(b'\\') => {
                    if continued == 0 {
                        continued = column;
                    }
                    self.continuation()?;
                    continue;
                }
                _ => break,
            }
            self.at += 1;
        }
        let column = if continued > 0 { continued } else { column };
        match self.bytes.get(self.at) {
            None | Some(b'\n' | b'\r' | b'#') => {
                self.place = Place::BlankLine;
                return Ok(None);
            }
            Some(_) => self.place = Place::Inside,
        }
        if column > self.indents.last().copied().unwrap_or(0) {
            self.indents.push(column);
            self.found = Found { start, line, column: 0 };
            return Ok(Some(TokenKind::Indent));
        }
        while self.indents.last().is_some_and(|&last| column < last) {
            self.indents.pop();
            self.dedents += 1;
        }
        if column != self.indents.last().copied().unwrap_or(0) {
            return Err(self.fault(self.at, Fault::Unindent));
        }
        if self.dedents == 0 {
            return Ok(None);
        }
        self.dedents -= 1;
        Ok(Some(self.take(TokenKind::Dedent, 0)))
    }

    /// Skips a backslash and the newline after it.
    fn continuation(&mut self) -> Result<(), Error> {
        let newline = match self.bytes.get(self.at + 1..).unwrap_or_default() {
            [b'\r', b'\n', ..] => 2,
            [b'\n' | b'\r', ..] => 1,
            [] => return Err(self.fault(self.at, Fault::EndAfterBackslash)),
            _ => return Err(self.fault(self.at, Fault::AfterBackslash)),
        };
        self.at += 1 + newline;
        self.line += 1;
        self.line_start = self.at;
        if self.at == self.bytes.len() {
            return Err(self.fault(self.at, Fault::EndAfterBackslash));
        }
        Ok(())
    }

    #[inline]
    fn skip_blanks(&mut self) -> Result<(), Error> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\t' | 0x0c) => self.at += 1,
                Some(b'\\') => self.continuation()?,
                _ => return Ok(()),
            }
        }
    }

    /// Takes the next `length` bytes, which contain no newline, as a token.
    #[inline]
    fn take(&mut self, kind: TokenKind, length: usize) -> TokenKind {
        self.found = Found { start: self.at, line: self.line, column: self.at - self.line_start };
        self.at += length;
        kind
    }

    fn newline(&mut self) -> TokenKind {
        let length = if self.bytes[self.at..].starts_with(b"\r\n") { 2 } else { 1 };
        let kind = if self.brackets.is_empty() && self.place == Place::Inside {
            TokenKind::Newline
        } else {
            TokenKind::BlankNewline
        };
        self.take(kind, length);
        self.line += 1;
        self.line_start = self.at;
        if self.brackets.is_empty() {
            self.place = Place::LineStart;
        }
        kind
    }

    fn comment(&mut self) -> TokenKind {
        let rest = &self.bytes[self.at..];
        let length = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        self.take(TokenKind::Comment, length)
    }

    fn word(&mut self) -> Result<TokenKind, Error> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|&byte| !IN_NAME[byte as usize]).unwrap_or(rest.len());
        match rest.get(length) {
            Some(0x80..) => self.wide_word(),
            Some(b'"' | b'\'') if literal::is_prefix(&rest[..length]) => self.string(self.at + length),
            _ => Ok(self.take(TokenKind::Name, length)),
        }
    }

    /// Takes a name with characters beyond ASCII.
    #[cold]
    fn wide_word(&mut self) -> Result<TokenKind, Error> {
        let start = self.at;
        let mut end = start;
        while let Some(&byte) = self.bytes.get(end) {
            if byte.is_ascii_alphanumeric() || byte == b'_' {
                end += 1;
            } else if byte < 0x80 {
                break;
            } else {
                let Some(character) = self.text[end..].chars().next() else { break };
                if !unicode_ident::is_xid_continue(character) {
                    break;
                }
                end += character.len_utf8();
            }
        }
        let first = self.text[start..].chars().next();
        if first.is_none_or(|first| first != '_' && !unicode_ident::is_xid_start(first)) {
            return Err(self.invalid_character());
        }
        match self.bytes.get(end) {
            Some(b'"' | b'\'') if literal::is_prefix(&self.bytes[start..end]) => self.string(end),
            _ => Ok(self.take(TokenKind::Name, end - start)),
        }
    }

    /// Takes the literal that begins at the current position and has its quote at `quote`.
    fn string(&mut self, quote: usize) -> Result<TokenKind, Error> {
        let end = literal::end(self.bytes, self.at, quote);
        let end = end.map_err(|(at, fault)| self.fault(at, fault))?;
        let start = self.at;
        let kind = self.take(TokenKind::String, end - start);
        let (count, last) = newlines(&self.bytes[start..end]);
        if count > 0 {
            self.line += count;
            self.line_start = start + last;
        }
        Ok(kind)
    }

    fn number(&mut self) -> Result<TokenKind, Error> {
        match number::end(self.bytes, self.at) {
            Ok(end) => Ok(self.take(TokenKind::Number, end - self.at)),
            Err(read) => {
                let rest = self.bytes.get(read..).unwrap_or_default();
                let end = read + rest.iter().take_while(|&&byte| literal::is_word(byte)).count();
                let text = String::from_utf8_lossy(self.bytes.get(self.at..end).unwrap_or_default());
                Err(self.fault(self.at, Fault::InvalidNumber(text.into_owned())))
            }
        }
    }

    fn close(&mut self, close: u8) -> Result<TokenKind, Error> {
        let fault = match (self.brackets.pop(), close) {
            (Some((b'(', ..)), b')') | (Some((b'[', ..)), b']') | (Some((b'{', ..)), b'}') => {
                return Ok(self.take(TokenKind::Operator, 1));
            }
            (None, _) => Fault::UnmatchedBracket(close.into()),
            (Some((open, _, line)), _) => {
                Fault::MismatchedBracket { close: close.into(), open: open.into(), line }
            }
        };
        Err(self.fault(self.at, fault))
    }

    fn end(&mut self) -> Result<TokenKind, Error> {
        if let Some((open, at, _)) = self.brackets.pop() {
            return Err(self.fault(at, Fault::UnclosedBracket(open.into())));
        }
        if self.place == Place::Inside {
            self.place = Place::BlankLine;
            return Ok(self.take(TokenKind::Newline, 0));
        }
        if self.indents.pop().is_some() {
            return Ok(self.take(TokenKind::Dedent, 0));
        }
        Ok(self.take(TokenKind::End, 0))
    }

    #[cold]
    fn invalid_character(&self) -> Error {
        let character = self.text[self.at..].chars().next().unwrap_or_default();
        let fault = if character == '\0' { Fault::NullByte } else { Fault::InvalidCharacter(character) };
        self.fault(self.at, fault)
    }

    #[cold]
    fn fault(&self, at: usize, fault: Fault) -> Error {
        Error::at(self.text, at, fault)
    }
}

/// Whether `byte` is an ASCII character of a name.
const IN_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x80 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'_';
        byte += 1;
    }
    table
};

/// The length of the longest operator at the start of `rest`; brackets are not operators.
pub(crate) fn operator_length(rest: &[u8]) -> usize {
    match rest {
        [b'*', b'*', b'=', ..] | [b'/', b'/', b'=', ..] | [b'<', b'<', b'=', ..] | [b'>', b'>', b'=', ..] => {
            3
        }
        [b'.', b'.', b'.', ..] => 3,
        [b'*', b'*', ..]
        | [b'/', b'/', ..]
        | [b'<', b'<' | b'>', ..]
        | [b'>', b'>', ..]
        | [b'-', b'>', ..] => 2,
        [
            b'+' | b'-' | b'*' | b'/' | b'%' | b'&' | b'|' | b'^' | b'@' | b'=' | b'!' | b'<' | b'>',
            b'=',
            ..,
        ] => 2,
        [b':', b'=', ..] => 2,
        [b'+' | b'-' | b'*' | b'/' | b'%' | b'&' | b'|' | b'^' | b'@' | b'=' | b'<' | b'>', ..] => 1,
        [b'.' | b',' | b':' | b';' | b'~' | b'`', ..] => 1,
        _ => 0,
    }
}
