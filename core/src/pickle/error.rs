//! Why bytes are no acceptable pickle, or why a value cannot become one.

use std::fmt;

use thiserror::Error;

use super::CallError;

/// What went wrong in encoding or decoding.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The payload ended inside a pickle.
    #[error("truncated pickle of {length} bytes")]
    Truncated {
        /// Bytes that were there.
        length: usize,
    },
    /// There was no pickle at all.
    #[error("empty pickle")]
    Empty,
    /// A byte that is no opcode of protocols 0 to 5.
    #[error("unknown pickle opcode {opcode:#04x} at byte {offset}")]
    UnknownOpcode {
        /// The byte.
        opcode: u8,
        /// Where it stands in the payload.
        offset: usize,
    },
    /// The peer sent a kind of object that does not travel: sets, instances, persistent ids.
    #[error("cannot unpickle {what} at byte {offset}: only plain data is accepted")]
    Refused {
        /// The kind of object.
        what: &'static str,
        /// Where the opcode stands in the payload.
        offset: usize,
    },
    /// The peer named a function or class that is not on the list; the text is stock Mitogen's.
    #[error("cannot unpickle '{module}'/'{name}'")]
    Global {
        /// The module part, shortened if long.
        module: String,
        /// The name part, shortened if long.
        name: String,
    },
    /// The opcodes make no sense: too few operands, a wrong type of operand, a bad number.
    #[error("malformed pickle at byte {offset}: {what}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// How far the decoder had read.
        offset: usize,
    },
    /// The bytes are a pickle, but what they describe is not allowed: a byte string's text beyond
    /// latin-1, a context id out of range, an overlong call error.
    #[error("invalid message: {0}")]
    Invalid(String),
    /// One of [`Limits`](super::Limits) was exceeded, or a size that the format cannot express.
    #[error("pickle exceeds the limit of {limit} {what}")]
    Limit {
        /// What is limited, with its unit.
        what: &'static str,
        /// How much would have been allowed.
        limit: usize,
    },
    /// The peer answered with a call error where a value of another type was asked for.
    #[error("{0}")]
    Call(CallError),
    /// The data does not fit the Rust type, or the type cannot be encoded; from serde.
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
