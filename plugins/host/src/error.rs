//! Why a plugin is not loaded.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a plugin is not loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file or a directory on the way to it cannot be examined.
    #[error("cannot examine {}", .path.display())]
    Examine {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Another user could have written or replaced the file, and so run any code as this user.
    #[error("refusing {}: {reason}", .path.display())]
    Unsafe {
        /// The file or directory.
        path: PathBuf,
        /// Who could have written it.
        reason: String,
    },
    /// The system's loader refuses the file, for example because it was built for another machine.
    #[error("cannot load {}", .path.display())]
    Loader {
        /// The file.
        path: PathBuf,
        /// What the loader says.
        source: libloading::Error,
    },
    /// The file is not a plugin that this program can use.
    #[error("{}: {reason}", .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}
