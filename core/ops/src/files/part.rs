//! Parts: the files that a target writes to until a transfer is complete.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc::{EACCES, ELOOP, ENXIO, O_NOFOLLOW, O_NONBLOCK};
use nix::unistd::geteuid;
use sha2::{Digest, Sha256};

/// The longest name that stays within the file system's limit of 255 bytes with prefix and suffix.
const MAX_NAME: usize = 230;
/// Bytes that are read at once to compute a digest.
const READ_SIZE: usize = 256 << 10;

/// The part of `path`. It is in the same directory, since a rename works within one file system only.
pub(super) fn part_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(Vec::new, |name| name.as_bytes().to_vec());
    if name.len() > MAX_NAME {
        let digest = hex(Sha256::new_with_prefix(&name));
        name.truncate(190);
        name.extend_from_slice(&digest.as_bytes()[..32]);
    }
    let part = [b".", name.as_slice(), b".mitogen-part"].concat();
    path.with_file_name(OsString::from_vec(part))
}

/// Opens or creates the part; `fresh` discards its contents. A link, or another user's file in its place, is
/// replaced and not written to.
pub(super) fn open_part(part: &Path, fresh: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(O_NOFOLLOW | O_NONBLOCK);
    match options.clone().create(true).truncate(false).open(part) {
        Ok(file) => {
            let status = file.metadata()?;
            let is_own = status.is_file() && status.uid() == geteuid().as_raw() && status.nlink() == 1;
            if is_own && !fresh {
                return Ok(file);
            }
        }
        // A link, a pipe without a reader, another user's file: replace it.
        Err(error) if matches!(error.raw_os_error(), Some(ELOOP | ENXIO | EACCES)) => {}
        Err(error) => return Err(error),
    }
    match fs::remove_file(part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    options.create_new(true).open(part)
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
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn part_names_are_in_the_same_directory_and_within_the_length_limit() {
        assert_eq!(part_of(Path::new("/a/b")), Path::new("/a/.b.mitogen-part"));
        let long = "x".repeat(255);
        let part = part_of(Path::new(&long));
        assert!(part.as_os_str().len() <= 255);
        assert_ne!(part, part_of(Path::new(&"x".repeat(254))));
    }

    #[test]
    fn symbolic_and_hard_links_in_place_of_the_part_are_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let (victim, part) = (directory.path().join("victim"), directory.path().join(".x.mitogen-part"));
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, &part).unwrap();
        open_part(&part, false).unwrap().set_len(3).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert!(!part.symlink_metadata().unwrap().is_symlink());
        fs::remove_file(&part).unwrap();
        fs::hard_link(&victim, &part).unwrap();
        open_part(&part, false).unwrap().set_len(3).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }
}
