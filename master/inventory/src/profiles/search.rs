//! Finding the profile file.

use std::env;
use std::io;
use std::path::PathBuf;

use super::error::ProfilesError;
use super::profile_file::ProfileFile;

/// Where to look for the profile file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    /// This file, which must exist.
    Exactly(PathBuf),
    /// The first of these files that exists.
    FirstOf(Vec<PathBuf>),
}

impl Search {
    /// Uses `path` if given, else the environment variable `MITOGEN_PROFILES`, else the first that
    /// exists of `mitogen.toml` in the current directory, the user's
    /// (`$XDG_CONFIG_HOME/mitogen/mitogen.toml`, by default in `~/.config`) and the system's
    /// (`/etc/mitogen/mitogen.toml`).
    pub fn from_environment(path: Option<PathBuf>) -> Self {
        Self::with_variables(path, |name| env::var_os(name).map(PathBuf::from))
    }

    fn with_variables(path: Option<PathBuf>, variable: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.as_os_str().is_empty());
        if let Some(path) = path.or_else(|| set("MITOGEN_PROFILES")) {
            return Self::Exactly(path);
        }
        // The XDG specification says that a relative directory is to be ignored.
        let user = set("XDG_CONFIG_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| set("HOME").map(|home| home.join(".config")));
        let mut paths = vec![PathBuf::from("mitogen.toml")];
        paths.extend(user.map(|config| config.join("mitogen/mitogen.toml")));
        paths.push(PathBuf::from("/etc/mitogen/mitogen.toml"));
        Self::FirstOf(paths)
    }

    /// Reads the file; `None` if no file was named and none of the usual ones exists.
    ///
    /// # Errors
    /// A file that cannot be read, is not UTF-8, or could have been written by another user.
    pub fn read(&self) -> Result<Option<ProfileFile>, ProfilesError> {
        match self {
            Self::Exactly(path) => ProfileFile::read(path).map(Some),
            Self::FirstOf(paths) => {
                for path in paths {
                    match ProfileFile::read(path) {
                        Err(ProfilesError::Read { source, .. }) if is_missing(&source) => {}
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

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    fn search(path: Option<&str>, variables: &[(&str, &str)]) -> Search {
        Search::with_variables(path.map(PathBuf::from), |name| {
            variables.iter().find(|(set, _)| *set == name).map(|(_, value)| PathBuf::from(value))
        })
    }

    fn write(path: &Path, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "# profiles\n").unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn paths_are_searched_in_order() {
        let first_of = |paths: &[&str]| Search::FirstOf(paths.iter().map(PathBuf::from).collect());
        let system = "/etc/mitogen/mitogen.toml";
        assert_eq!(search(Some("a"), &[("MITOGEN_PROFILES", "b")]), Search::Exactly("a".into()));
        assert_eq!(search(None, &[("MITOGEN_PROFILES", "b")]), Search::Exactly("b".into()));
        let home = ("HOME", "/h");
        let usual = first_of(&["mitogen.toml", "/h/.config/mitogen/mitogen.toml", system]);
        assert_eq!(search(None, &[home]), usual);
        assert_eq!(search(None, &[home, ("MITOGEN_PROFILES", ""), ("XDG_CONFIG_HOME", "")]), usual);
        assert_eq!(search(None, &[home, ("XDG_CONFIG_HOME", "relative")]), usual);
        assert_eq!(
            search(None, &[home, ("XDG_CONFIG_HOME", "/x")]),
            first_of(&["mitogen.toml", "/x/mitogen/mitogen.toml", system])
        );
        assert_eq!(search(None, &[]), first_of(&["mitogen.toml", system]));
    }

    #[test]
    fn the_first_existing_file_is_used() {
        let directory = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a/m", "b/m", "c/m"].map(|name| directory.path().join(name));
        let search = Search::FirstOf(vec![a.clone(), b.clone(), c.clone()]);
        assert!(search.read().unwrap().is_none());
        write(&c, 0o600);
        assert_eq!(search.read().unwrap().unwrap().path(), c);
        write(&b, 0o644);
        assert_eq!(search.read().unwrap().unwrap().path(), b);
        // A file that is refused is an error; the search does not continue with a later one.
        write(&a, 0o666);
        assert!(matches!(search.read(), Err(ProfilesError::Unsafe { path, .. }) if path == a));
        let error = Search::Exactly(directory.path().join("none")).read().unwrap_err();
        assert!(matches!(error, ProfilesError::Read { .. }));
        let error = Search::Exactly(directory.path().to_owned()).read().unwrap_err();
        assert!(matches!(error, ProfilesError::Read { .. }));
    }
}
