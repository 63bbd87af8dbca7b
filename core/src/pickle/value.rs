//! [`Value`]: any payload, for callers that do not know its type.

use bytes::Bytes;
use serde::de::Unexpected;

use super::big::BigInt;
use super::objects::{Binary, Blob, CallErrorText, ContextRef, SenderRef};
use super::text::SurrogateText;
use crate::ids::{ContextId, Handle};
use crate::secret::Secret;

/// The content of a pickle.
///
/// Equality compares the parts: tuples differ from lists, `1` from `1.0`, NaN from itself, and dicts with
/// different orders differ.
///
/// ```
/// use mitogen_core::pickle::{Value, decode, to_bytes};
///
/// let value: Value = [("name", Value::from("web1")), ("port", Value::from(22))].into_iter().collect();
/// let received = decode(&to_bytes(&value)?)?;
/// assert_eq!(received.get("port").and_then(Value::as_i64), Some(22));
/// # Ok::<(), mitogen_core::pickle::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `None`.
    #[default]
    None,
    /// A boolean.
    Bool(bool),
    /// An integer of up to 64 bits.
    Int(i64),
    /// An integer beyond 64 bits.
    Big(BigInt),
    /// A float.
    Float(f64),
    /// Text.
    Text(String),
    /// Text with lone surrogates, which is not valid in a `String`.
    Surrogates(SurrogateText),
    /// A byte string. It may share the memory of its message.
    Bytes(Bytes),
    /// A list.
    List(Vec<Value>),
    /// A tuple.
    Tuple(Vec<Value>),
    /// A dict in the sender's order. A sender may repeat keys; [`Value::get`] returns the last.
    Dict(Vec<(Value, Value)>),
    /// A `mitogen.core.Blob`.
    Blob(Bytes),
    /// A `mitogen.core.Secret`.
    Secret(Secret),
    /// A `mitogen.core.Kwargs`: keyword arguments.
    Kwargs(Vec<(Value, Value)>),
    /// A `mitogen.core.CallError`: the reply of a failed call, as text.
    CallError(String),
    /// A `mitogen.core.Context`.
    Context {
        /// The context's id.
        id: ContextId,
        /// The context's name, if the sender knew it.
        name: Option<String>,
    },
    /// A `mitogen.core.Sender`.
    Sender {
        /// The receiving context.
        context: ContextId,
        /// The handle in that context.
        handle: Handle,
    },
}

impl Value {
    /// Whether this is `None`.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// The integer, if it is one and fits in 64 bits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(*n),
            _ => None,
        }
    }

    /// The number, if it is a float or an integer of up to 64 bits. Large integers are rounded.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Float(x) => Some(*x),
            Self::Int(n) => Some(*n as f64),
            _ => None,
        }
    }

    /// The text, if it is text or a UTF-8 byte string (the text of Python 2 peers).
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The byte string, if it is one or a blob.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Bytes(bytes) | Self::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The members of a list or tuple.
    pub fn as_seq(&self) -> Option<&[Value]> {
        match self {
            Self::List(items) | Self::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a dict or of keyword arguments.
    pub fn as_dict(&self) -> Option<&[(Value, Value)]> {
        match self {
            Self::Dict(entries) | Self::Kwargs(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of the dict entry with the text (or UTF-8 byte string) `key`. The search is linear.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_dict()?.iter().rev().find(|(k, _)| k.as_str() == Some(key)).map(|(_, v)| v)
    }

    /// The description of this value in serde's error messages.
    pub(super) fn unexpected(&self) -> Unexpected<'_> {
        match self {
            Self::None => Unexpected::Unit,
            Self::Bool(b) => Unexpected::Bool(*b),
            Self::Int(n) => Unexpected::Signed(*n),
            Self::Big(_) => Unexpected::Other("big integer"),
            Self::Float(x) => Unexpected::Float(*x),
            Self::Text(text) => Unexpected::Str(text),
            Self::Surrogates(_) => Unexpected::Other("text with lone surrogates"),
            Self::Bytes(_) | Self::Blob(_) => Unexpected::Other("byte string"),
            Self::List(_) => Unexpected::Seq,
            Self::Tuple(_) => Unexpected::Other("tuple"),
            Self::Dict(_) | Self::Kwargs(_) => Unexpected::Map,
            Self::Secret(_) => Unexpected::Other("secret"),
            Self::CallError(_) => Unexpected::Other("call error"),
            Self::Context { .. } => Unexpected::Other("context"),
            Self::Sender { .. } => Unexpected::Other("sender"),
        }
    }
}

macro_rules! from {
    ($($source:ty => $variant:ident),* $(,)?) => {$(
        impl From<$source> for Value {
            fn from(it: $source) -> Self {
                Self::$variant(it.into())
            }
        }
    )*};
}

from! {
    bool => Bool,
    i8 => Int,
    i16 => Int,
    i32 => Int,
    i64 => Int,
    u8 => Int,
    u16 => Int,
    u32 => Int,
    f32 => Float,
    f64 => Float,
    &str => Text,
    String => Text,
    SurrogateText => Surrogates,
    Vec<u8> => Bytes,
    Bytes => Bytes,
    Secret => Secret,
}

impl From<BigInt> for Value {
    /// Numbers that fit in 64 bits become `Int`, as in decoding.
    fn from(n: BigInt) -> Self {
        n.to_i64().map_or_else(|| Self::Big(n), Self::Int)
    }
}

impl From<u64> for Value {
    fn from(n: u64) -> Self {
        i128::from(n).into()
    }
}

impl From<i128> for Value {
    fn from(n: i128) -> Self {
        i64::try_from(n).map_or_else(|_| Self::Big(n.into()), Self::Int)
    }
}

impl From<u128> for Value {
    fn from(n: u128) -> Self {
        BigInt::from(n).into()
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(Bytes::copy_from_slice(bytes))
    }
}

impl From<()> for Value {
    fn from((): ()) -> Self {
        Self::None
    }
}

impl From<CallErrorText> for Value {
    fn from(error: CallErrorText) -> Self {
        Self::CallError(error.0)
    }
}

impl From<ContextRef> for Value {
    fn from(ContextRef { id, name }: ContextRef) -> Self {
        Self::Context { id, name }
    }
}

impl From<SenderRef> for Value {
    fn from(SenderRef { context, handle }: SenderRef) -> Self {
        Self::Sender { context, handle }
    }
}

impl From<Binary> for Value {
    fn from(bytes: Binary) -> Self {
        Self::Bytes(bytes.0)
    }
}

impl From<Blob> for Value {
    fn from(bytes: Blob) -> Self {
        Self::Blob(bytes.0)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::List(items)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(it: Option<T>) -> Self {
        it.map_or(Self::None, Into::into)
    }
}

impl<K: Into<Value>, V: Into<Value>> FromIterator<(K, V)> for Value {
    /// A dict.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self::Dict(entries.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}
