//! Limits on what decoding one message may cost: [`Limits`], and the [`Budget`] that counts against them.

use std::cell::Cell;

use super::error::Error;

/// Limits on decoding, counted over all pickles of one message.
///
/// They apply to the *expanded* data: a peer can refer to one object many times for two bytes each.
///
/// ```
/// use mitogen_core::pickle::{Decoder, Error, Limits, to_bytes};
///
/// let bytes = to_bytes(&vec![1, 2, 3])?;
/// let mut decoder = Decoder::with_limits(&bytes, Limits::new().with_items(2))?;
/// assert!(matches!(decoder.value(), Err(Error::Limit { .. })));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How deep containers may nest (default: 256). The default is far beyond what programs exchange, and
    /// keeps recursive consumers of the data within the stack of a small thread.
    pub depth: usize,
    /// The maximum number of values, containers and their members alike (default: 8 Mi). Also limits the
    /// decoder's stack.
    pub items: usize,
    /// The maximum number of bytes of text and byte strings that are copied out of the message (default:
    /// 256 MiB). Byte strings that share the message's memory do not count.
    pub copied: usize,
}

impl Limits {
    /// The default limits.
    pub const fn new() -> Self {
        Self { depth: 256, items: 8 << 20, copied: 256 << 20 }
    }

    /// Sets [`depth`](Self::depth).
    #[must_use]
    pub const fn with_depth(self, depth: usize) -> Self {
        Self { depth, ..self }
    }

    /// Sets [`items`](Self::items).
    #[must_use]
    pub const fn with_items(self, items: usize) -> Self {
        Self { items, ..self }
    }

    /// Sets [`copied`](Self::copied), in bytes.
    #[must_use]
    pub const fn with_copied(self, copied: usize) -> Self {
        Self { copied, ..self }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// The part of the limits that a message has not used yet.
#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    items: Cell<usize>,
    copied: Cell<usize>,
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, items: Cell::new(limits.items), copied: Cell::new(limits.copied) }
    }

    /// Counts one value at `depth`.
    pub(super) fn item(&self, depth: usize) -> Result<(), Error> {
        if depth > self.limits.depth {
            return Err(Error::Limit { what: "nested containers", limit: self.limits.depth });
        }
        match self.items.get().checked_sub(1) {
            Some(remaining) => {
                self.items.set(remaining);
                Ok(())
            }
            None => Err(self.too_many()),
        }
    }

    /// Checks that `count` further values are allowed, before memory is reserved for them.
    pub(super) fn expect(&self, count: usize) -> Result<(), Error> {
        if count > self.items.get() { Err(self.too_many()) } else { Ok(()) }
    }

    /// Counts `len` bytes that are scanned or copied.
    pub(super) fn copy(&self, len: usize) -> Result<(), Error> {
        match self.copied.get().checked_sub(len) {
            Some(remaining) => {
                self.copied.set(remaining);
                Ok(())
            }
            None => Err(Error::Limit { what: "copied bytes", limit: self.limits.copied }),
        }
    }

    fn too_many(&self) -> Error {
        Error::Limit { what: "items", limit: self.limits.items }
    }
}
