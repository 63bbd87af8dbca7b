//! What can go wrong with a file, at either end.

use std::io;
use std::path::Path;

use mitogen_core::call::CallError;
use nix::errno::Errno;
use thiserror::Error;

/// A transfer did not come to its end.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// Something here: a source that cannot be read, a target that cannot be written.
    #[error("{path} (here): {text}")]
    Here {
        /// What kind of fault it is.
        kind: FileErrorKind,
        /// The file or directory.
        path: String,
        /// What the system says of it.
        text: String,
    },
    /// Something in the context.
    #[error("{path}: {text}")]
    There {
        /// What kind of fault it is.
        kind: FileErrorKind,
        /// The file or directory.
        path: String,
        /// What the system says of it.
        text: String,
    },
    /// The context was lost, or could not do as it was told.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The context said what it should not have.
    #[error("the far end breaks the protocol of files: {0}")]
    Protocol(String),
}

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileErrorKind {
    /// The disk, or the user's share of it, is full.
    NoSpace,
    /// We may not.
    Permission,
    /// There is no such file.
    NotFound,
    /// Something that must be a directory is not.
    NotADirectory,
    /// A directory stands where a file should go.
    IsADirectory,
    /// The source changed while it was read.
    Changed,
    /// Anything else; the text says what.
    Other,
}

impl FileErrorKind {
    pub(super) fn of(errno: i32) -> Self {
        match Errno::from_raw(errno) {
            Errno::ENOSPC | Errno::EDQUOT => Self::NoSpace,
            Errno::EACCES | Errno::EPERM | Errno::EROFS => Self::Permission,
            Errno::ENOENT => Self::NotFound,
            Errno::ENOTDIR => Self::NotADirectory,
            Errno::EISDIR => Self::IsADirectory,
            _ => Self::Other,
        }
    }
}

/// What both ends say of a source that does not hold still.
pub(super) const CHANGED: &str = "the source changed while it was read";

impl FileError {
    /// What kind of fault it is, if it is one of files.
    pub fn kind(&self) -> Option<FileErrorKind> {
        match self {
            Self::Here { kind, .. } | Self::There { kind, .. } => Some(*kind),
            Self::Call(_) | Self::Protocol(_) => None,
        }
    }

    /// An error of the system here, with its path.
    pub fn here(path: &Path, error: &io::Error) -> Self {
        let errno = error.raw_os_error();
        Self::Here {
            kind: errno.map_or(FileErrorKind::Other, FileErrorKind::of),
            path: path.display().to_string(),
            text: errno.map_or_else(|| error.to_string(), |errno| Errno::from_raw(errno).desc().to_owned()),
        }
    }

    pub(super) fn there(errno: i32, path: &[u8], text: &str) -> Self {
        let kind = if text == CHANGED { FileErrorKind::Changed } else { FileErrorKind::of(errno) };
        Self::There { kind, path: String::from_utf8_lossy(path).into_owned(), text: text.to_owned() }
    }

    pub(super) fn changed(path: &Path) -> Self {
        let kind = FileErrorKind::Changed;
        Self::Here { kind, path: path.display().to_string(), text: CHANGED.to_owned() }
    }
}
