//! The objects of Mitogen's own that travel inside pickles, as Rust types, and the names by which they
//! pass through serde.

use std::fmt;

use bytes::Bytes;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Value;
use crate::ids::{ContextId, Handle};
use crate::secret::Secret;

// Names of newtype structs that our own serializer and deserializer know; other formats see only what
// is inside.
pub(super) const VALUE: &str = "$mitogen::Value";
pub(super) const BIG: &str = "$mitogen::BigInt";
pub(super) const SURROGATES: &str = "$mitogen::SurrogateText";
pub(super) const BLOB: &str = "$mitogen::Blob";
pub(super) const SECRET: &str = Secret::NAME;
pub(super) const KWARGS: &str = "$mitogen::Kwargs";
pub(super) const CALL_ERROR: &str = "$mitogen::CallError";
pub(super) const CONTEXT: &str = "$mitogen::Context";
pub(super) const SENDER: &str = "$mitogen::Sender";

/// The longest call error text that stock peers accept, in characters. Longer ones are cut when sent.
pub const CALL_ERROR_MAX: usize = 9999;

/// The longest context name that stock peers accept, in characters.
pub(super) const NAME_MAX: usize = 500;

/// Serializes as a byte string: `[u8]` by itself is a sequence of numbers to serde.
pub(super) struct Wire<'a>(pub(super) &'a [u8]);

impl Serialize for Wire<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// A byte string: Python's `bytes`. Decoded from a `Bytes`, a large one is shared with the message.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Binary(pub Bytes);

/// A byte string that stock peers print in short form: `mitogen.core.Blob`, a subclass of `bytes`.
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

        impl<'de> Deserialize<'de> for $name {
            /// Accepts byte strings, blobs, and text for its UTF-8 form.
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                match Value::deserialize(deserializer)? {
                    Value::Bytes(bytes) | Value::Blob(bytes) => Ok(Self(bytes)),
                    Value::Text(text) => Ok(Self(text.into_bytes().into())),
                    other => Err(D::Error::invalid_type(other.unexpected(), &"a byte string")),
                }
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
        serializer.serialize_newtype_struct(BLOB, &Wire(&self.0))
    }
}

/// Keyword arguments: a dict with text keys, sent as `mitogen.core.Kwargs`, which turns the keys into
/// what the receiving Python can use. `T` is a map or struct; `()` has no arguments.
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

/// What a failed call answers: `module.Class: message` and perhaps a traceback in further lines.
///
/// Sent, it is cut to [`CALL_ERROR_MAX`] characters; received, lone surrogates have become U+FFFD.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CallError(pub String);

impl Serialize for CallError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(CALL_ERROR, self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for CallError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::CallError(text) => Ok(Self(text)),
            other => Err(D::Error::invalid_type(other.unexpected(), &"a call error")),
        }
    }
}

/// A context as data: which one, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Its number.
    pub id: ContextId,
    /// Its name, at most 500 characters, if the sender knew it.
    pub name: Option<String>,
}

impl Serialize for Context {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(CONTEXT, &(self.id, self.name.as_deref()))
    }
}

impl<'de> Deserialize<'de> for Context {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Context { id, name } => Ok(Self { id, name }),
            other => Err(D::Error::invalid_type(other.unexpected(), &"a context")),
        }
    }
}

/// A sender as data: the port that what is sent should reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The receiving context.
    pub context: ContextId,
    /// The handle there; never 0.
    pub handle: Handle,
}

impl Serialize for Sender {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(SENDER, &(self.context, self.handle))
    }
}

impl<'de> Deserialize<'de> for Sender {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Sender { context, handle } => Ok(Self { context, handle }),
            other => Err(D::Error::invalid_type(other.unexpected(), &"a sender")),
        }
    }
}
