//! Frames: the 26-byte header, the payload encodings, messages, and the reserved handles.
//!
//! Sans-I/O. This module knows nothing about routes, contexts or descriptors. The format is that of upstream
//! Mitogen 0.3 (docs/protocol.md#frames). Invariant: a frame of [`FrameDecoder`] that is encoded again with
//! [`Message::to_bytes`] is unchanged.

mod decoder;
mod handles;
mod header;
mod message;

pub use decoder::{Frame, FrameDecoder};
pub use handles::WellKnownHandle;
pub use header::{DecodeError, Encoding, HEADER_LEN, Header};
pub use message::{IS_DEAD, Message};

/// The default limit of a payload, in bytes (128 MiB, as in upstream Mitogen).
pub const DEFAULT_MAX_MESSAGE_SIZE: usize = 128 << 20;
