//! [`Encoder`]: a growing buffer with one method for each kind of data.

use bytes::Bytes;

use super::big;
use super::error::Error;
use super::limits::Limits;
use super::opcode::*;

/// Writes pickles piece by piece, without an intermediate [`Value`](super::Value).
///
/// Each pickle must be exactly one object: a leaf, or one container. After an error the content of the buffer is
/// invalid.
///
/// ```
/// use mitogen_core::pickle::{Encoder, Value, decode};
///
/// let mut encoder = Encoder::new();
/// encoder.tuple(|encoder| {
///     encoder.text("answer")?.int(42);
///     Ok(())
/// })?;
/// let bytes = encoder.finish();
/// assert_eq!(decode(&bytes)?, Value::Tuple(vec!["answer".into(), 42.into()]));
/// # Ok::<(), mitogen_core::pickle::Error>(())
/// ```
#[derive(Debug)]
pub struct Encoder {
    out: Vec<u8>,
    depth: usize,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// Starts the first pickle of a message.
    pub fn new() -> Self {
        Self::with_capacity(64)
    }

    /// Like [`new`](Self::new), with memory reserved for `bytes` bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut out = Vec::with_capacity(bytes);
        out.extend_from_slice(&HEADER);
        Self { out, depth: 0 }
    }

    /// Ends this pickle and starts another one in the same message.
    pub fn next_pickle(&mut self) -> &mut Self {
        self.out.push(STOP);
        self.out.extend_from_slice(&HEADER);
        self
    }

    /// Ends the last pickle and returns the message.
    pub fn finish(self) -> Bytes {
        self.into_vec().into()
    }

    /// Ends the last pickle and returns the message as a vector.
    pub fn into_vec(mut self) -> Vec<u8> {
        self.out.push(STOP);
        self.out
    }

    /// Writes `None`.
    pub fn none(&mut self) -> &mut Self {
        self.op(NONE)
    }

    /// Writes a boolean.
    pub fn bool(&mut self, it: bool) -> &mut Self {
        self.op(if it { NEWTRUE } else { NEWFALSE })
    }

    /// Writes an integer in its shortest form. A Python 2 peer decodes one beyond 32 bits as `long`.
    pub fn int(&mut self, it: i64) -> &mut Self {
        if let Ok(n) = u8::try_from(it) {
            self.raw(&[BININT1, n]);
        } else if let Ok(n) = u16::try_from(it) {
            let [low, high] = n.to_le_bytes();
            self.raw(&[BININT2, low, high]);
        } else if let Ok(n) = i32::try_from(it) {
            self.out.push(BININT);
            self.raw(&n.to_le_bytes());
        } else {
            let bytes = it.to_le_bytes();
            let bytes = big::trim(&bytes);
            self.raw(&[LONG1, bytes.len() as u8]);
            self.raw(bytes);
        }
        self
    }

    /// Writes an integer that a Python 2 peer decodes as `int`, because it checks the type.
    pub(super) fn plain_int(&mut self, it: i64) -> &mut Self {
        if i32::try_from(it).is_ok() {
            return self.int(it);
        }
        self.out.push(INT);
        self.raw(it.to_string().as_bytes());
        self.op(b'\n')
    }

    /// Writes an integer of any size from its shortest little-endian two's complement form.
    pub(super) fn long(&mut self, bytes: &[u8]) -> Result<&mut Self, Error> {
        if let Some(n) = big::small(bytes) {
            return Ok(self.int(n));
        }
        match u8::try_from(bytes.len()) {
            Ok(len) => self.raw(&[LONG1, len]),
            Err(_) => self.sized(LONG4, bytes.len(), i32::MAX as usize)?,
        }
        self.raw(bytes);
        Ok(self)
    }

    /// Writes a float.
    pub fn float(&mut self, it: f64) -> &mut Self {
        self.out.push(BINFLOAT);
        self.raw(&it.to_be_bytes());
        self
    }

    /// Writes text.
    ///
    /// # Errors
    /// [`Error::Limit`] for 4 GiB or more.
    pub fn text(&mut self, it: &str) -> Result<&mut Self, Error> {
        self.text_bytes(it.as_bytes())
    }

    /// Writes text in UTF-8 extended by surrogates.
    pub(super) fn text_bytes(&mut self, it: &[u8]) -> Result<&mut Self, Error> {
        self.sized(BINUNICODE, it.len(), u32::MAX as usize)?;
        self.raw(it);
        Ok(self)
    }

    /// Writes a byte string in the raw form that Python 2 and 3 read. Copies it once.
    ///
    /// # Errors
    /// [`Error::Limit`] for 2 GiB or more.
    pub fn bytes(&mut self, it: &[u8]) -> Result<&mut Self, Error> {
        match u8::try_from(it.len()) {
            Ok(len) => self.raw(&[SHORT_BINSTRING, len]),
            Err(_) => self.sized(BINSTRING, it.len(), i32::MAX as usize)?,
        }
        self.raw(it);
        Ok(self)
    }

    /// Writes a tuple of the objects that `members` writes.
    ///
    /// # Errors
    /// The errors of `members`, and [`Error::Limit`] when containers are nested too deeply.
    pub fn tuple(
        &mut self,
        members: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<&mut Self, Error> {
        self.open()?.op(MARK);
        members(self)?;
        Ok(self.close().op(TUPLE))
    }

    /// Writes a list of the objects that `members` writes.
    ///
    /// # Errors
    /// The errors of `members`, and [`Error::Limit`] when containers are nested too deeply.
    pub fn list(&mut self, members: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<&mut Self, Error> {
        self.open()?.op(EMPTY_LIST).op(MARK);
        members(self)?;
        Ok(self.close().op(APPENDS))
    }

    /// Writes a dict of the objects that `members` writes: a key, its value, the next key, and so on.
    ///
    /// # Errors
    /// The errors of `members`, and [`Error::Limit`] when containers are nested too deeply.
    pub fn dict(&mut self, members: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<&mut Self, Error> {
        self.open()?.op(EMPTY_DICT).op(MARK);
        let start = self.out.len();
        members(self)?;
        if self.out.len() == start {
            // An empty dict needs no SETITEMS.
            self.out.truncate(start - 1);
            return Ok(self.close());
        }
        Ok(self.close().op(SETITEMS))
    }

    /// Enters a container. The limit is the one with which peers of this implementation decode.
    pub(super) fn open(&mut self) -> Result<&mut Self, Error> {
        let limit = Limits::default().depth;
        if self.depth >= limit {
            return Err(Error::Limit { what: "nested containers", limit });
        }
        self.depth += 1;
        Ok(self)
    }

    /// Leaves a container.
    pub(super) fn close(&mut self) -> &mut Self {
        self.depth -= 1;
        self
    }

    pub(super) fn op(&mut self, opcode: u8) -> &mut Self {
        self.out.push(opcode);
        self
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Writes an opcode and its four-byte length, and reserves memory for the content.
    fn sized(&mut self, opcode: u8, len: usize, limit: usize) -> Result<(), Error> {
        if len > limit {
            return Err(Error::Limit { what: "bytes in one text, byte string or integer", limit });
        }
        if len >= 4096 {
            // Otherwise a large byte string would be copied again each time the buffer doubles.
            self.out.reserve(len + 64);
        }
        self.out.push(opcode);
        self.raw(&(len as u32).to_le_bytes());
        Ok(())
    }
}
