//! The runtime as it is sent; `build.rs` has joined, shrunk and deflated it.

use bytes::{Bytes, BytesMut};

use super::config::ChildConfig;

/// The runtime as it is sent: raw deflate of the shrunk source.
pub fn runtime() -> &'static Bytes {
    static RUNTIME: Bytes = Bytes::from_static(include_bytes!(concat!(env!("OUT_DIR"), "/runtime.deflate")));
    &RUNTIME
}

/// The size in bytes of [`runtime`], which the first stage is told.
pub fn runtime_size() -> usize {
    runtime().len()
}

/// What is written to a child's standard input, in one piece, ahead of its first frame: the
/// runtime, then the length (32 bits, big-endian) and the pickle of `config`.
pub fn preamble(config: &ChildConfig) -> Bytes {
    let config = config.to_pickle();
    let length = u32::try_from(config.len()).expect("a configuration is far below 4 GiB");
    let mut out = BytesMut::with_capacity(runtime().len() + 4 + config.len());
    out.extend_from_slice(runtime());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&config);
    out.freeze()
}
