//! The core of the runtime: minified, joined and deflated by `build.rs`; and the preamble of a child.

use bytes::{BufMut, Bytes, BytesMut};
use mitogen_core::runtime::{Blob, ChildConfig};

use crate::config;

/// The core, a raw deflate stream of the minified source. It is the same for every child.
pub fn runtime() -> &'static Blob {
    static RUNTIME: std::sync::LazyLock<Blob> = std::sync::LazyLock::new(|| {
        Blob::new(Bytes::from_static(include_bytes!(concat!(env!("OUT_DIR"), "/runtime.deflate"))))
    });
    &RUNTIME
}

/// The size in bytes of [`runtime`], which is an argument of the first stage.
pub fn runtime_size() -> usize {
    runtime().data().len()
}

/// The child's own part of the preamble: the length (32 bits, big-endian) and the pickle of `config`.
pub(crate) fn tail(config: &ChildConfig) -> Bytes {
    let config = config::to_pickle(config);
    let length = u32::try_from(config.len()).expect("a configuration is far below 4 GiB");
    let mut out = BytesMut::with_capacity(4 + config.len());
    out.put_u32(length);
    out.put_slice(&config);
    out.freeze()
}
