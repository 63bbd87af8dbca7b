//! Parts: the files that a target writes to until a transfer is complete.
//!
//! A part has one writer, which holds a lock on it. Where the name of a part is taken, by another writer or by a file
//! that is not a part, the next name is used. A part is recognized by its mode, which no file has that was put in
//! place, so that a user's file of that name is neither continued nor removed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::stat::Mode;
use nix::unistd::geteuid;
use sha2::{Digest, Sha256};

use super::directory::Directory;

/// The longest name that stays within the file system's limit of 255 bytes with prefix and suffix.
const MAX_NAME: usize = 230;
/// How many names are tried for a part.
const MAX_NAMES: usize = 1000;
/// Bytes that are read at once to compute a digest.
const READ_SIZE: usize = 256 << 10;
/// The permissions of a part: private, and marked by the sticky bit, which has no effect on files. The BSDs do not
/// let ordinary users set it.
const PART_MODE: u32 = if cfg!(any(target_os = "freebsd", target_os = "netbsd", target_os = "openbsd")) {
    0o600
} else {
    0o1600
};

/// The names that the part of `name` may have, best first. They are in the same directory, since a rename works within
/// one file system only.
pub(super) fn part_names(name: &OsStr) -> impl Iterator<Item = OsString> {
    let mut stem = name.as_bytes().to_vec();
    if stem.len() > MAX_NAME {
        let digest = hex(Sha256::new_with_prefix(&stem));
        stem.truncate(190);
        stem.extend_from_slice(&digest.as_bytes()[..32]);
    }
    (0..MAX_NAMES).map(move |number| {
        let number = if number == 0 { String::new() } else { format!(".{number}") };
        OsString::from_vec([b".", stem.as_slice(), number.as_bytes(), b".mitogen-part"].concat())
    })
}

/// A file that only this transfer writes to.
#[derive(Debug)]
pub(super) struct Part {
    name: OsString,
    file: Held,
}

/// A file and, where the file system has locks, the lock.
#[derive(Debug)]
enum Held {
    Locked(Flock<File>),
    Unlocked(File),
}

impl Deref for Part {
    type Target = File;

    fn deref(&self) -> &File {
        match &self.file {
            Held::Locked(file) => file,
            Held::Unlocked(file) => file,
        }
    }
}

impl Part {
    /// Continues or creates a part for `name`; `fresh` discards its contents.
    pub(super) fn open(directory: &Directory, name: &OsStr, fresh: bool) -> io::Result<Self> {
        let mode = Mode::from_bits_truncate(PART_MODE as nix::libc::mode_t);
        for name in part_names(name) {
            let create = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL;
            let (file, is_new) = match directory.open_file(&name, create, mode) {
                Ok(file) => (file, true),
                // What cannot be opened, a link among others, is not a part, or is gone already.
                Err(Errno::EEXIST) => match directory.open_file(&name, OFlag::O_RDWR, Mode::empty()) {
                    Ok(file) => (file, false),
                    Err(_) => continue,
                },
                Err(error) => return Err(error.into()),
            };
            if !is_new && !is_part(&file)? {
                continue;
            }
            let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => Held::Locked(file),
                Err((file, error)) if is_new && error != Errno::EWOULDBLOCK => Held::Unlocked(file),
                Err(_) => continue,
            };
            let part = Self { name, file };
            // Before it was locked, its writer may have put it in place or removed it.
            if directory.is(&part.name, &part) && (is_new || is_part(&part)?) {
                if fresh {
                    part.set_len(0)?;
                }
                return Ok(part);
            }
        }
        Err(Errno::EEXIST.into())
    }

    /// Renames the part to `name`.
    pub(super) fn put_in_place(&self, directory: &Directory, name: &OsStr) -> io::Result<()> {
        if !directory.is(&self.name, self) {
            return Err(io::Error::other("its partial file was replaced during the transfer"));
        }
        directory.rename(&self.name, name)
    }

    pub(super) fn discard(&self, directory: &Directory) {
        if directory.is(&self.name, self) {
            directory.remove(&self.name);
        }
    }
}

fn is_part(file: &File) -> io::Result<bool> {
    let status = file.metadata()?;
    let is_own = status.is_file() && status.uid() == geteuid().as_raw() && status.nlink() == 1;
    Ok(is_own && status.mode() & 0o7777 == PART_MODE)
}

