//! The frame header: 26 bytes, big-endian, no padding.

use super::{DecodeError, Encoding};
use crate::ids::{ContextId, Handle};

/// Bytes in a header.
pub const HEADER_LEN: usize = 26;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the payload is.
    pub encoding: Encoding,
    /// Where the frame goes.
    pub dst_id: ContextId,
    /// Where it came from, and where a reply goes.
    pub src_id: ContextId,
    /// The context whose authority it carries.
    pub auth_id: ContextId,
    /// The port in the destination.
    pub handle: Handle,
    /// The port in the source for a reply; 0 for none, [`super::IS_DEAD`] for a dead message.
    pub reply_to: Handle,
    /// Bytes of payload that follow.
    pub length: u32,
}

impl Header {
    /// The header's wire form.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[0..2].copy_from_slice(&(self.encoding as u16).to_be_bytes());
        let words =
            [self.dst_id.0, self.src_id.0, self.auth_id.0, self.handle.0, self.reply_to.0, self.length];
        for (slot, word) in out[2..].chunks_exact_mut(4).zip(words) {
            slot.copy_from_slice(&word.to_be_bytes());
        }
        out
    }

    /// Reads a header.
    ///
    /// # Errors
    /// [`DecodeError::BadMagic`] when the first field is no known encoding.
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, DecodeError> {
        let magic = u16::from_be_bytes([bytes[0], bytes[1]]);
        let encoding = Encoding::from_wire(magic).ok_or(DecodeError::BadMagic { magic })?;
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Ok(Self {
            encoding,
            dst_id: ContextId(word(2)),
            src_id: ContextId(word(6)),
            auth_id: ContextId(word(10)),
            handle: Handle(word(14)),
            reply_to: Handle(word(18)),
            length: word(22),
        })
    }
}
