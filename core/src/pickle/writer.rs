//! The encoding side: a growing buffer, and one method per kind of data.

use bytes::Bytes;
use serde::Serialize;

use super::opcode::*;
use super::ser::{Encoder, Mode};
use super::{Error, Limits};

/// `value` as one pickle.
///
/// # Errors
/// [`Error::Limit`] for sizes that protocol 2 cannot express and for too deep nesting, [`Error::Type`] for
/// what serde refuses.
pub fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, Error> {
    to_vec(value).map(Bytes::from)
}

/// `value` as one pickle in a plain buffer.
///
/// # Errors
/// As [`to_bytes`].
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut writer = Writer::new();
    writer.value(value)?;
    Ok(writer.into_vec())
}

/// Writes pickles piece by piece, so that a message needs no [`Value`](super::Value) made for it.
///
/// Every pickle must be exactly one object: a leaf, or one container around everything. After an error
/// the buffer is worthless.
#[derive(Debug)]
pub struct Writer {
    out: Vec<u8>,
    depth: usize,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// A writer at the beginning of its first pickle.
    pub fn new() -> Self {
        Self::with_capacity(64)
    }

    /// The same with room for `bytes` bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut out = Vec::with_capacity(bytes);
        out.extend_from_slice(&HEADER);
        Self { out, depth: 0 }
    }

    /// Ends this pickle and begins another in the same message.
    pub fn next_pickle(&mut self) -> &mut Self {
        self.out.push(STOP);
        self.out.extend_from_slice(&HEADER);
        self
    }

    /// Ends the last pickle.
    pub fn finish(self) -> Bytes {
        self.into_vec().into()
    }

    /// Ends the last pickle.
    pub fn into_vec(mut self) -> Vec<u8> {
        self.out.push(STOP);
        self.out
    }

    /// Anything that serde can take apart.
    ///
    /// # Errors
    /// As [`to_bytes`].
    pub fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<&mut Self, Error> {
        value.serialize(Encoder::new(self, Mode::Plain))?;
        Ok(self)
    }

    /// `value` as the positional arguments of a call: a tuple, a sequence (which becomes a tuple), or `()`
    /// for none.
    ///
    /// # Errors
    /// As [`to_bytes`]; [`Error::Type`] when it is none of these.
    pub fn arguments<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<&mut Self, Error> {
        value.serialize(Encoder::new(self, Mode::Arguments))?;
        Ok(self)
    }

    /// `value` as the keyword arguments of a call: a map or struct, or `()` for none.
    ///
    /// # Errors
    /// As [`to_bytes`]; [`Error::Type`] when it is none of these.
    pub fn keywords<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<&mut Self, Error> {
        self.raw(b"cmitogen.core\nKwargs\n");
        value.serialize(Encoder::new(self, Mode::Keywords))?;
        self.raw(&[TUPLE1, REDUCE]);
        Ok(self)
    }

    /// `None`.
    pub fn none(&mut self) -> &mut Self {
        self.op(NONE)
    }

    /// A truth value.
    pub fn bool(&mut self, it: bool) -> &mut Self {
        self.op(if it { NEWTRUE } else { NEWFALSE })
    }

    /// An integer, in the shortest form. Beyond 32 bits a Python 2 peer gets a `long`.
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
            let bytes = super::big::trim(&bytes);
            self.raw(&[LONG1, bytes.len() as u8]);
            self.raw(bytes);
        }
        self
    }

    /// An integer that a Python 2 peer must get as its `int`, because it looks at the type.
    pub(super) fn plain_int(&mut self, it: i64) -> &mut Self {
        if i32::try_from(it).is_ok() {
            return self.int(it);
        }
        self.out.push(INT);
        self.raw(it.to_string().as_bytes());
        self.op(b'\n')
    }

    /// An integer of any size in its shortest little-endian two's complement form.
    pub(super) fn long(&mut self, bytes: &[u8]) -> Result<&mut Self, Error> {
        if let Some(n) = super::big::small(bytes) {
            return Ok(self.int(n));
        }
        match u8::try_from(bytes.len()) {
            Ok(len) => self.raw(&[LONG1, len]),
            Err(_) => self.sized(LONG4, bytes.len(), i32::MAX as usize)?,
        }
        self.raw(bytes);
        Ok(self)
    }

    /// A float.
    pub fn float(&mut self, it: f64) -> &mut Self {
        self.out.push(BINFLOAT);
        self.raw(&it.to_be_bytes());
        self
    }

    /// Text.
    ///
    /// # Errors
    /// [`Error::Limit`] from 4 GiB on.
    pub fn text(&mut self, it: &str) -> Result<&mut Self, Error> {
        self.text_bytes(it.as_bytes())
    }

    /// Text in UTF-8 extended by surrogates.
    pub(super) fn text_bytes(&mut self, it: &[u8]) -> Result<&mut Self, Error> {
        self.sized(BINUNICODE, it.len(), u32::MAX as usize)?;
        self.raw(it);
        Ok(self)
    }

    /// A byte string, in the raw form that both Pythons read, copied once.
    ///
    /// # Errors
    /// [`Error::Limit`] from 2 GiB on.
    pub fn bytes(&mut self, it: &[u8]) -> Result<&mut Self, Error> {
        match u8::try_from(it.len()) {
            Ok(len) => self.raw(&[SHORT_BINSTRING, len]),
            Err(_) => self.sized(BINSTRING, it.len(), i32::MAX as usize)?,
        }
        self.raw(it);
        Ok(self)
    }

    /// A tuple of what `members` writes.
    ///
    /// # Errors
    /// Those of `members`, and [`Error::Limit`] for too deep nesting.
    pub fn tuple(
        &mut self,
        members: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<&mut Self, Error> {
        self.open()?.op(MARK);
        members(self)?;
        Ok(self.close().op(TUPLE))
    }

    /// A list of what `members` writes.
    ///
    /// # Errors
    /// Those of `members`, and [`Error::Limit`] for too deep nesting.
    pub fn list(&mut self, members: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<&mut Self, Error> {
        self.open()?.op(EMPTY_LIST).op(MARK);
        members(self)?;
        Ok(self.close().op(APPENDS))
    }

    /// A dict of what `members` writes: a key, its value, the next key.
    ///
    /// # Errors
    /// Those of `members`, and [`Error::Limit`] for too deep nesting.
    pub fn dict(&mut self, members: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<&mut Self, Error> {
        self.open()?.op(EMPTY_DICT).op(MARK);
        let start = self.out.len();
        members(self)?;
        if self.out.len() == start {
            // An empty one needs no items to be set.
            self.out.truncate(start - 1);
            return Ok(self.close());
        }
        Ok(self.close().op(SETITEMS))
    }

    /// Enters a container. The limit is the one with which our own peers decode.
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

    /// An opcode and its four-byte length, with room made for exactly what follows.
    fn sized(&mut self, opcode: u8, len: usize, limit: usize) -> Result<(), Error> {
        if len > limit {
            return Err(Error::Limit { what: "bytes in one text, byte string or integer", limit });
        }
        if len >= 4096 {
            // Without this a large byte string would be copied again whenever the buffer doubles.
            self.out.reserve(len + 64);
        }
        self.out.push(opcode);
        self.raw(&(len as u32).to_le_bytes());
        Ok(())
    }
}
