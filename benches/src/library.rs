//! The sources of an interpreter's standard library, to measure the minifier on.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

/// Reads all sources of the standard library of `python`, without its tests and without installed packages.
///
/// # Errors
/// The interpreter does not start, or a file cannot be read.
pub fn sources(python: &Path) -> io::Result<Vec<Vec<u8>>> {
    const QUESTION: &str = "import os, sys; sys.stdout.write(os.path.dirname(os.__file__))";
    let output = Command::new(python).args(["-c", QUESTION]).output()?;
    let root = String::from_utf8(output.stdout).map_err(io::Error::other)?;
    if !output.status.success() || root.is_empty() {
        return Err(io::Error::other(format!("{}: {}", python.display(), output.status)));
    }
    let mut sources = Vec::new();
    let mut todo = vec![PathBuf::from(root)];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() && !is_left_out(&entry.file_name()) {
                todo.push(path);
            } else if kind.is_file() && path.extension() == Some(OsStr::new("py")) {
                sources.push(fs::read(path)?);
            }
        }
    }
    Ok(sources)
}

fn is_left_out(name: &OsStr) -> bool {
    let names = ["test", "tests", "idle_test", "site-packages", "dist-packages"];
    names.into_iter().any(|left_out| name == left_out)
}
