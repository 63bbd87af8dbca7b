//! Carries a whole [`Value`] through serde from our deserializer to `Value`'s own `Deserialize`.
//!
//! serde's visitors know no tuples, blobs or shared bytes, so a value taken apart by them would lose its
//! kinds and copy its bytes. The slot is a parameter, not state: it is filled right before the call
//! that empties it, and cleared when that call returns.

use std::cell::Cell;

use serde::de::value::UnitDeserializer;
use serde::de::{IntoDeserializer, Visitor};

use super::{Error, Value};

thread_local! {
    static SLOT: Cell<Option<Value>> = const { Cell::new(None) };
}

/// Gives `value` to `visitor`, which is that of `Value` unless someone borrowed our name.
pub(super) fn give<'de, V: Visitor<'de>>(value: Value, visitor: V) -> Result<V::Value, Error> {
    SLOT.set(Some(value));
    let unit: UnitDeserializer<Error> = ().into_deserializer();
    let result = visitor.visit_newtype_struct(unit);
    SLOT.take();
    result
}

/// The value that is being given, if our deserializer is the caller.
pub(super) fn take() -> Option<Value> {
    SLOT.take()
}
