//! Errors of transfers, on either side.

use std::io;
use std::path::Path;

use mitogen_core::call::CallError;
use nix::errno::Errno;
use thiserror::Error;

/// A transfer was not completed.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// An operation on a file of this host failed.
    #[error("{path} (on this host): {text}")]
    Local {
        /// What kind of error it is.
        kind: FileErrorKind,
        /// The file or directory.
        path: String,
        /// The operating system's message.
        text: String,
    },
    /// An operation on a file of the remote host failed.
    #[error("{path}: {text}")]
    Remote {
        /// What kind of error it is.
        kind: FileErrorKind,
        /// The file or directory.
        path: String,
        /// The operating system's message.
        text: String,
    },
    /// The context was lost, or the remote side of the transfer could not be started.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The remote side sent a message that is not valid in a transfer.
    #[error("protocol error in a file transfer: {0}")]
    Protocol(String),
}

/// Kinds of errors that callers may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileErrorKind {
    /// The disk is full, or the user's quota is exhausted.
    NoSpace,
    /// Permission denied, or a read-only file system.
    PermissionDenied,
    /// No such file or directory.
    NotFound,
    /// A path that must be a directory is something else.
    NotADirectory,
    /// A directory is in the place of a file.
    IsADirectory,
    /// The source changed while it was read.
    SourceChanged,
    /// Anything else; see the text.
    Other,
}

impl FileErrorKind {
    fn of(errno: i32) -> Self {
        match Errno::from_raw(errno) {
            Errno::ENOSPC | Errno::EDQUOT => Self::NoSpace,
            Errno::EACCES | Errno::EPERM | Errno::EROFS => Self::PermissionDenied,
            Errno::ENOENT => Self::NotFound,
            Errno::ENOTDIR => Self::NotADirectory,
            Errno::EISDIR => Self::IsADirectory,
            _ => Self::Other,
        }
    }
}

/// The message of both sides for a source that changes while it is read. The remote side sends no error
/// number with it.
const SOURCE_CHANGED: &str = "the source changed while it was read";

impl FileError {
    /// What kind of error it is, if an operation on a file failed.
    pub fn kind(&self) -> Option<FileErrorKind> {
        match self {
            Self::Local { kind, .. } | Self::Remote { kind, .. } => Some(*kind),
            Self::Call(_) | Self::Protocol(_) => None,
        }
    }

    /// A failed operation on `path` of this host.
    pub fn local(path: &Path, error: &io::Error) -> Self {
        let errno = error.raw_os_error();
        Self::Local {
            kind: errno.map_or(FileErrorKind::Other, FileErrorKind::of),
            path: path.display().to_string(),
            text: errno.map_or_else(|| error.to_string(), |errno| Errno::from_raw(errno).desc().to_owned()),
        }
    }

    /// A failed operation on `path` as the remote side reports it; `errno` is 0 if no system call failed.
    pub(super) fn remote(errno: i32, path: &[u8], text: &str) -> Self {
        let kind =
            if text == SOURCE_CHANGED { FileErrorKind::SourceChanged } else { FileErrorKind::of(errno) };
        Self::Remote { kind, path: String::from_utf8_lossy(path).into_owned(), text: text.to_owned() }
    }

    /// The source `path` of this host changed while it was read.
    pub(super) fn source_changed(path: &Path) -> Self {
        let kind = FileErrorKind::SourceChanged;
        Self::Local { kind, path: path.display().to_string(), text: SOURCE_CHANGED.to_owned() }
    }
}
