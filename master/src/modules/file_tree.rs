//! A tree of files that modules are searched in: a directory, an archive, or a part of the binary.
//!
//! This module knows nothing about Python. Paths inside a tree are relative, with `/` as separator; the
//! root is the empty path. They are composed of names from listings, so no component is ever empty,
//! `.` or `..`.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

/// The kind of a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// A file.
    File,
    /// A directory.
    Directory,
}

/// The entries of one directory. Entries other than files and directories are left out, and so are
/// names that are not UTF-8.
pub(super) type Listing = BTreeMap<String, FileKind>;

/// A tree of files: a directory, an archive, part of the binary.
pub(super) trait FileTree: Debug + Send + Sync {
    /// The entries of `directory`; `None` if it does not exist.
    fn list(&self, directory: &str) -> io::Result<Option<Arc<Listing>>>;

    /// The content of a file from a listing.
    fn read(&self, file: &str) -> io::Result<Bytes>;

    /// The path to show in tracebacks and messages.
    fn display_path(&self, path: &str) -> PathBuf;

    /// Whether `path` is below `directory` after symbolic links are followed.
    fn is_below(&self, directory: &str, path: &str) -> io::Result<bool>;
}

/// Joins `directory` and `name`; the root is the empty string.
pub(super) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// The directories of a tree whose files are all known in advance.
#[derive(Debug, Default)]
pub(super) struct Index {
    directories: HashMap<String, Arc<Listing>>,
}

impl Index {
    /// An index of the files at `paths`. A path that ends in `/` is a directory; other directories need not
    /// be listed. Paths that lead out of the tree are ignored.
    pub(super) fn of(paths: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut directories: HashMap<String, Listing> = HashMap::new();
        directories.entry(String::new()).or_default();
        for path in paths {
            let path = path.as_ref();
            let (path, mut kind) = match path.strip_suffix('/') {
                Some(directory) => (directory, FileKind::Directory),
                None => (path, FileKind::File),
            };
            if !is_inside(path) {
                continue;
            }
            if kind == FileKind::Directory {
                directories.entry(path.to_owned()).or_default();
            }
            let mut rest = path;
            loop {
                let (parent, name) = rest.rsplit_once('/').unwrap_or(("", rest));
                directories.entry(parent.to_owned()).or_default().insert(name.to_owned(), kind);
                if parent.is_empty() {
                    break;
                }
                (rest, kind) = (parent, FileKind::Directory);
            }
        }
        Self { directories: directories.into_iter().map(|(path, names)| (path, Arc::new(names))).collect() }
    }

    pub(super) fn list(&self, directory: &str) -> Option<Arc<Listing>> {
        self.directories.get(directory).cloned()
    }
}

/// Whether a path stays in its tree: relative, and without empty parts, `.` and `..`.
pub(super) fn is_inside(path: &str) -> bool {
    !path.contains(['\0', '\\']) && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_follow_from_files() {
        let index = Index::of(["a/b/c.py", "a/d.py", "empty/", "../out.py", "/abs.py", "a//x.py", "e\\f.py"]);
        let names = |directory| {
            index.list(directory).map(|listing| {
                listing.iter().map(|(name, kind)| format!("{name} {kind:?}")).collect::<Vec<_>>()
            })
        };
        assert_eq!(names(""), Some(vec!["a Directory".into(), "empty Directory".into()]));
        assert_eq!(names("a"), Some(vec!["b Directory".into(), "d.py File".into()]));
        assert_eq!(names("a/b"), Some(vec!["c.py File".into()]));
        assert_eq!(names("empty"), Some(vec![]));
        assert_eq!(names("a/d.py"), None);
        assert_eq!(names("nowhere"), None);
    }

    #[test]
    fn only_relative_paths_inside_the_package_are_accepted() {
        for path in ["a", "a/b.txt", "a.b/..c", "ä/ö"] {
            assert!(is_inside(path), "{path}");
        }
        for path in ["", "/", "/a", "a/", "a//b", ".", "a/./b", "..", "a/../b", "a\\b", "a\0"] {
            assert!(!is_inside(path), "{path:?}");
        }
    }
}
