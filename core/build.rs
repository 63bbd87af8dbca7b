//! Shrinks, joins and deflates the Python runtime, which every child is sent.
//!
//! Here and not at run time, because the compressor that makes the smallest stream takes a second.

use std::path::Path;
use std::{env, fs, io};

#[path = "src/child/compact.rs"]
#[expect(unreachable_pub, reason = "the crate that it is part of gives it to others")]
mod compact;
#[path = "src/child/parts.rs"]
mod parts;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=python/core");
    println!("cargo::rerun-if-changed=src/child/compact.rs");
    println!("cargo::rerun-if-changed=src/child/parts.rs");
    let text = [compact::compact(&parts::join(parts::BOOT)), compact::compact(&parts::join(parts::REST))]
        .join(parts::CUT);
    let mut deflated = Vec::new();
    zopfli::compress(zopfli::Options::default(), zopfli::Format::Deflate, text.as_bytes(), &mut deflated)?;
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo has set no OUT_DIR"))?;
    fs::write(Path::new(&out).join("runtime.deflate"), deflated)
}
