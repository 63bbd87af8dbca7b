//! The default path of a session's socket: in a directory that only its user can enter.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;
use thiserror::Error;

/// The directory of the socket cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SocketPathError {
    /// It belongs to another user, or others can enter it.
    #[error("{}: this directory {what}; remove it or choose another path for the socket", path.display())]
    NotPrivate {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It cannot be created or examined.
    #[error("cannot use the directory {}", path.display())]
    System {
        /// The directory.
        path: PathBuf,
        /// The error of the system call.
        source: io::Error,
    },
}

/// `$XDG_RUNTIME_DIR/mitogen/default.sock`, or if the variable is not set, `mitogen-UID/default.sock` in the
/// directory for temporary files.
pub fn default_path() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let directory = match runtime {
        Some(runtime) => runtime.join("mitogen"),
        None => std::env::temp_dir().join(format!("mitogen-{}", Uid::effective())),
    };
    directory.join("default.sock")
}

/// Creates the directory of the default socket if necessary, and checks that no other user could have put
/// anything there.
///
/// # Errors
/// See [`SocketPathError`].
pub fn prepare(directory: &Path) -> Result<(), SocketPathError> {
    let system = |source| SocketPathError::System { path: directory.to_owned(), source };
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(system(error)),
        _ => {}
    }
    let found = fs::symlink_metadata(directory).map_err(system)?;
    let what = if !found.is_dir() {
        "is not a directory"
    } else if found.uid() != Uid::effective().as_raw() {
        "belongs to another user"
    } else if found.permissions().mode() & 0o077 != 0 {
        "is accessible to other users"
    } else {
        return Ok(());
    };
    Err(SocketPathError::NotPrivate { path: directory.to_owned(), what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_that_others_can_enter_are_refused() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("mitogen");
        prepare(&directory).unwrap();
        assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        prepare(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(prepare(&directory).unwrap_err().to_string().contains("is accessible to other users"));
        let link = parent.path().join("link");
        std::os::unix::fs::symlink(parent.path(), &link).unwrap();
        assert!(prepare(&link).unwrap_err().to_string().contains("is not a directory"));
    }
}
