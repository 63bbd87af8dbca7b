//! `mitogen minify`: Python source as it is sent to children. Connects nothing.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::cli::MinifyArgs;

/// Why a source cannot be minified. All of these are usage errors.
#[derive(Debug, Error)]
pub enum MinifyError {
    /// The file cannot be read.
    #[error("{file}")]
    Unreadable {
        /// The path as given.
        file: String,
        /// The error of the system.
        source: io::Error,
    },
    /// A directory without `--into`.
    #[error("{file} is a directory: give a directory for the results with --into")]
    NoDestination {
        /// The path as given.
        file: String,
    },
    /// The results would overwrite the sources.
    #[error("{file} contains the sources; choose another directory for --into")]
    SameDirectory {
        /// The path as given.
        file: String,
    },
    /// A result cannot be written.
    #[error("cannot write {file}")]
    Unwritable {
        /// Its path.
        file: String,
        /// The error of the system.
        source: io::Error,
    },
    /// Some sources are not valid Python. The others were written.
    #[error("{}\nall other files were written", refused.join("\n"))]
    SomeRefused {
        /// The error of each.
        refused: Vec<String>,
    },
    /// The source is not valid Python.
    #[error("{file}:{}:{}: {}", error.line, error.column, error.fault)]
    Refused {
        /// The path as given.
        file: String,
        /// The error and its position.
        error: mitogen_minify::Error,
    },
}

/// Minifies a file to `out`, or a directory into another.
///
/// # Errors
/// [`MinifyError`], and errors of `out`.
pub fn minify(args: &MinifyArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    match &args.into {
        Some(into) => Ok(minify_directory(&args.file, into)?),
        None => minify_file(&args.file, &mut io::stdin().lock(), out),
    }
}

/// Prints the minified `file`, or the minified `input` if it is `-`.
fn minify_file(file: &Path, input: &mut dyn Read, out: &mut dyn Write) -> anyhow::Result<()> {
    let is_input = file.as_os_str() == "-";
    let name = || if is_input { "<stdin>".to_owned() } else { file.display().to_string() };
    if !is_input && file.is_dir() {
        return Err(MinifyError::NoDestination { file: name() }.into());
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

/// The number of sources that are in memory at the same time.
const BATCH: usize = 512;

/// Minifies every `.py` file below `directory` to the same path below `into`, on all processors. Sources that
/// are not valid Python are left out.
fn minify_directory(directory: &Path, into: &Path) -> Result<(), MinifyError> {
    let shown = |path: &Path| path.display().to_string();
    let unreadable = |path: &Path, source| MinifyError::Unreadable { file: shown(path), source };
    let unwritable = |path: &Path, source| MinifyError::Unwritable { file: shown(path), source };
    let from = fs::canonicalize(directory).map_err(|error| unreadable(directory, error))?;
    if fs::canonicalize(into).is_ok_and(|into| into == from) {
        return Err(MinifyError::SameDirectory { file: shown(into) });
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

/// The sorted relative paths of the Python sources below `directory`. Those below `into` are results of an
/// earlier run and left out. Links to directories are not followed.
fn sources_below(directory: &Path, into: &Path) -> Result<Vec<PathBuf>, MinifyError> {
    // If `into` does not exist yet, there is nothing below it to leave out.
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
