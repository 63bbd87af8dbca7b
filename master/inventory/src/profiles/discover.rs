//! Finding the profile file, and refusing one that others could have written.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;
use thiserror::Error;

use super::diagnostic::Diagnostics;

/// Why there are no profiles.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProfilesError {
    /// The file cannot be read.
    #[error("cannot read profiles from {}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Others than us could have written the file, and so could have us run what they like.
    #[error("refusing profiles from {}: {reason}\n  {hint}", .path.display())]
    Unsafe {
        /// The file.
        path: PathBuf,
        /// Who could have written it.
        reason: String,
        /// How to mend that.
        hint: String,
    },
    /// The file has faults.
    #[error(transparent)]
    Invalid(#[from] Diagnostics),
}

/// Where profiles are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    /// In this file, which must exist.
    Exactly(PathBuf),
    /// In the first of these files that exists.
    FirstOf(Vec<PathBuf>),
}

impl Search {
    /// The file that was asked for, else `MITOGEN_PROFILES`, else `mitogen.toml` here, the user's
    /// (`$XDG_CONFIG_HOME/mitogen/mitogen.toml`, where the variable defaults to `~/.config`), and the
    /// system's (`/etc/mitogen/mitogen.toml`).
    pub fn from_environment(asked_for: Option<PathBuf>) -> Self {
        Self::with_variables(asked_for, |name| env::var_os(name).map(PathBuf::from))
    }

    fn with_variables(asked_for: Option<PathBuf>, variable: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.as_os_str().is_empty());
        if let Some(path) = asked_for.or_else(|| set("MITOGEN_PROFILES")) {
            return Self::Exactly(path);
        }
        // As the XDG rules want it, a relative directory counts as none.
        let user = set("XDG_CONFIG_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| set("HOME").map(|home| home.join(".config")));
        let mut places = vec![PathBuf::from("mitogen.toml")];
        places.extend(user.map(|config| config.join("mitogen/mitogen.toml")));
        places.push(PathBuf::from("/etc/mitogen/mitogen.toml"));
        Self::FirstOf(places)
    }

    /// Reads the file. `None` if there is none and none was asked for.
    ///
    /// # Errors
    /// A file that cannot be read, is not UTF-8, or could have been written by others.
    pub fn read(&self) -> Result<Option<Source>, ProfilesError> {
        match self {
            Self::Exactly(path) => Source::read(path).map(Some),
            Self::FirstOf(places) => {
                for path in places {
                    match Source::read(path) {
                        Err(ProfilesError::Read { error, .. }) if is_missing(&error) => {}
                        found => return found.map(Some),
                    }
                }
                Ok(None)
            }
        }
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The text of a profile file and what is known about it.
#[derive(Clone, Debug)]
pub struct Source {
    path: PathBuf,
    text: String,
    /// Whether others than its owner may read it.
    shared: bool,
    /// Where each line starts.
    starts: Vec<usize>,
}

/// A line and a column, both from 1; the column counts letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Source {
    /// Reads a file and looks at its permissions.
    ///
    /// # Errors
    /// As [`Search::read`].
    pub fn read(path: &Path) -> Result<Self, ProfilesError> {
        let failed = |error| ProfilesError::Read { path: path.to_owned(), error };
        // What is checked is what is read: the open file, not its name.
        let mut file = File::open(path).map_err(failed)?;
        let status = file.metadata().map_err(failed)?;
        if status.is_dir() {
            return Err(failed(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        let owner = Owner { uid: status.uid(), mode: status.mode(), ours: Uid::effective().as_raw() };
        owner.check(path)?;
        let directory =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        check_directory(path, directory, directory.metadata().map_err(failed)?.mode())?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        Ok(Self::new(path.to_owned(), text, status.mode() & 0o044 != 0))
    }

    /// A text that is already here, as if read from a private file at `path`.
    pub fn from_text(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self::new(path.into(), text.into(), false)
    }

    fn new(path: PathBuf, text: String, shared: bool) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { path, text, shared, starts }
    }

    /// The file's name, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether others than the owner may read the file: then it is no place for a password.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    #[cfg(test)]
    pub(super) fn shared_with_others(mut self) -> Self {
        self.shared = true;
        self
    }

    pub(super) fn place(&self, at: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= at);
        let before = self.text.get(self.starts[line - 1]..at).unwrap_or_default();
        Place { line, column: before.chars().count() + 1 }
    }

    pub(super) fn line_start(&self, line: usize) -> usize {
        self.starts[line - 1]
    }

    /// A line without its end.
    pub(super) fn line(&self, line: usize) -> &str {
        let start = self.starts[line - 1];
        let end = self.starts.get(line).map_or(self.text.len(), |next| next - 1);
        &self.text[start..end]
    }
}

struct Owner {
    uid: u32,
    mode: u32,
    ours: u32,
}

impl Owner {
    fn check(&self, path: &Path) -> Result<(), ProfilesError> {
        let refuse =
            |reason: String, hint: String| Err(ProfilesError::Unsafe { path: path.to_owned(), reason, hint });
        let name = path.display();
        if self.uid != 0 && self.uid != self.ours {
            return refuse(
                format!("it belongs to user {}, who is neither you nor root", self.uid),
                format!("if you trust what it says: sudo chown {} {name}", self.ours),
            );
        }
        let who = match (self.mode & 0o020 != 0, self.mode & 0o002 != 0) {
            (false, false) => return Ok(()),
            (_, true) => "anybody",
            (true, false) => "its group",
        };
        refuse(format!("{who} can write to it"), format!("if you trust what it says: chmod go-w {name}"))
    }
}

/// In a directory that anybody may write to, and that is not sticky, anybody can put another file in
/// the place of ours.
fn check_directory(path: &Path, directory: &Path, mode: u32) -> Result<(), ProfilesError> {
    if mode & 0o002 == 0 || mode & 0o1000 != 0 {
        return Ok(());
    }
    Err(ProfilesError::Unsafe {
        path: path.to_owned(),
        reason: "anybody can put another file in its place".to_owned(),
        hint: format!("make its directory yours alone: chmod o-w {}", directory.display()),
    })
}

#[cfg(test)]
#[path = "discover_tests.rs"]
mod tests;
