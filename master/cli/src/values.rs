//! Between JSON, which people type and programs read, and what Python functions take and give.
//!
//! To Python, JSON is what Python's own `json` makes of it; whole numbers beyond 64 bits are floats
//! there already when they come from the command line. From Python: tuples are arrays; bytes are
//! text if they are UTF-8, else `{"base64": "..."}`; whole numbers beyond 64 bits are decimal text;
//! the floats that JSON has no words for are the texts `nan`, `inf` and `-inf`; keys that are no
//! text are written as JSON; a context or sender is an object of its numbers. Secrets are masked.

use mitogen::Value;
use serde_json::{Map, Number, Value as Json, json};

use crate::output::base64;

/// What stands for a secret.
const MASK: &str = "********";

/// What a function is given for this JSON.
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

/// The JSON that is printed for what a function gave.
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::None => Json::Null,
        Value::Bool(yes) => Json::from(*yes),
        Value::Int(number) => Json::from(*number),
        // JSON's readers lose digits of what 64 bits do not hold, so those numbers are text.
        Value::Big(number) => match number.to_u128().and_then(|number| u64::try_from(number).ok()) {
            Some(number) => Json::from(number),
            None => Json::from(number.to_string()),
        },
        Value::Float(number) => match Number::from_f64(*number) {
            Some(number) => Json::Number(number),
            None if number.is_nan() => Json::from("nan"),
            None => Json::from(if *number > 0.0 { "inf" } else { "-inf" }),
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
        Err(_) => json!({"base64": base64::encode(bytes)}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_json() {
        let big = Value::from(1u128 << 100);
        let table = [
            (Value::None, json!(null)),
            (Value::from(u64::MAX), json!(u64::MAX)),
            (big, json!("1267650600228229401496703205376")),
            (Value::from(-(1i128 << 64)), json!("-18446744073709551616")),
            (Value::Float(1.5), json!(1.5)),
            (Value::Float(f64::NEG_INFINITY), json!("-inf")),
            (Value::Float(f64::NAN), json!("nan")),
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
    fn json_comes_back_as_it_went() {
        let json = json!({"a": [1, -2, u64::MAX, 0.5, null, true, "é"], "b": {"c": {}}});
        assert_eq!(to_json(&from_json(&json)), json);
    }
}
