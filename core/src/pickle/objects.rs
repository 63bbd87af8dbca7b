//! The objects of Mitogen's own that travel inside pickles, as Rust types.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::names::{BLOB, ByteSlice, CALL_ERROR, CONTEXT, KWARGS, SENDER};
use crate::ids::{ContextId, Handle};

/// A byte string: Python's `bytes`. When decoded from a [`Bytes`], a large one shares the message's memory.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Binary(pub Bytes);

/// `mitogen.core.Blob`: a subclass of `bytes` that upstream peers abbreviate when they print it.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blob(pub Bytes);

macro_rules! byte_string {
    ($name:ident) => {
        impl From<Vec<u8>> for $name {
            fn from(bytes: Vec<u8>) -> Self {
                Self(bytes.into())
            }
        }

        impl From<Bytes> for $name {
            fn from(bytes: Bytes) -> Self {
                Self(bytes)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({} bytes)"), self.0.len())
            }
        }
    };
}

byte_string!(Binary);
byte_string!(Blob);

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(BLOB, &ByteSlice(&self.0))
    }
}

/// Keyword arguments: a dict with text keys, sent as `mitogen.core.Kwargs`, which converts the keys to the
/// string type that the receiving Python requires. `T` is a map, a struct, or `()` for no arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kwargs<T>(pub T);

impl<T: Serialize> Serialize for Kwargs<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(KWARGS, &self.0)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Kwargs<T> {
    /// Accepts plain dicts as well.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

/// The text of a `mitogen.core.CallError`, the reply of a failed call: `module.Class: message`, possibly
/// followed by the lines of a traceback.
///
/// When sent, it is truncated to [`CALL_ERROR_MAX`](super::CALL_ERROR_MAX) characters; when received, lone
/// surrogates are replaced by U+FFFD.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CallErrorText(pub String);

impl Serialize for CallErrorText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(CALL_ERROR, self.0.as_str())
    }
}

/// A reference to a context: the content of a pickled `mitogen.core.Context`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextRef {
    /// The context's id.
    pub id: ContextId,
    /// The context's name, at most 500 characters; `None` if the sender did not know it.
    pub name: Option<String>,
}

impl Serialize for ContextRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(CONTEXT, &(self.id, self.name.as_deref()))
    }
}

/// A reference to a receiver: the content of a pickled `mitogen.core.Sender`, which names the address to send
/// to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderRef {
    /// The receiving context.
    pub context: ContextId,
    /// The handle in that context; never 0.
    pub handle: Handle,
}

impl Serialize for SenderRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(SENDER, &(self.context, self.handle))
    }
}
