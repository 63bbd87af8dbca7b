//! The errors of encoding and decoding.

use std::fmt;

use thiserror::Error;

use super::objects::CallErrorText;

/// Why encoding or decoding failed.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The payload ended inside a pickle.
    #[error("truncated pickle of {length} bytes")]
    Truncated {
        /// Length of the payload in bytes.
        length: usize,
    },
    /// No pickle is left in the payload.
    #[error("empty pickle")]
    Empty,
    /// A byte is not an opcode of protocols 0 to 5.
    #[error("unknown pickle opcode {opcode:#04x} at byte {offset}")]
    UnknownOpcode {
        /// The unknown byte.
        opcode: u8,
        /// Its offset in the payload.
        offset: usize,
    },
    /// The peer sent a kind of object that is never accepted: sets, instances, persistent ids.
    #[error("cannot unpickle {what} at byte {offset}: only plain data is accepted")]
    Refused {
        /// The kind of object.
        what: &'static str,
        /// The offset of its opcode in the payload.
        offset: usize,
    },
    /// The peer named a function or class that is not allowed. The text is upstream Mitogen's.
    #[error("cannot unpickle '{module}'/'{name}'")]
    Global {
        /// The module's name, truncated to 100 bytes.
        module: String,
        /// The object's name, truncated to 100 bytes.
        name: String,
    },
    /// An opcode is used wrongly: too few operands, an operand of the wrong type, a bad number.
    #[error("malformed pickle at byte {offset}: {what}")]
    Malformed {
        /// What is malformed.
        what: &'static str,
        /// How many bytes of the payload were read.
        offset: usize,
    },
    /// The pickle is well-formed but its content is not allowed: characters beyond latin-1 in a byte string,
    /// a context id out of range, a call error that is too long.
    #[error("invalid message: {0}")]
    Invalid(String),
    /// One of the [`Limits`](super::Limits) was exceeded, or a size that the format can express.
    #[error("pickle exceeds the limit of {limit} {what}")]
    Limit {
        /// What is limited, with its unit.
        what: &'static str,
        /// The limit, in the unit that `what` names.
        limit: usize,
    },
    /// The peer replied with a call error where a value of another type was expected.
    #[error("{0}")]
    Call(CallErrorText),
    /// Serde's error: the data does not match the Rust type, or the type cannot be encoded.
    #[error("{0}")]
    Type(String),
}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(msg: T) -> Self {
        Self::Type(msg.to_string())
    }
}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(msg: T) -> Self {
        Self::Type(msg.to_string())
    }
}
