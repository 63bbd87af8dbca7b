//! Errors of the search for modules.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A module that was found and cannot be sent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// An extension module, compiled for this platform, without a source file beside it.
    #[error("{fullname} is an extension module ({}), which cannot be sent: install it on the target", path.display())]
    Extension {
        /// The module.
        fullname: String,
        /// Its file.
        path: PathBuf,
    },
    /// Bytecode for one version of the interpreter, without its source.
    #[error("{fullname} exists only as bytecode ({}), which cannot be sent: its source is required", path.display())]
    Bytecode {
        /// The module.
        fullname: String,
        /// Its file.
        path: PathBuf,
    },
    /// A data file outside of its package's directory.
    #[error("{name:?} is not served: it is outside of the directory of package {package}")]
    Outside {
        /// The package.
        package: String,
        /// The requested name.
        name: String,
    },
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
}

/// A search path that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FinderError {
    /// The path does not exist.
    #[error("no such file or directory: {}", path.display())]
    Missing {
        /// The path as it was given.
        path: PathBuf,
    },
    /// A file that is not a zip archive.
    #[error("{} is neither a directory nor a zip archive", path.display())]
    NotAnArchive {
        /// The path as it was given.
        path: PathBuf,
        /// Why it is not one.
        #[source]
        source: io::Error,
    },
    /// The path cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The path as it was given.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// A virtual environment without `site-packages`.
    #[error("{} is not a virtual environment: it has no lib/python*/site-packages", path.display())]
    NoSitePackages {
        /// The path as it was given.
        path: PathBuf,
    },
}

/// Resolves symbolic links.
pub(super) fn real_path(path: &Path) -> Result<PathBuf, FinderError> {
    path.canonicalize().map_err(|source| {
        let path = path.to_owned();
        if is_absent(&source) {
            FinderError::Missing { path }
        } else {
            FinderError::Unreadable { path, source }
        }
    })
}

/// Whether the error says that a path does not exist.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
