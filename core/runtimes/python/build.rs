//! Minifies, joins and deflates the core of the Python runtime, which every child is sent.
//!
//! This is done when the crate is built and not at run time, because the compressor that makes the
//! smallest stream takes a second.

use std::path::Path;
use std::{env, fs, io};

#[path = "src/sources.rs"]
mod sources;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=python/core");
    println!("cargo::rerun-if-changed=src/sources.rs");
    let text = [minify(sources::EAGER)?, minify(sources::LAZY)?].join(sources::SEPARATOR);
    let mut deflated = Vec::new();
    zopfli::compress(zopfli::Options::default(), zopfli::Format::Deflate, text.as_bytes(), &mut deflated)?;
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo has set no OUT_DIR"))?;
    fs::write(Path::new(&out).join("runtime.deflate"), deflated)
}

fn minify(files: &[(&str, &str)]) -> io::Result<String> {
    mitogen_minify::compact(&sources::join(files)).map_err(io::Error::other)
}
