//! Conversion between JSON, which people type and programs read, and the values of Python functions.
//!
//! JSON becomes the Python value that Python's own `json` module would make of it; integers beyond 64 bits
//! arrive as floats, because the command line's JSON parser reads them so. A Python value becomes JSON like
//! this: tuples are arrays; bytes are a string if they are UTF-8, else `{"base64": "..."}`; integers beyond
//! 64 bits are decimal strings; floats without a JSON form are `{"float": "nan"}`, `"inf"` and `"-inf"`; dictionary
//! keys that are not strings are written as JSON; a context or sender is an object with its numbers. Secrets
//! are masked.

use mitogen::Value;
use serde_json::{Map, Number, Value as Json, json};

/// Printed in place of a secret.
const MASK: &str = "********";

/// The argument of a Python function for this JSON.
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::None,
        Json::Bool(yes) => Value::Bool(*yes),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::List(items.iter().map(from_json).collect()),
        Json::Object(fields) => {
            fields.iter().map(|(name, value)| (name.as_str(), from_json(value))).collect()
        }
    }
}

/// The JSON that is printed for a value that a Python function returned.
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::None => Json::Null,
        Value::Bool(yes) => Json::from(*yes),
        Value::Int(number) => Json::from(*number),
        // Many JSON parsers lose digits of integers beyond 64 bits, so these are strings.
        Value::Big(number) => match number.to_u128().and_then(|number| u64::try_from(number).ok()) {
            Some(number) => Json::from(number),
            None => Json::from(number.to_string()),
        },
        Value::Float(number) => match Number::from_f64(*number) {
            Some(number) => Json::Number(number),
            // A bare string could not be told from a string that the function returned.
            None if number.is_nan() => json!({"float": "nan"}),
            None => json!({"float": if *number > 0.0 { "inf" } else { "-inf" }}),
        },
        Value::Text(text) => Json::from(text.as_str()),
        Value::Surrogates(text) => match text.to_fs_bytes() {
            Some(bytes) => bytes_to_json(&bytes),
            None => Json::from(text.to_string_lossy()),
        },
        Value::Bytes(bytes) | Value::Blob(bytes) => bytes_to_json(bytes),
        Value::List(items) | Value::Tuple(items) => items.iter().map(to_json).collect(),
        Value::Dict(entries) | Value::Kwargs(entries) => {
            let field = |(key, value): &(Value, Value)| (key_text(key), to_json(value));
            Json::Object(entries.iter().map(field).collect::<Map<_, _>>())
        }
        Value::Secret(_) => Json::from(MASK),
        Value::CallError(text) => Json::from(text.as_str()),
        Value::Context { id, name } => json!({"context": id.0, "name": name}),
        Value::Sender { context, handle } => json!({"context": context.0, "handle": handle.0}),
        other => Json::from(format!("{other:?}")),
    }
}

fn key_text(key: &Value) -> String {
    match to_json(key) {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

fn bytes_to_json(bytes: &[u8]) -> Json {
    match std::str::from_utf8(bytes) {
        Ok(text) => Json::from(text),
        Err(_) => json!({"base64": base64(bytes)}),
    }
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The bytes in base64 (RFC 4648, the standard alphabet).
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4_usize {
            let six = (bits >> (18 - 6 * place)) as usize & 63;
            text.push(if place <= chunk.len() { char::from(LETTERS[six]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_matches_the_test_vectors_of_rfc_4648() {
        let table: [(&[u8], &str); 8] = [
            (b"", ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
            (b"fooba", "Zm9vYmE="),
            (b"foobar", "Zm9vYmFy"),
            (b"\xff\xfe\xfd", "//79"),
        ];
        for (bytes, text) in table {
            assert_eq!(base64(bytes), text);
        }
    }

    #[test]
    fn values_become_json() {
        let big = Value::from(1u128 << 100);
        let table = [
            (Value::None, json!(null)),
            (Value::from(u64::MAX), json!(u64::MAX)),
            (big, json!("1267650600228229401496703205376")),
            (Value::from(-(1i128 << 64)), json!("-18446744073709551616")),
            (Value::Float(1.5), json!(1.5)),
            (Value::Float(f64::NEG_INFINITY), json!({"float": "-inf"})),
            (Value::Float(f64::INFINITY), json!({"float": "inf"})),
            (Value::List(vec![Value::Float(f64::NAN), Value::from("nan")]), json!([{"float": "nan"}, "nan"])),
            (Value::Float(f64::NAN), json!({"float": "nan"})),
            (Value::from(&b"caf\xc3\xa9"[..]), json!("café")),
            (Value::from(&b"\xff"[..]), json!({"base64": "/w=="})),
            (Value::Tuple(vec![Value::Int(1), Value::List(vec![])]), json!([1, []])),
            (
                Value::Dict(vec![
                    (Value::Int(1), Value::Bool(true)),
                    (Value::None, Value::from("x")),
                    (Value::Tuple(vec![Value::Int(1), Value::from("a")]), Value::Int(2)),
                ]),
                json!({"1": true, "null": "x", "[1,\"a\"]": 2}),
            ),
            (Value::Secret(mitogen::pickle::Secret::new("hunter2")), json!("********")),
        ];
        for (value, expected) in table {
            assert_eq!(to_json(&value), expected, "{value:?}");
        }
    }

    #[test]
    fn json_survives_a_round_trip() {
        let json = json!({"a": [1, -2, u64::MAX, 0.5, null, true, "é"], "b": {"c": {}}});
        assert_eq!(to_json(&from_json(&json)), json);
    }
}
