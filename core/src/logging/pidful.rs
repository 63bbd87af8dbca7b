//! A log file whose name contains the process id, opened again when a fork has changed that id, so that
//! two processes never share one file. It is `PidfulStreamHandler` in upstream Mitogen.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// A writer to `PREFIX.PID.log` in a directory.
///
/// The file is opened for appending, and created with mode 0600. A symbolic link at its path is not
/// followed.
#[derive(Debug)]
pub struct PidfulFile {
    dir: PathBuf,
    prefix: String,
    open: Option<(u32, File)>,
}

impl PidfulFile {
    /// A writer in `dir`; nothing is opened until the first write.
    pub fn new(dir: impl Into<PathBuf>, prefix: &str) -> Self {
        Self { dir: dir.into(), prefix: prefix.to_owned(), open: None }
    }

    /// The file that process `pid` writes.
    pub fn path_for(&self, pid: u32) -> PathBuf {
        self.dir.join(format!("{}.{pid}.log", self.prefix))
    }

    /// The file of process `pid`, which is opened if the last one was of another process.
    fn file_for(&mut self, pid: u32) -> io::Result<&mut File> {
        let stale = self.open.as_ref().is_none_or(|(owner, _)| *owner != pid);
        if stale {
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_CLOEXEC)
                .open(self.path_for(pid))?;
            self.open = Some((pid, file));
        }
        match &mut self.open {
            Some((_, file)) => Ok(file),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn write_as(&mut self, pid: u32, data: &[u8]) -> io::Result<usize> {
        self.file_for(pid)?.write(data)
    }
}

impl Write for PidfulFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_as(std::process::id(), data)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.open {
            Some((_, file)) => file.flush(),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_pid_gets_another_file() {
        let dir = std::env::temp_dir().join(format!("mitogen-pidful-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let mut log = PidfulFile::new(&dir, "mitogen");
        log.write_as(100, b"one\n").unwrap();
        log.write_as(100, b"two\n").unwrap();
        log.write_as(101, b"child\n").unwrap();
        assert_eq!(std::fs::read(log.path_for(100)).unwrap(), b"one\ntwo\n");
        assert_eq!(std::fs::read(log.path_for(101)).unwrap(), b"child\n");
        std::os::unix::fs::symlink(dir.join("elsewhere"), log.path_for(102)).unwrap();
        assert!(log.write_as(102, b"x").is_err(), "a planted link must not be followed");
        assert!(!dir.join("elsewhere").exists());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
