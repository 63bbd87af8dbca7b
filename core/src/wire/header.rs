//! The frame header (docs/protocol.md#header): its encoding field, and the errors of parsing it.

use crate::ids::{ContextId, Handle};

/// The length of a header in bytes. All fields are big-endian, without padding.
pub const HEADER_LEN: usize = 26;

/// The encoding of a frame's payload: the first field of the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Encoding {
    /// `MI`: the only encoding of old releases. Raw payloads of handles that predate the other encodings,
    /// empty payloads, and all dead messages.
    #[default]
    Legacy = 0x4d49,
    /// `MJ`: one or more pickles.
    Pickle = 0x4d4a,
    /// `MK`: uninterpreted bytes.
    Raw = 0x4d4b,
}

impl Encoding {
    /// The encoding with the wire value `value`, if there is one.
    pub const fn from_wire(value: u16) -> Option<Self> {
        match value {
            0x4d49 => Some(Self::Legacy),
            0x4d4a => Some(Self::Pickle),
            0x4d4b => Some(Self::Raw),
            _ => None,
        }
    }
}

/// Why a stream is not a valid sequence of frames. The link must be closed after it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The first two bytes of a frame are not a known encoding.
    #[error("corrupt stream: a frame begins with {magic:#06x} instead of 0x4d49, 0x4d4a or 0x4d4b")]
    BadMagic {
        /// The two bytes, as a big-endian number.
        magic: u16,
    },
    /// The payload is larger than this side accepts.
    #[error("the peer announced a message of {length} bytes (max {limit} bytes)")]
    TooLarge {
        /// The announced length of the payload in bytes.
        length: usize,
        /// The configured limit in bytes.
        limit: usize,
    },
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The encoding of the payload.
    pub encoding: Encoding,
    /// The context that the frame is for.
    pub dst_id: ContextId,
    /// The context that sent the frame and receives its reply.
    pub src_id: ContextId,
    /// The context whose authority the frame carries.
    pub auth_id: ContextId,
    /// The handle in the destination context.
    pub handle: Handle,
    /// The handle in the source context for the reply; 0 for none, [`IS_DEAD`](super::IS_DEAD) for a dead
    /// message.
    pub reply_to: Handle,
    /// The length of the payload in bytes.
    pub length: u32,
}

impl Header {
    /// Encodes the header.
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

    /// Parses a header.
    ///
    /// # Errors
    /// [`DecodeError::BadMagic`] when the first field is not a known encoding.
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
