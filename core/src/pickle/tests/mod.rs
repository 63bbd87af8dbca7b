//! Tests of the codec, and their helpers.

mod decode;
mod encode;
mod hostile;
mod typed;

use bytes::Bytes;

use super::{SurrogateText, Value};

/// The bytes that hex digits in `text` stand for; whatever is in quotes stands for itself.
fn hex(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for (n, part) in text.split('"').enumerate() {
        if n % 2 == 1 {
            out.extend_from_slice(part.replace("\\n", "\n").as_bytes());
            continue;
        }
        let digits: Vec<u32> = part.chars().filter_map(|c| c.to_digit(16)).collect();
        out.extend(digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8));
    }
    out
}

fn text(it: &str) -> Value {
    Value::Text(it.into())
}

fn bytes(it: &[u8]) -> Value {
    Value::Bytes(Bytes::copy_from_slice(it))
}

fn tuple<const N: usize>(items: [Value; N]) -> Value {
    Value::Tuple(items.into())
}

fn list<const N: usize>(items: [Value; N]) -> Value {
    Value::List(items.into())
}

fn dict<const N: usize>(entries: [(Value, Value); N]) -> Value {
    Value::Dict(entries.into())
}

fn surrogates(it: &[u8]) -> Value {
    Value::Surrogates(SurrogateText::new(it.to_vec()).unwrap())
}
