//! Serde implementations of [`Value`], and of the types that are deserialized through it. This codec preserves
//! the kind of a value; other formats preserve its content.

use std::cell::Cell;
use std::fmt;

use serde::de::value::UnitDeserializer;
use serde::de::{Deserialize, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeTuple, Serializer};

use super::big::BigInt;
use super::error::Error;
use super::names::{BLOB, ByteSlice, CALL_ERROR, CONTEXT, KWARGS, SENDER, VALUE};
use super::objects::{Binary, Blob, CallErrorText, ContextRef, SenderRef};
use super::value::Value;

/// Serializes as a map.
struct Entries<'a>(&'a [(Value, Value)]);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(k, v)| (k, v)))
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_unit(),
            Self::Bool(it) => serializer.serialize_bool(*it),
            Self::Int(it) => serializer.serialize_i64(*it),
            Self::Big(it) => it.serialize(serializer),
            Self::Float(it) => serializer.serialize_f64(*it),
            Self::Text(it) => serializer.serialize_str(it),
            Self::Surrogates(it) => it.serialize(serializer),
            Self::Bytes(it) => serializer.serialize_bytes(it),
            Self::List(items) => serializer.collect_seq(items),
            Self::Tuple(items) => {
                let mut tuple = serializer.serialize_tuple(items.len())?;
                for item in items {
                    tuple.serialize_element(item)?;
                }
                tuple.end()
            }
            Self::Dict(entries) => Entries(entries).serialize(serializer),
            Self::Blob(it) => serializer.serialize_newtype_struct(BLOB, &ByteSlice(it)),
            Self::Secret(it) => it.serialize(serializer),
            Self::Kwargs(entries) => serializer.serialize_newtype_struct(KWARGS, &Entries(entries)),
            Self::CallError(text) => serializer.serialize_newtype_struct(CALL_ERROR, text),
            Self::Context { id, name } => serializer.serialize_newtype_struct(CONTEXT, &(id, name)),
            Self::Sender { context, handle } => {
                serializer.serialize_newtype_struct(SENDER, &(context, handle))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(VALUE, ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("plain data")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match take_value() {
            Some(value) => Ok(value),
            None => deserializer.deserialize_any(self),
        }
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        Ok(Value::None)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Value, E> {
        Ok(Value::None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E: serde::de::Error>(self, it: bool) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_i64<E: serde::de::Error>(self, it: i64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_u64<E: serde::de::Error>(self, it: u64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_i128<E: serde::de::Error>(self, it: i128) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_u128<E: serde::de::Error>(self, it: u128) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_f64<E: serde::de::Error>(self, it: f64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_str<E: serde::de::Error>(self, it: &str) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_string<E: serde::de::Error>(self, it: String) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_bytes<E: serde::de::Error>(self, it: &[u8]) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_byte_buf<E: serde::de::Error>(self, it: Vec<u8>) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Dict(entries))
    }
}

// Serde's visitors have no methods for tuples, blobs or shared bytes: a value that is visited part by part would
// lose its kinds and copy its bytes. So this codec's deserializer passes a whole `Value` to `Value`'s own
// `Deserialize` through this slot. It is a parameter, not state: it is filled right before the call that empties
// it, and cleared when that call returns.
thread_local! {
    static SLOT: Cell<Option<Value>> = const { Cell::new(None) };
}

/// Passes `value` to `visitor`, which is `Value`'s unless another type uses the same name.
pub(super) fn pass_value<'de, V: Visitor<'de>>(value: Value, visitor: V) -> Result<V::Value, Error> {
    SLOT.set(Some(value));
    let unit: UnitDeserializer<Error> = ().into_deserializer();
    let result = visitor.visit_newtype_struct(unit);
    SLOT.take();
    result
}

/// Takes the value that is being passed, if this codec's deserializer is the caller.
fn take_value() -> Option<Value> {
    SLOT.take()
}

impl<'de> Deserialize<'de> for BigInt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Int(n) => Ok(Self::from(n)),
            Value::Big(n) => Ok(n),
            other => Err(D::Error::invalid_type(other.unexpected(), &"an integer")),
        }
    }
}

macro_rules! deserialize_byte_string {
    ($name:ident) => {
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

deserialize_byte_string!(Binary);
deserialize_byte_string!(Blob);

impl<'de> Deserialize<'de> for CallErrorText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::CallError(text) => Ok(Self(text)),
            other => Err(D::Error::invalid_type(other.unexpected(), &"a call error")),
        }
    }
}

impl<'de> Deserialize<'de> for ContextRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Context { id, name } => Ok(Self { id, name }),
            other => Err(D::Error::invalid_type(other.unexpected(), &"a context")),
        }
    }
}

impl<'de> Deserialize<'de> for SenderRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Sender { context, handle } => Ok(Self { context, handle }),
            other => Err(D::Error::invalid_type(other.unexpected(), &"a sender")),
        }
    }
}
