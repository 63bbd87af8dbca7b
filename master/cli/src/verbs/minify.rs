//! `mitogen minify`: a Python source as children get it. Connects nothing.

use std::io::{self, Read, Write};
use std::path::Path;

use thiserror::Error;

/// Why a source could not be minimized; all of it is the user's to mend.
#[derive(Debug, Error)]
pub enum MinifyError {
    /// The file cannot be read.
    #[error("{file}")]
    Unreadable {
        /// As the user named it.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The source is no Python.
    #[error("{file}:{}:{}: {}", error.line, error.column, error.fault)]
    Refused {
        /// As the user named it.
        file: String,
        /// What is wrong, and where.
        error: mitogen_minify::Error,
    },
}

/// Prints what remains of `file`, or of `input` when it is `-`.
///
/// # Errors
/// [`MinifyError`], and those of our own output.
pub fn minify(file: &Path, input: &mut dyn Read, out: &mut dyn Write) -> anyhow::Result<()> {
    let is_input = file.as_os_str() == "-";
    let name = || if is_input { "<stdin>".to_owned() } else { file.display().to_string() };
    let mut source = Vec::new();
    let read = if is_input {
        input.read_to_end(&mut source).map(drop)
    } else {
        std::fs::read(file).map(|bytes| source = bytes)
    };
    read.map_err(|source| MinifyError::Unreadable { file: name(), source })?;
    let minimized = mitogen_minify::minimize_source(&source);
    out.write_all(&minimized.map_err(|error| MinifyError::Refused { file: name(), error })?)?;
    Ok(())
}
