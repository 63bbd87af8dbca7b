//! Removes comments, docstrings and unnecessary white space.

use std::borrow::Cow;

use crate::encoding::{Decoded, MARK};
use crate::error::{Error, Fault};
use crate::token_writer::{Lines, TokenWriter};
use crate::tokens::{Token, TokenKind, tokens};

/// Removes comments, docstrings and unnecessary white space from a Python source. Every token stays on its line, so that
/// tracebacks remain correct.
///
/// A statement that consists only of string literals is removed; a block that contained nothing else becomes `pass`, on
/// the line of its first string. Formatted strings are kept, because they are evaluated.
///
/// The result is UTF-8, with one exception: if characters beyond ASCII remain and the source has another encoding, the
/// result has that encoding and its cookie, because the bytes of a Python 2 string are those of the file.
///
/// ```
/// use mitogen_minify::minimize_source;
///
/// let source = b"def f(x):\n    '''Doubles x.'''\n    return x * 2  # twice\n";
/// assert_eq!(minimize_source(source)?, b"def f(x):\n\n return x*2\n");
/// # Ok::<(), mitogen_minify::Error>(())
/// ```
///
/// # Errors
/// When the source is not valid in any supported version of Python, as far as its tokens and blocks show.
pub fn minimize_source(source: &[u8]) -> Result<Vec<u8>, Error> {
    let decoded = Decoded::new(source)?;
    let text = strip(&decoded.text, Lines::Kept)?;
    if text.is_ascii() {
        return Ok(text.into_bytes());
    }
    let text = match decoded.cookie {
        // The line of a cookie is blank in `text`, and so is a line above it.
        Some(cookie) => {
            let (above, below) = text.split_at(cookie.line - 1);
            Cow::Owned(format!("{above}#coding:{}{below}", cookie.name))
        }
        None => Cow::Borrowed(&*text),
    };
    let bytes = decoded.encoding.encode(&text);
    Ok(if decoded.mark { [MARK, &bytes].concat() } else { bytes.into_owned() })
}

/// Like [`minimize_source`], but also removes blank lines and line breaks within statements. For sources whose line
/// numbers are not needed.
///
/// # Errors
/// As [`minimize_source`].
pub fn compact(text: &str) -> Result<String, Error> {
    strip(text, Lines::Joined)
}

/// An open block of the source.
#[derive(Default)]
struct Block {
    /// Whether a statement of it was written.
    written: bool,
    /// The line of the first statement that was removed.
    omitted: usize,
}

fn strip(text: &str, lines: Lines) -> Result<String, Error> {
    let mut writer = TokenWriter::new(text.len(), lines);
    let mut blocks: Vec<Block> = Vec::new();
    let mut line: Vec<Token<'_>> = Vec::new();
    // Set after a line that ends with a colon.
    let mut opens = false;
    let mut tokens = tokens(text);
    loop {
        let kind = tokens.advance()?;
        let fault = |fault| {
            let token = tokens.found(kind);
            // The text of an indent ends where the first token of the line begins.
            let place = token.start + if kind == TokenKind::Indent { token.text.len() } else { 0 };
            Err(Error::at(text, place, fault))
        };
        match kind {
            TokenKind::Comment | TokenKind::BlankNewline => {}
            TokenKind::Indent if !opens => return fault(Fault::UnexpectedIndent),
            TokenKind::Indent => {
                opens = false;
                blocks.push(Block::default());
            }
            _ if opens => return fault(Fault::NoBlock),
            TokenKind::Dedent => {
                let depth = blocks.len();
                if let Some(block) = blocks.pop().filter(|block| !block.written) {
                    writer.begin(block.omitted, depth);
                    writer.word("pass");
                }
            }
            TokenKind::Newline => {
                opens = line.last().is_some_and(|last| last.text == ":");
                let written = write_line(&mut writer, &line, blocks.len());
                let written = written.map_err(|at| Error::at(text, at, Fault::NoStatement))?;
                if let (Some(block), Some(first)) = (blocks.last_mut(), line.first()) {
                    if written {
                        block.written = true;
                    } else if block.omitted == 0 {
                        block.omitted = first.line;
                    }
                }
                line.clear();
            }
            TokenKind::End => break,
            _ => line.push(tokens.found(kind)),
        }
    }
    if text.ends_with(['\n', '\r']) {
        writer.end();
    }
    Ok(writer.into_text())
}

/// Writes the rest of a logical line; returns false if nothing remains. Fails with the position of a semicolon without a
/// statement before it.
fn write_line<'a>(writer: &mut TokenWriter<'a>, line: &[Token<'a>], depth: usize) -> Result<bool, usize> {
    let mut written = false;
    let mut rest = line;
    while let Some(first) = rest.first() {
        let is_semicolon = |token: &Token<'_>| token.kind == TokenKind::Operator && token.text == ";";
        let length = rest.iter().position(is_semicolon);
        let (statement, after) = rest.split_at(length.unwrap_or(rest.len()));
        rest = after.get(1..).unwrap_or_default();
        if let Some(semicolon) = after.first()
            && statement.last().is_none_or(|last| last.text == ":")
        {
            return Err(semicolon.start);
        }
        if statement.iter().all(is_plain_string) {
            continue;
        }
        if written {
            writer.word(";");
        } else {
            writer.begin(first.line, depth);
        }
        written = true;
        for token in statement {
            writer.token(token);
        }
    }
    Ok(written)
}

/// Whether the token is a string without evaluated fields.
fn is_plain_string(token: &Token<'_>) -> bool {
    let is_quote = |byte: &u8| matches!(byte, b'"' | b'\'');
    let mut prefix = token.text.bytes().take_while(|byte| !is_quote(byte));
    token.kind == TokenKind::String && prefix.all(|byte| !matches!(byte, b'f' | b'F' | b't' | b'T'))
}
