//! Where a tree's socket is unless somebody says otherwise: in a directory that only its user can
//! enter.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;
use thiserror::Error;

/// Why the directory of the socket cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// It is somebody else's, or others may write to it.
    #[error("{}: this directory is {what}; remove it, or choose a socket elsewhere", path.display())]
    NotPrivate {
        /// The directory.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The system refuses.
    #[error("cannot use the directory {}", path.display())]
    System {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// `$XDG_RUNTIME_DIR/mitogen/default.sock`; where there is no such variable, a directory of the user's
/// own among the temporary files.
pub fn default_path() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let directory = match runtime {
        Some(runtime) => runtime.join("mitogen"),
        None => std::env::temp_dir().join(format!("mitogen-{}", Uid::effective())),
    };
    directory.join("default.sock")
}

/// Makes the directory of the default socket, if need be, and checks that nobody else could have
/// put anything there.
///
/// # Errors
/// See [`PlaceError`].
pub fn prepare(directory: &Path) -> Result<(), PlaceError> {
    let system = |source| PlaceError::System { path: directory.to_owned(), source };
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(system(error)),
        _ => {}
    }
    let found = fs::symlink_metadata(directory).map_err(system)?;
    let what = if !found.is_dir() {
        "no directory"
    } else if found.uid() != Uid::effective().as_raw() {
        "another user's"
    } else if found.permissions().mode() & 0o077 != 0 {
        "open to other users"
    } else {
        return Ok(());
    };
    Err(PlaceError::NotPrivate { path: directory.to_owned(), what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_private_directory_will_do() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("mitogen");
        prepare(&directory).unwrap();
        assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        prepare(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(prepare(&directory).unwrap_err().to_string().contains("open to other users"));
        let link = parent.path().join("link");
        std::os::unix::fs::symlink(parent.path(), &link).unwrap();
        assert!(prepare(&link).unwrap_err().to_string().contains("no directory"));
    }
}
