//! What makes a byte stream not a frame stream. All of it is the peer's doing and ends the link.

use thiserror::Error;

/// Why a stream's bytes cannot be frames.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The first two bytes of a frame are no known encoding.
    #[error("corrupt stream: a frame begins with {magic:#06x} where 0x4d49, 0x4d4a or 0x4d4b must stand")]
    BadMagic {
        /// What stood there.
        magic: u16,
    },
    /// The payload is larger than this side accepts.
    #[error("the peer announced a message of {length} bytes (max {limit} bytes)")]
    TooLarge {
        /// Announced payload bytes.
        length: usize,
        /// The configured limit in bytes.
        limit: usize,
    },
}
