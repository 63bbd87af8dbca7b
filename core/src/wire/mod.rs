//! Frames: the 26-byte header, the three payload encodings, and the standard handles.
//!
//! Sans-I/O. Knows nothing of routes, contexts or descriptors. Byte facts come from stock
//! Mitogen 0.3.x. Invariant: what a [`FrameDecoder`] yields, put back together by
//! [`Message::to_bytes`], is the same bytes.

mod decoder;
mod encoding;
mod error;
mod handles;
mod header;
mod message;

pub use decoder::{Frame, FrameDecoder};
pub use encoding::Encoding;
pub use error::DecodeError;
pub use handles::WellKnownHandle;
pub use header::{HEADER_LEN, Header};
pub use message::{IS_DEAD, Message};

/// The payload limit unless configured otherwise, in bytes (128 MiB, as stock).
pub const DEFAULT_MAX_MESSAGE_SIZE: usize = 128 << 20;
