//! Where the workspace is.

use std::path::{Path, PathBuf};

/// What a task gives; the error is a text for the person at the terminal.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// The top of the workspace.
pub(crate) fn root() -> PathBuf {
    // Cargo sets it for the program it runs; the fallback is the place of compilation.
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let manifest = PathBuf::from(manifest);
    manifest.parent().map_or(manifest.clone(), Path::to_path_buf)
}
