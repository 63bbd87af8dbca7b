//! The text of a profile file, and the check that no other user could have written it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::error::ProfilesError;

/// The text of a profile file, with its path and permissions.
#[derive(Clone, Debug)]
pub struct ProfileFile {
    path: PathBuf,
    text: String,
    /// Whether users other than the owner can read it.
    shared: bool,
    /// The offset at which each line starts.
    starts: Vec<usize>,
}

/// A line and a column, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl ProfileFile {
    /// Reads a file and checks its permissions.
    ///
    /// # Errors
    /// A file that cannot be read, is not UTF-8, or could have been written by another user.
    pub fn read(path: &Path) -> Result<Self, ProfilesError> {
        let failed = |source| ProfilesError::Read { path: path.to_owned(), source };
        // The permissions are those of the open file, so it cannot be replaced between check and read.
        let mut file = File::open(path).map_err(failed)?;
        let status = file.metadata().map_err(failed)?;
        if status.is_dir() {
            return Err(failed(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        let owner = Ownership { uid: status.uid(), mode: status.mode(), own_uid: Uid::effective().as_raw() };
        owner.check(path)?;
        let directory =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        check_directory(path, directory, directory.metadata().map_err(failed)?.mode())?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        Ok(Self::new(path.to_owned(), text, status.mode() & 0o044 != 0))
    }

    /// Uses `text` as if it had been read from a private file at `path`.
    pub fn from_text(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self::new(path.into(), text.into(), false)
    }

    fn new(path: PathBuf, text: String, shared: bool) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { path, text, shared, starts }
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether users other than the owner can read the file; then passwords in it are refused.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    #[cfg(test)]
    pub(super) fn shared_with_others(mut self) -> Self {
        self.shared = true;
        self
    }

    pub(super) fn position(&self, at: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= at);
        let before = self.text.get(self.starts[line - 1]..at).unwrap_or_default();
        Position { line, column: before.chars().count() + 1 }
    }

    pub(super) fn line_start(&self, line: usize) -> usize {
        self.starts[line - 1]
    }

    /// A line without its line feed.
    pub(super) fn line(&self, line: usize) -> &str {
        let start = self.starts[line - 1];
        let end = self.starts.get(line).map_or(self.text.len(), |next| next - 1);
        &self.text[start..end]
    }
}

struct Ownership {
    uid: u32,
    mode: u32,
    /// The user who runs this process.
    own_uid: u32,
}

impl Ownership {
    fn check(&self, path: &Path) -> Result<(), ProfilesError> {
        let refuse =
            |reason: String, hint: String| Err(ProfilesError::Unsafe { path: path.to_owned(), reason, hint });
        let name = path.display();
        if self.uid != 0 && self.uid != self.own_uid {
            return refuse(
                format!("it is owned by uid {}, which is neither yours nor root's", self.uid),
                format!("if you trust its contents, run: sudo chown {} {name}", self.own_uid),
            );
        }
        let who = match (self.mode & 0o020 != 0, self.mode & 0o002 != 0) {
            (false, false) => return Ok(()),
            (_, true) => "everyone",
            (true, false) => "its group",
        };
        refuse(
            format!("it is writable by {who}"),
            format!("if you trust its contents, run: chmod go-w {name}"),
        )
    }
}

/// In a directory that is writable by everyone and not sticky, any user can replace the file.
fn check_directory(path: &Path, directory: &Path, mode: u32) -> Result<(), ProfilesError> {
    if mode & 0o002 == 0 || mode & 0o1000 != 0 {
        return Ok(());
    }
    Err(ProfilesError::Unsafe {
        path: path.to_owned(),
        reason: "its directory is writable by everyone".to_owned(),
        hint: format!("run: chmod o-w {}", directory.display()),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(path: &Path, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "# profiles\n").unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn files_writable_by_other_users_are_refused() {
        let check = |uid, mode: u32| {
            let found = Ownership { uid, mode: 0o100_000 | mode, own_uid: 1000 }.check(Path::new("m.toml"));
            found.map_err(|error| error.to_string())
        };
        for (uid, mode) in [(1000, 0o600), (1000, 0o644), (0, 0o644), (1000, 0o755)] {
            assert_eq!(check(uid, mode), Ok(()), "{uid} {mode:o}");
        }
        let refused = |reason: &str, hint: &str| {
            Err(format!(
                "refusing to use profiles from m.toml: {reason}\n  if you trust its contents, run: {hint}"
            ))
        };
        let chmod = "chmod go-w m.toml";
        assert_eq!(check(1000, 0o664), refused("it is writable by its group", chmod));
        assert_eq!(check(0, 0o646), refused("it is writable by everyone", chmod));
        assert_eq!(check(1000, 0o666), refused("it is writable by everyone", chmod));
        let foreign = "it is owned by uid 1001, which is neither yours nor root's";
        assert_eq!(check(1001, 0o600), refused(foreign, "sudo chown 1000 m.toml"));
    }

    #[test]
    fn files_replaceable_by_other_users_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("open/m.toml");
        write(&path, 0o600);
        let open = |mode| fs::set_permissions(path.parent().unwrap(), Permissions::from_mode(mode)).unwrap();
        open(0o777);
        let error = ProfileFile::read(&path).unwrap_err().to_string();
        assert!(error.contains("its directory is writable by everyone\n  run: chmod o-w "), "{error}");
        open(0o1777);
        assert!(ProfileFile::read(&path).is_ok());
    }

    #[test]
    fn files_readable_by_other_users_count_as_shared() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("m.toml");
        for (mode, shared) in [(0o600, false), (0o640, true), (0o604, true), (0o400, false)] {
            write(&path, 0o600);
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(ProfileFile::read(&path).unwrap().is_shared(), shared, "{mode:o}");
        }
    }

    #[test]
    fn columns_count_characters() {
        let file = ProfileFile::from_text("m", "ab\néx\n\nlast");
        let positions = [0, 1, 3, 5, 6, 7, 8, 11].map(|at| {
            let Position { line, column } = file.position(at);
            (line, column)
        });
        assert_eq!(positions, [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 1), (4, 1), (4, 4)]);
        assert_eq!((file.line(1), file.line(2), file.line(3), file.line(4)), ("ab", "éx", "", "last"));
    }
}
