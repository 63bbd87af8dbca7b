//! Why text is no Python source of any version, and where.

use thiserror::Error;

/// What is wrong with a source, at its first fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {fault}")]
pub struct Error {
    /// Line of the fault, from 1.
    pub line: usize,
    /// Column of the fault in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// The ways in which text fails to be Python.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The coding cookie names an encoding that we cannot read.
    #[error("unknown encoding {name:?}: save the file as UTF-8")]
    UnknownEncoding {
        /// The name in the cookie.
        name: String,
    },
    /// A byte order mark says UTF-8 and the cookie something else.
    #[error("the file begins with the mark of UTF-8 but declares {name:?}")]
    MarkAndCookie {
        /// The name in the cookie.
        name: String,
    },
    /// The bytes do not fit the declared encoding.
    #[error("the file declares {name:?} and holds bytes that are not")]
    NotAsDeclared {
        /// The name in the cookie.
        name: String,
    },
    /// A null byte.
    #[error("null byte in source")]
    NullByte,
    /// A character that begins no token.
    #[error("invalid character {0:?} (U+{code:04X})", code = u32::from(*.0))]
    InvalidCharacter(char),
    /// A number that ends in the middle or runs into something else.
    #[error("invalid number {0:?}")]
    InvalidNumber(String),
    /// A string without its closing quote.
    #[error("unterminated string literal")]
    UnterminatedString,
    /// A triple-quoted string without its closing quotes.
    #[error("unterminated triple-quoted string literal")]
    UnterminatedTripleQuoted,
    /// A replacement field of an f-string or t-string that is not closed.
    #[error("f-string: expecting '}}'")]
    UnclosedField,
    /// A lone closing brace in an f-string or t-string.
    #[error("f-string: single '}}' is not allowed")]
    LoneBrace,
    /// A backslash with something after it on its line.
    #[error("unexpected character after line continuation character")]
    AfterBackslash,
    /// A backslash as the last thing of the file.
    #[error("unexpected end of file after line continuation character")]
    EndAfterBackslash,
    /// A closing bracket that nothing opened.
    #[error("unmatched {0:?}")]
    UnmatchedBracket(char),
    /// A closing bracket of another kind than the open one.
    #[error("closing {close:?} does not match opening {open:?} on line {line}")]
    MismatchedBracket {
        /// The closing bracket.
        close: char,
        /// The open bracket.
        open: char,
        /// Where that one stands.
        line: usize,
    },
    /// A bracket that nothing closes.
    #[error("{0:?} was never closed")]
    UnclosedBracket(char),
    /// A line that returns to a depth at which no block is.
    #[error("unindent does not match any outer indentation level")]
    Unindent,
    /// A line deeper than the one before, which opens no block.
    #[error("unexpected indent")]
    UnexpectedIndent,
    /// A line that opens a block and is not followed by one.
    #[error("expected an indented block")]
    NoBlock,
    /// A semicolon that ends no statement.
    #[error("no statement before ';'")]
    NoStatement,
    /// More strings in f-strings than anybody writes.
    #[error("f-strings are nested too deeply")]
    TooDeep,
}

impl Error {
    /// The fault at byte `at` of `text`.
    pub(crate) fn at(text: &str, at: usize, fault: Fault) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let (newlines, line_start) = newlines(before.as_bytes());
        Self { line: newlines + 1, column: before[line_start..].chars().count() + 1, fault }
    }
}

/// How many lines end in `bytes`, and where the last one does.
pub(crate) fn newlines(bytes: &[u8]) -> (usize, usize) {
    let mut count = 0;
    let mut last = 0;
    for at in memchr::memchr2_iter(b'\n', b'\r', bytes) {
        if bytes[at] == b'\n' || bytes.get(at + 1) != Some(&b'\n') {
            count += 1;
            last = at + 1;
        }
    }
    (count, last)
}
