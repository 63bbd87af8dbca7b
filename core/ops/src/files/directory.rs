//! Directories that a transfer writes to. Each is a descriptor, and everything in it is named relative to that
//! descriptor without following links, so a link that the other side has made, now or in an earlier transfer, cannot
//! lead a write out of the destination.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::libc::{S_IFDIR, S_IFMT, dev_t, ino_t};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, symlinkat, unlinkat};

/// An open directory.
#[derive(Debug)]
pub(super) struct Directory {
    handle: File,
    /// For messages.
    path: PathBuf,
}

/// What identifies a file while it is open.
pub(super) fn inode(status: &FileStat) -> (dev_t, ino_t) {
    (status.st_dev, status.st_ino)
}

pub(super) fn is_directory(status: &FileStat) -> bool {
    status.st_mode & S_IFMT == S_IFDIR
}

impl Directory {
    /// The directory that the user has named, which may be a link.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlag::O_DIRECTORY;
        let handle = open_directory(|more| nix::fcntl::open(path, flags | more, Mode::empty()))?;
        Ok(Self { handle, path: path.to_owned() })
    }

    /// The path of `name`, for messages.
    pub(super) fn path_of(&self, name: &OsStr) -> PathBuf {
        if self.path == Path::new(".") { PathBuf::from(name) } else { self.path.join(name) }
    }

    pub(super) fn handle(&self) -> &File {
        &self.handle
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The status of `name` itself, even if it is a link; `None` if there is nothing.
    pub(super) fn look(&self, name: &OsStr) -> io::Result<Option<FileStat>> {
        match fstatat(&self.handle, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(status) => Ok(Some(status)),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens `name` with these flags; never a link.
    pub(super) fn open_file(&self, name: &OsStr, flags: OFlag, mode: Mode) -> nix::Result<File> {
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        openat(&self.handle, name, flags, mode).map(File::from)
    }

    /// Creates the directory `name`, private to the user until its mode is set.
    pub(super) fn create(&self, name: &OsStr) -> io::Result<()> {
        Ok(mkdirat(&self.handle, name, Mode::S_IRWXU)?)
    }

    /// Opens the directory `name`.
    pub(super) fn enter(&self, name: &OsStr) -> io::Result<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let handle = open_directory(|more| openat(&self.handle, name, flags | more, Mode::empty()))?;
        Ok(Self { handle, path: self.path_of(name) })
    }

    /// Makes a symbolic link, where nothing is yet.
    pub(super) fn symlink(&self, name: &OsStr, to: &[u8]) -> nix::Result<()> {
        symlinkat(OsStr::from_bytes(to), &self.handle, name)
    }

    /// Gives `name` itself, not what it refers to, to another owner.
    pub(super) fn set_owner(&self, name: &OsStr, user: Option<Uid>, group: Option<Gid>) -> io::Result<()> {
        Ok(fchownat(&self.handle, name, user, group, AtFlags::AT_SYMLINK_NOFOLLOW)?)
    }

    pub(super) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.handle, from, &self.handle, to)?)
    }

    pub(super) fn remove(&self, name: &OsStr) {
        // What cannot be removed now could not be removed later either.
        let _ = unlinkat(&self.handle, name, UnlinkatFlags::NoRemoveDir);
    }

    /// Whether `name` is this open file.
    pub(super) fn is(&self, name: &OsStr, file: &File) -> bool {
        let named = self.look(name).ok().flatten();
        named.is_some_and(|named| fstat(file).is_ok_and(|open| inode(&open) == inode(&named)))
    }
}

/// Opens a directory to read its attributes or, without permission to read it, to reach what is in it.
fn open_directory(open: impl Fn(OFlag) -> nix::Result<std::os::fd::OwnedFd>) -> io::Result<File> {
    let opened = open(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC);
    #[cfg(target_os = "linux")]
    let opened = match opened {
        Err(Errno::EACCES) => open(OFlag::O_PATH | OFlag::O_CLOEXEC),
        opened => opened,
    };
    match opened {
        Ok(handle) => Ok(File::from(handle)),
        // The answer of some systems for a link where a directory is required.
        Err(Errno::ELOOP | Errno::EMLINK) => Err(Errno::ENOTDIR.into()),
        Err(error) => Err(error.into()),
    }
}
