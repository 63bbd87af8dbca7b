//! A socket file that is private from the moment it exists, never replaces one that is in use, and is
//! removed when its process ends.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why there is no socket at the path.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another process is listening at the path.
    #[error("{}: a listener is running already; stop it, or choose another path", path.display())]
    InUse {
        /// The path of the socket.
        path: PathBuf,
    },
    /// There is a file at the path that is no socket.
    #[error("{}: the file exists and is not a socket; remove it, or choose another path", path.display())]
    NotASocket {
        /// The path of the socket.
        path: PathBuf,
    },
    /// A system call failed.
    #[error("cannot listen on {}", path.display())]
    System {
        /// The path of the socket.
        path: PathBuf,
        /// What the system reports.
        source: io::Error,
    },
}

/// A bound socket and its file. Dropping it removes the file, if that is still this socket's.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    pub(super) path: PathBuf,
    file: (u64, u64),
    /// The directory, if it was made for this socket.
    directory: Option<PathBuf>,
}

impl Socket {
    /// Binds at `path`. A stale socket is replaced.
    pub(super) fn bind(path: &Path) -> Result<Self, BindError> {
        let system = |source| BindError::System { path: path.to_owned(), source };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let private = private_directory(parent.unwrap_or(Path::new(".")), ".m").map_err(system)?;
        let bound = Self::bind_through(path, &private);
        // It holds a second name of the new socket, or a stale socket.
        let removed = fs::remove_dir_all(&private);
        let socket = bound?;
        removed.map_err(system)?;
        Ok(socket)
    }

    /// Binds in a new directory that only this user may enter.
    pub(super) fn bind_temporary() -> Result<Self, BindError> {
        let parent = std::env::temp_dir();
        let directory = private_directory(&parent, "mitogen_unix_")
            .map_err(|source| BindError::System { path: parent, source })?;
        let path = directory.join("mitogen.sock");
        match Self::bind_through(&path, &directory) {
            Ok(mut socket) => {
                socket.directory = Some(directory);
                Ok(socket)
            }
            Err(error) => {
                // The first error is reported.
                let _ = fs::remove_dir_all(&directory);
                Err(error)
            }
        }
    }

    /// Binds in a private directory, sets the mode, and only then gives the socket its name, so that it
    /// never has another mode under that name, whatever the umask.
    fn bind_through(path: &Path, private: &Path) -> Result<Self, BindError> {
        let system = |source| BindError::System { path: path.to_owned(), source };
        let hidden = private.join("s");
        let listener = UnixListener::bind(&hidden).map_err(system)?;
        fs::set_permissions(&hidden, Permissions::from_mode(0o600)).map_err(system)?;
        listener.set_nonblocking(true).map_err(system)?;
        let file = identity(&hidden).map_err(system)?;
        remove_stale(path, private)?;
        // Unlike a rename, this replaces nothing.
        match fs::hard_link(&hidden, path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(BindError::InUse { path: path.to_owned() });
            }
            Err(error) => return Err(system(error)),
        }
        fs::remove_file(&hidden).map_err(system)?;
        Ok(Self { listener, path: path.to_owned(), file, directory: None })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.file)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove our socket");
        }
        if let Some(directory) = &self.directory {
            // Fails if it is not empty: other files in it are not ours to remove.
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Removes a socket at `path` that refuses connections.
fn remove_stale(path: &Path, private: &Path) -> Result<(), BindError> {
    let system = |source| BindError::System { path: path.to_owned(), source };
    let in_use = || BindError::InUse { path: path.to_owned() };
    let tried = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::NotASocket { path: path.to_owned() });
        }
        Ok(found) => (found.dev(), found.ino()),
    };
    match UnixStream::connect(path) {
        Ok(_) => return Err(in_use()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system(error)),
    }
    // Another process may replace it at this moment, and its socket must not be removed: so it is moved
    // out of the way first and compared after that.
    let moved = private.join("o");
    match fs::rename(path, &moved) {
        Ok(()) if identity(&moved).map_err(system)? == tried => Ok(()),
        Ok(()) => {
            // Fails if there is another socket by now: then a listener exists in any case.
            let _ = fs::hard_link(&moved, path);
            Err(in_use())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(system(error)),
    }
}

/// What distinguishes a file from another one at the same path: device and inode.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// A new directory in `parent` with mode 0700. The name is short: a socket's path has about a
/// hundred bytes.
fn private_directory(parent: &Path, prefix: &str) -> io::Result<PathBuf> {
    Ok(nix::unistd::mkdtemp(&parent.join(format!("{prefix}XXXXXX")))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_socket_is_private_and_removed_when_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.sock");
        let socket = Socket::bind(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing but the socket is left");
        UnixStream::connect(&path).unwrap();
        drop(socket);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_socket_in_use_is_kept_and_a_stale_one_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.sock");
        let first = Socket::bind(&path).unwrap();
        let error = Socket::bind(&path).unwrap_err();
        assert!(matches!(error, BindError::InUse { .. }), "{error}");
        UnixStream::connect(&path).unwrap();
        drop(first);
        // Closed, but not removed: as after a SIGKILL.
        drop(UnixListener::bind(&path).unwrap());
        let second = Socket::bind(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        UnixStream::connect(&path).unwrap();
        drop(second);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn files_that_are_no_sockets_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Socket::bind(&path).unwrap_err(), BindError::NotASocket { .. }));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let error = Socket::bind(&dir.path().join("no/such/t.sock")).unwrap_err();
        assert!(matches!(error, BindError::System { .. }), "{error}");
    }

    #[test]
    fn the_socket_of_another_process_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.sock");
        let first = Socket::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let second = Socket::bind(&path).unwrap();
        drop(first);
        UnixStream::connect(&path).unwrap();
        drop(second);
    }

    #[test]
    fn a_temporary_socket_has_a_directory_of_its_own() {
        let socket = Socket::bind_temporary().unwrap();
        let directory = socket.path.parent().unwrap().to_owned();
        assert_eq!((mode(&directory), mode(&socket.path)), (0o700, 0o600));
        drop(socket);
        assert!(!directory.exists());
    }
}
