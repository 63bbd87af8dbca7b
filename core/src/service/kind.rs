//! The types of arguments, which a service checks before it calls a method.

use crate::pickle::Value;

/// The type that an argument must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Any type.
    Any,
    /// Text.
    Text,
    /// Bytes, or a blob.
    Bytes,
    /// A whole number.
    Int,
    /// A context.
    Context,
    /// A sender.
    Sender,
}

/// The type of a value, as errors name it.
pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::None => "None",
        Value::Bool(_) => "bool",
        Value::Int(_) | Value::Big(_) => "int",
        Value::Float(_) => "float",
        Value::Text(_) | Value::Surrogates(_) => "str",
        Value::Bytes(_) => "bytes",
        Value::List(_) => "list",
        Value::Tuple(_) => "tuple",
        Value::Dict(_) => "dict",
        Value::Blob(_) => "Blob",
        Value::Secret(_) => "Secret",
        Value::Kwargs(_) => "Kwargs",
        Value::CallError(_) => "CallError",
        Value::Context { .. } => "Context",
        Value::Sender { .. } => "Sender",
    }
}

impl Kind {
    /// Whether `value` is of this type. Python 2 sends ASCII text as bytes.
    pub(super) fn takes(self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Text => value.as_str().is_some(),
            Self::Bytes => value.as_bytes().is_some(),
            Self::Int => matches!(value, Value::Int(_) | Value::Bool(_)),
            Self::Context => matches!(value, Value::Context { .. }),
            Self::Sender => matches!(value, Value::Sender { .. }),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Any => "anything",
            Self::Text => "str",
            Self::Bytes => "bytes",
            Self::Int => "int",
            Self::Context => "Context",
            Self::Sender => "Sender",
        }
    }
}
