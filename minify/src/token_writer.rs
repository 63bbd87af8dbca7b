//! Writes tokens on their lines, with as little white space as possible.

use crate::literal;
use crate::tokens::{Token, TokenKind, operator_length};

/// How the lines of the source are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// Every token stays on its line.
    Kept,
    /// Blank lines are removed, and each logical line is written on one line.
    Joined,
}

/// The output.
pub(crate) struct TokenWriter<'a> {
    text: String,
    lines: Lines,
    /// The number of the current line, starting at 1.
    line: usize,
    /// The number of open brackets.
    brackets: usize,
    /// The last token of this logical line, unless a word was written after it.
    last: Option<Token<'a>>,
}

impl<'a> TokenWriter<'a> {
    pub(crate) fn new(capacity: usize, lines: Lines) -> Self {
        Self { text: String::with_capacity(capacity), lines, line: 1, brackets: 0, last: None }
    }

    /// Begins a logical line at `line`, which must be after all written lines.
    pub(crate) fn begin(&mut self, line: usize, depth: usize) {
        match self.lines {
            Lines::Kept => self.newlines(line, "\n"),
            Lines::Joined => self.end(),
        }
        self.text.extend(std::iter::repeat_n(' ', depth));
        self.last = None;
    }

    /// Writes a word that is not in the source.
    pub(crate) fn word(&mut self, word: &str) {
        self.text.push_str(word);
        self.last = None;
    }

    /// Writes a token of the current logical line.
    pub(crate) fn token(&mut self, token: &Token<'a>) {
        if self.lines == Lines::Kept && token.line > self.line {
            self.newlines(token.line, if self.brackets > 0 { "\n" } else { "\\\n" });
        } else if self.last.as_ref().is_some_and(|last| needs_space(last, token)) {
            self.text.push(' ');
        }
        match token.kind {
            // No operator of several characters begins with a bracket.
            TokenKind::Operator => match token.text.as_bytes().first() {
                Some(b'(' | b'[' | b'{') => self.brackets += 1,
                Some(b')' | b']' | b'}') => self.brackets = self.brackets.saturating_sub(1),
                _ => {}
            },
            TokenKind::String => return self.string(token),
            _ => {}
        }
        self.text.push_str(token.text);
        self.last = Some(*token);
    }

    /// Ends the last line.
    pub(crate) fn end(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    fn newlines(&mut self, line: usize, newline: &str) {
        for _ in self.line..line {
            self.text.push_str(newline);
        }
        self.line = self.line.max(line);
    }

    /// Writes a string; its newlines become line feeds, as when an interpreter reads the source.
    fn string(&mut self, token: &Token<'a>) {
        let mut rest = token.text;
        while let Some(at) = rest.find(['\n', '\r']) {
            self.text.push_str(&rest[..at]);
            self.text.push('\n');
            self.line += 1;
            rest = &rest[at + if rest[at..].starts_with("\r\n") { 2 } else { 1 }..];
        }
        self.text.push_str(rest);
        self.last = Some(*token);
    }
}

/// Whether two tokens of one line need a space between them to be read the same.
///
/// Tokens that are adjacent in the source need none.
fn needs_space(last: &Token<'_>, token: &Token<'_>) -> bool {
    use TokenKind::{Name, Number, Operator, String};
    if last.start + last.text.len() == token.start {
        return false;
    }
    match (last.kind, token.kind) {
        (Name, Number) => !token.text.starts_with('.'),
        (Name | Number, Name) | (Number, Number) => true,
        (Name, String) => !token.text.starts_with(['"', '\'']) || literal::is_prefix(last.text.as_bytes()),
        (Number, String) => true,
        // An empty string and a quote would begin a triple-quoted string.
        (String, String) => {
            let quote = &token.text[..1];
            matches!(quote, "'" | "\"") && is_empty(last.text, quote)
        }
        (Number, Operator) => token.text.starts_with('.'),
        (Operator, Number) => last.text.ends_with('.'),
        (Operator, Operator) => {
            let mut both = [0; 8];
            let (first, second) = (last.text.as_bytes(), token.text.as_bytes());
            let length = first.len() + second.len();
            let Some(joined) = both.get_mut(..length) else { return true };
            joined[..first.len()].copy_from_slice(first);
            joined[first.len()..].copy_from_slice(second);
            operator_length(joined).max(1) != first.len()
        }
        _ => false,
    }
}

/// Whether `literal` is an empty string, possibly with a prefix, in quotes of this kind.
fn is_empty(literal: &str, quote: &str) -> bool {
    let prefix = literal.strip_suffix(quote).and_then(|rest| rest.strip_suffix(quote));
    prefix.is_some_and(|prefix| !prefix.contains(['"', '\'']))
}
