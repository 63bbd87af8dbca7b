//! Joins, shrinks and deflates the runtime, once per process.

use std::io::Write;
use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::compact::compact;
use super::config::ChildConfig;
use super::parts::{BOOT, CUT, REST, join};

/// The runtime as it is sent: raw deflate of the shrunk source.
pub fn runtime() -> &'static Bytes {
    static RUNTIME: OnceLock<Bytes> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let text = [compact(&join(BOOT)), compact(&join(REST))].join(CUT);
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text.as_bytes()).expect("a Vec takes every byte");
        encoder.finish().expect("a Vec takes every byte").into()
    })
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
