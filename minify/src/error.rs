//! The errors of tokenizing and decoding, with their position.

use thiserror::Error;

/// The first error in a source.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {fault}")]
pub struct Error {
    /// The line, starting at 1.
    pub line: usize,
    /// The column in characters, starting at 1.
    pub column: usize,
    /// What is wrong at that position.
    pub fault: Fault,
}

/// Why a source is not valid Python.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The coding cookie names an unsupported encoding.
    #[error("unknown encoding {name:?}: save the file as UTF-8")]
    UnknownEncoding {
        /// The name in the cookie.
        name: String,
    },
    /// The source has a UTF-8 byte order mark and a cookie for another encoding.
    #[error("the file begins with a UTF-8 byte order mark but declares {name:?}")]
    MarkAndCookie {
        /// The name in the cookie.
        name: String,
    },
    /// The bytes are not valid in the declared encoding.
    #[error("the file declares {name:?} but contains bytes that are not valid in it")]
    NotAsDeclared {
        /// The name in the cookie.
        name: String,
    },
    /// A null byte.
    #[error("null byte in source")]
    NullByte,
    /// A character that cannot begin a token.
    #[error("invalid character {0:?} (U+{code:04X})", code = u32::from(*.0))]
    InvalidCharacter(char),
    /// A number that is incomplete, or directly followed by other characters.
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
    /// A backslash that is followed by other characters on its line.
    #[error("unexpected character after line continuation character")]
    AfterBackslash,
    /// A backslash at the end of the file.
    #[error("unexpected end of file after line continuation character")]
    EndAfterBackslash,
    /// A closing bracket without an opening one.
    #[error("unmatched {0:?}")]
    UnmatchedBracket(char),
    /// A closing bracket of another kind than the opening one.
    #[error("closing {close:?} does not match opening {open:?} on line {line}")]
    MismatchedBracket {
        /// The closing bracket.
        close: char,
        /// The opening bracket.
        open: char,
        /// The line of the opening bracket.
        line: usize,
    },
    /// An opening bracket without a closing one.
    #[error("{0:?} was never closed")]
    UnclosedBracket(char),
    /// A line whose indentation matches no open block.
    #[error("unindent does not match any outer indentation level")]
    Unindent,
    /// An indented line that does not follow the start of a block.
    #[error("unexpected indent")]
    UnexpectedIndent,
    /// The start of a block without an indented line.
    #[error("expected an indented block")]
    NoBlock,
    /// A semicolon without a statement before it.
    #[error("no statement before ';'")]
    NoStatement,
    /// f-strings that are nested more than 150 levels deep.
    #[error("f-strings are nested too deeply")]
    TooDeep,
}

impl Error {
    /// The error for a fault at byte `at` of `text`.
    pub(crate) fn at(text: &str, at: usize, fault: Fault) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let (newlines, line_start) = newlines(before.as_bytes());
        Self { line: newlines + 1, column: before[line_start..].chars().count() + 1, fault }
    }
}

/// The number of line ends in `bytes`, and the position after the last one.
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
