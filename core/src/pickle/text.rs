//! [`SurrogateText`]: Python text with lone surrogates, which is not valid Unicode.
//!
//! Python represents undecodable bytes of file names and arguments as lone surrogates in `str`. Such text must
//! survive a round trip through Rust while ordinary text remains a `String`, so it has its own type.

use std::fmt;

use serde::{Serialize, Serializer};

use super::names::{ByteSlice, SURROGATES};

/// Text with at least one surrogate code point, in UTF-8 extended by surrogates: the result of Python's
/// `text.encode("utf-8", "surrogatepass")`.
///
/// Invariant: the bytes are well-formed in that encoding and are not valid UTF-8.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SurrogateText(Vec<u8>);

impl SurrogateText {
    /// Wraps `bytes`.
    ///
    /// # Errors
    /// Returns the bytes when they are valid UTF-8 or not well-formed.
    pub fn new(bytes: Vec<u8>) -> Result<Self, Vec<u8>> {
        if well_formed(&bytes) && std::str::from_utf8(&bytes).is_err() { Ok(Self(bytes)) } else { Err(bytes) }
    }

    /// The bytes: UTF-8 extended by surrogates.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text with each surrogate replaced by U+FFFD.
    pub fn to_string_lossy(&self) -> String {
        lossy(&self.0)
    }

    /// The result of Python's `os.fsencode`: each surrogate U+DC80 to U+DCFF represents one byte that was
    /// not UTF-8. `None` if the text contains other surrogates.
    pub fn to_fs_bytes(&self) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(self.0.len());
        let mut rest = self.0.as_slice();
        while let [first, tail @ ..] = rest {
            match rest {
                [0xed, second @ 0xa0..=0xff, third, tail @ ..] => {
                    let unit = 0xd000 | u16::from(second & 0x3f) << 6 | u16::from(third & 0x3f);
                    if !(0xdc80..=0xdcff).contains(&unit) {
                        return None;
                    }
                    out.push((unit & 0xff) as u8);
                    rest = tail;
                }
                _ => {
                    out.push(*first);
                    rest = tail;
                }
            }
        }
        Some(out)
    }
}

/// Whether `bytes` are UTF-8 extended by surrogates.
pub(super) fn well_formed(mut bytes: &[u8]) -> bool {
    while let Err(error) = std::str::from_utf8(bytes) {
        match &bytes[error.valid_up_to()..] {
            [0xed, 0xa0..=0xbf, 0x80..=0xbf, rest @ ..] => bytes = rest,
            _ => return false,
        }
    }
    true
}

/// Well-formed `bytes` as text, with each surrogate replaced by U+FFFD.
pub(super) fn lossy(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        // The three bytes of a surrogate are three invalid chunks; only the first is replaced.
        if chunk.invalid().first().is_some_and(|b| *b == 0xed) {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
    out
}

impl fmt::Debug for SurrogateText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl Serialize for SurrogateText {
    /// In human-readable formats: text with replacement characters.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&self.to_string_lossy())
        } else {
            serializer.serialize_newtype_struct(SURROGATES, &ByteSlice(&self.0))
        }
    }
}
