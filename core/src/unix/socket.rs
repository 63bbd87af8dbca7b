//! A socket file that is private from its first moment, never taken from somebody who uses it, and
//! gone when we are.

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
    /// Somebody listens there.
    #[error("{}: a listener is running there already; stop it, or choose another path", path.display())]
    InUse {
        /// Where.
        path: PathBuf,
    },
    /// Something that is no socket is in the way.
    #[error("{}: there is something that is no socket; remove it, or choose another path", path.display())]
    NotASocket {
        /// Where.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("cannot listen on {}", path.display())]
    System {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A bound socket and its file. Dropping it removes the file, if that is still this socket's.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    pub(super) path: PathBuf,
    file: (u64, u64),
    /// A directory that was made for it alone.
    directory: Option<PathBuf>,
}

impl Socket {
    /// Binds at `path`. A file that nobody listens at any more is replaced.
    pub(super) fn bind(path: &Path) -> Result<Self, BindError> {
        let system = |source| BindError::System { path: path.to_owned(), source };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let private = private_directory(parent.unwrap_or(Path::new(".")), ".m").map_err(system)?;
        let bound = Self::bind_through(path, &private);
        // What is in it is ours: a second name of the socket, or a stale one.
        let removed = fs::remove_dir_all(&private);
        let socket = bound?;
        removed.map_err(system)?;
        Ok(socket)
    }

    /// Binds in a new directory that only we may enter.
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
                // The error that counts is the other one.
                let _ = fs::remove_dir_all(&directory);
                Err(error)
            }
        }
    }

    /// Binds where nobody else can connect, sets the mode, and only then gives it its name: there
    /// is no moment at which the file has another mode, whatever the umask.
    fn bind_through(path: &Path, private: &Path) -> Result<Self, BindError> {
        let system = |source| BindError::System { path: path.to_owned(), source };
        let hidden = private.join("s");
        let listener = UnixListener::bind(&hidden).map_err(system)?;
        fs::set_permissions(&hidden, Permissions::from_mode(0o600)).map_err(system)?;
        listener.set_nonblocking(true).map_err(system)?;
        let file = identity(&hidden).map_err(system)?;
        remove_stale(path, private)?;
        // Unlike a rename, this takes the place of nothing.
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
            // Not empty if somebody has put something there, which is not ours to remove.
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
    // Somebody else may replace it just now, and his must not be removed: it is moved out of the
    // way first, and looked at there.
    let moved = private.join("o");
    match fs::rename(path, &moved) {
        Ok(()) if identity(&moved).map_err(system)? == tried => Ok(()),
        Ok(()) => {
            // If a third one has come meanwhile, there is a listener in any case.
            let _ = fs::hard_link(&moved, path);
            Err(in_use())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(system(error)),
    }
}

/// What tells a file from another one at the same path.
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
    fn it_is_private_and_goes_away() {
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
    fn a_live_one_stays_and_a_stale_one_is_replaced() {
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
    fn other_things_in_the_way_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Socket::bind(&path).unwrap_err(), BindError::NotASocket { .. }));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let error = Socket::bind(&dir.path().join("no/such/t.sock")).unwrap_err();
        assert!(matches!(error, BindError::System { .. }), "{error}");
    }

    #[test]
    fn the_file_of_another_is_not_removed() {
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
    fn a_temporary_one_has_a_directory_of_its_own() {
        let socket = Socket::bind_temporary().unwrap();
        let directory = socket.path.parent().unwrap().to_owned();
        assert_eq!((mode(&directory), mode(&socket.path)), (0o700, 0o600));
        drop(socket);
        assert!(!directory.exists());
    }
}
