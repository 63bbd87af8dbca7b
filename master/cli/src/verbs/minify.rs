//! `mitogen minify`: a Python source as children get it. Connects nothing.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

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
    /// A directory, and no place for what becomes of it.
    #[error("{file} is a directory: say with --into where its minified sources go")]
    NoPlace {
        /// As the user named it.
        file: String,
    },
    /// The results would take the place of the sources.
    #[error("{file}: the sources are there; choose another directory for --into")]
    SamePlace {
        /// As the user named it.
        file: String,
    },
    /// A result cannot be written.
    #[error("cannot write {file}")]
    Unwritable {
        /// Where.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// Some sources are no Python; all others are done.
    #[error("{}; all others are done", refused.join("\n"))]
    SomeRefused {
        /// What is wrong with each.
        refused: Vec<String>,
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
    if !is_input && file.is_dir() {
        return Err(MinifyError::NoPlace { file: name() }.into());
    }
    let mut source = Vec::new();
    let read = if is_input {
        input.read_to_end(&mut source).map(drop)
    } else {
        fs::read(file).map(|bytes| source = bytes)
    };
    read.map_err(|source| MinifyError::Unreadable { file: name(), source })?;
    let minimized = mitogen_minify::minimize_source(&source);
    out.write_all(&minimized.map_err(|error| MinifyError::Refused { file: name(), error })?)?;
    Ok(())
}

/// Sources that are in memory at once.
const BATCH: usize = 512;

/// Minifies every `.py` below `directory` into the same places below `into`, on all processors.
///
/// # Errors
/// [`MinifyError`]. A source that is refused is left out, and the others are done.
pub fn minify_below(directory: &Path, into: &Path) -> Result<(), MinifyError> {
    let shown = |path: &Path| path.display().to_string();
    let unreadable = |path: &Path, source| MinifyError::Unreadable { file: shown(path), source };
    let unwritable = |path: &Path, source| MinifyError::Unwritable { file: shown(path), source };
    let from = fs::canonicalize(directory).map_err(|error| unreadable(directory, error))?;
    if fs::canonicalize(into).is_ok_and(|into| into == from) {
        return Err(MinifyError::SamePlace { file: shown(into) });
    }
    let mut refused = Vec::new();
    for paths in sources_below(directory, into)?.chunks(BATCH) {
        let sources = paths
            .iter()
            .map(|path| {
                fs::read(directory.join(path)).map_err(|error| unreadable(&directory.join(path), error))
            })
            .collect::<Result<Vec<_>, _>>()?;
        for (path, minimized) in paths.iter().zip(mitogen_minify::minimize_all(&sources)) {
            let place = into.join(path);
            match minimized {
                Err(error) => {
                    refused
                        .push(MinifyError::Refused { file: shown(&directory.join(path)), error }.to_string());
                }
                Ok(minimized) => {
                    let above = place.parent().unwrap_or(into);
                    fs::create_dir_all(above).map_err(|error| unwritable(above, error))?;
                    fs::write(&place, minimized).map_err(|error| unwritable(&place, error))?;
                }
            }
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(MinifyError::SomeRefused { refused }) }
}

/// The Python sources below `directory`, in order, by their paths from there, without those below `into`:
/// they are results of before. Links to directories are not followed.
fn sources_below(directory: &Path, into: &Path) -> Result<Vec<PathBuf>, MinifyError> {
    // Where there is none yet, nothing is below it.
    let into = fs::canonicalize(into).ok();
    let mut found = Vec::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(at) = todo.pop() {
        let place = directory.join(&at);
        let unreadable = |source| MinifyError::Unreadable { file: place.display().to_string(), source };
        for entry in fs::read_dir(&place).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let path = at.join(entry.file_name());
            if entry.file_type().map_err(unreadable)?.is_dir() {
                if into.is_none() || fs::canonicalize(entry.path()).ok() != into {
                    todo.push(path);
                }
            } else if path.extension() == Some(OsStr::new("py")) && entry.path().is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
