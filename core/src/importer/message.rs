//! The payloads of `LOAD_MODULE` (docs/protocol.md#module-payload) and `LOAD_RESOURCE` (docs/protocol.md#resources).

use bytes::{BufMut, Bytes, BytesMut};

use crate::pickle::{self, Value};

/// The payload of `LOAD_MODULE` for a module: `submodules` for a package the names directly in it,
/// `deflated` its UTF-8 source as a zlib stream, `related` the full names that it needs.
pub fn payload(
    name: &str,
    submodules: Option<&[String]>,
    path: &str,
    deflated: Bytes,
    related: &[String],
) -> Bytes {
    let texts = |names: &[String]| Value::List(names.iter().map(|name| Value::from(name.as_str())).collect());
    encode(vec![
        Value::from(name),
        submodules.map_or(Value::None, texts),
        Value::from(path),
        Value::Blob(deflated),
        texts(related),
    ])
}

/// The payload of `LOAD_MODULE` for a module that does not exist. This project's runtime shows `reason`;
/// upstream Mitogen ignores it.
pub fn negative_payload(name: &str, reason: Option<&str>) -> Bytes {
    let reason = reason.map_or(Value::None, Value::from);
    encode(vec![Value::from(name), Value::None, Value::None, reason, Value::Tuple(Vec::new())])
}

/// The payload of `LOAD_RESOURCE`: two pickles, the request that it answers and the content.
pub fn resource_payload(package: &str, name: &str, content: Option<Bytes>) -> Bytes {
    let mut out = BytesMut::new();
    out.put(encode(vec![Value::from(package), Value::from(name)]));
    let content = content.map_or(Value::None, Value::Bytes);
    out.put(pickle::to_bytes(&content).unwrap_or_default());
    out.freeze()
}

fn encode(fields: Vec<Value>) -> Bytes {
    // Plain data within every limit of the encoder. If it were refused, the child would report a message
    // that it cannot read.
    pickle::to_bytes(&Value::Tuple(fields)).unwrap_or_default()
}