/// Adds the first `size` bytes of the file to `digest`. Returns how many there were.
pub(super) fn digest_prefix(file: &File, size: u64, digest: &mut Sha256) -> io::Result<u64> {
    let mut buffer = vec![0; READ_SIZE];
    let mut done = 0;
    while done < size {
        let wanted = usize::try_from(size - done).unwrap_or(READ_SIZE).min(READ_SIZE);
        match file.read_at(&mut buffer[..wanted], done) {
            Ok(0) => break,
            Ok(count) => {
                digest.update(&buffer[..count]);
                done += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// The digest in hexadecimal.
pub(super) fn hex(digest: Sha256) -> String {
    use std::fmt::Write as _;
    digest.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn first(name: &str) -> OsString {
        part_names(OsStr::new(name)).next().unwrap()
    }

    #[test]
    fn part_names_are_within_the_length_limit() {
        assert_eq!(first("b"), ".b.mitogen-part");
        let (long, other) = ("x".repeat(255), "x".repeat(254));
        assert!(part_names(OsStr::new(&long)).all(|part| part.len() <= 255));
        assert!(part_names(OsStr::new(&"y".repeat(MAX_NAME))).all(|part| part.len() <= 255));
        assert_ne!(first(&long), first(&other));
    }

    #[test]
    fn what_is_not_a_part_stays_and_another_name_is_used() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Directory::open(scratch.path()).unwrap();
        let name = OsStr::new("x");
        let (victim, taken) = (scratch.path().join("victim"), scratch.path().join(".x.mitogen-part"));
        fs::write(&victim, "precious").unwrap();
        let makers: [&dyn Fn(); 4] = [
            &|| symlink(&victim, &taken).unwrap(),
            &|| fs::hard_link(&victim, &taken).unwrap(),
            &|| fs::write(&taken, "precious").unwrap(),
            &|| {
                fs::write(&taken, "precious").unwrap();
                fs::set_permissions(&taken, Permissions::from_mode(0o600)).unwrap();
            },
        ];
        for make in makers {
            make();
            for fresh in [true, false] {
                let part = Part::open(&directory, name, fresh).unwrap();
                part.set_len(3).unwrap();
                assert_eq!(fs::read(&taken).unwrap(), b"precious");
                part.put_in_place(&directory, name).unwrap();
                assert_eq!(fs::metadata(scratch.path().join("x")).unwrap().len(), 3);
            }
            assert_eq!(fs::read(&victim).unwrap(), b"precious");
            fs::remove_file(&taken).unwrap();
        }
    }

    #[test]
    fn a_part_has_one_writer_and_is_continued_when_that_is_gone() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Directory::open(scratch.path()).unwrap();
        let name = OsStr::new("x");
        let one = Part::open(&directory, name, false).unwrap();
        one.set_len(1).unwrap();
        let two = Part::open(&directory, name, false).unwrap();
        two.set_len(2).unwrap();
        assert_ne!(one.name, two.name);
        one.put_in_place(&directory, name).unwrap();
        // The name of the first is free; a third one does not get the file that is in place.
        let three = Part::open(&directory, name, false).unwrap();
        assert_eq!((three.metadata().unwrap().len(), &three.name), (0, &one.name));
        two.put_in_place(&directory, name).unwrap();
        assert_eq!(fs::metadata(scratch.path().join("x")).unwrap().len(), 2);
        three.set_len(3).unwrap();
        drop(three);
        assert_eq!(Part::open(&directory, name, false).unwrap().metadata().unwrap().len(), 3);
        assert_eq!(Part::open(&directory, name, true).unwrap().metadata().unwrap().len(), 0);
    }

    #[test]
    fn only_the_file_that_was_written_is_renamed_or_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Directory::open(scratch.path()).unwrap();
        let part = Part::open(&directory, OsStr::new("x"), false).unwrap();
        let path = scratch.path().join(&part.name);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another").unwrap();
        part.put_in_place(&directory, OsStr::new("x")).unwrap_err();
        part.discard(&directory);
        assert_eq!(fs::read(&path).unwrap(), b"another");
    }
}
