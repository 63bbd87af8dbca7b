//! Modules from the search path: directories and archives of this machine.
//!
//! What makes a search path, and nothing of how it is searched (`search`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use super::archive::Archive;
use super::directory::Directory;
use super::search::{Entry, Search, children};
use super::source::{Module, ModuleError, ModuleSource};
use super::tree::{Tree, is_inside};
use super::virtual_env;

/// Where a [`Finder`] looks.
///
/// ```no_run
/// use mitogen::modules::{Finder, FinderOptions};
///
/// let options = FinderOptions::default().program("deploy.py")?.virtual_env(".venv")?;
/// let finder = Finder::new(&options)?;
/// # Ok::<(), mitogen::modules::FinderError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FinderOptions {
    /// Directories and zip archives in which modules are, the first having it wins, like Python's
    /// `sys.path`. A directory inside an archive is `app.zip/lib`.
    pub paths: Vec<PathBuf>,
    /// Names of standard-library modules that are found all the same where one of the paths is an
    /// interpreter's library, with all beneath them. Others there are not.
    pub standard: Vec<String>,
}

impl FinderOptions {
    /// Looks in `path` too, after what was named before.
    pub fn path(mut self, path: impl Into<PathBuf>) -> Self {
        self.paths.push(path.into());
        self
    }

    /// Looks first where Python would when it runs `program`: in the directory that the file really
    /// is in, or in the program itself when that is a directory or an archive.
    ///
    /// # Errors
    /// There is no such file.
    pub fn program(mut self, program: impl AsRef<Path>) -> Result<Self, FinderError> {
        let real = real(program.as_ref())?;
        let is_script = real.is_file() && Archive::open(&real).is_err();
        let place = if is_script { real.parent().unwrap_or(&real).to_owned() } else { real };
        self.paths.insert(0, place);
        Ok(self)
    }

    /// Looks in a virtual environment's `site-packages` too, and in the directories that `.pth`
    /// files there add. Lines of `.pth` files that are code are not executed, so what only such
    /// code makes importable (some editable installations) has to be named with [`Self::path`].
    /// The packages of the system are not looked in, even where the environment does.
    ///
    /// # Errors
    /// It has no `site-packages`, or they cannot be read.
    pub fn virtual_env(mut self, directory: impl AsRef<Path>) -> Result<Self, FinderError> {
        self.paths.extend(virtual_env::paths(directory.as_ref())?);
        Ok(self)
    }

    /// Finds module `name` of the standard library, and all beneath it, where a path has it.
    pub fn standard(mut self, name: impl Into<String>) -> Self {
        self.standard.push(name.into());
        self
    }
}

/// A search path that cannot be searched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FinderError {
    /// There is nothing of that name.
    #[error("no such file or directory: {}", path.display())]
    Missing {
        /// As it was given.
        path: PathBuf,
    },
    /// It is a file and no zip archive.
    #[error("{} is neither a directory nor a zip archive", path.display())]
    NotAnArchive {
        /// As it was given.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
    /// The system does not let us look.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// As it was given.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A virtual environment without a place for packages.
    #[error("{} is no virtual environment: it has no lib/python*/site-packages", path.display())]
    NoSitePackages {
        /// As it was given.
        path: PathBuf,
    },
}

/// Finds modules and their data files as Python does, without executing anything.
///
/// Directories are looked at when they are first needed and remembered for the life of the finder:
/// modules that are added or removed later are not noticed. May be shared by threads.
#[derive(Debug)]
pub struct Finder {
    search: Search,
}

impl Finder {
    /// A finder of what is there now.
    ///
    /// # Errors
    /// A path of the options is not there, or is no directory and no archive.
    pub fn new(options: &FinderOptions) -> Result<Self, FinderError> {
        let mut entries = Vec::new();
        let mut seen = Vec::new();
        for path in &options.paths {
            let path = std::path::absolute(path)
                .map_err(|source| FinderError::Unreadable { path: path.clone(), source })?;
            let entry = open(&path)?;
            let identity = path.canonicalize().unwrap_or(path);
            if !seen.contains(&identity) {
                seen.push(identity);
                entries.push(entry);
            }
        }
        Ok(Self { search: Search::new(entries, options.standard.clone()) })
    }
}

impl ModuleSource for Finder {
    fn find(&self, fullname: &str) -> Result<Option<Module>, ModuleError> {
        self.search.find(fullname)
    }

    fn resource(&self, package: &str, name: &str) -> Result<Option<Bytes>, ModuleError> {
        self.search.resource(package, name)
    }
}

/// The names of the modules directly beneath the package at `path`: its directory, or its
/// `__init__.py`. Sorted; extension modules and modules without source are there too, directories
/// without `__init__` are not.
///
/// # Errors
/// There is no such directory, or it cannot be read.
pub fn get_child_modules(path: impl AsRef<Path>) -> Result<Vec<String>, FinderError> {
    let path = path.as_ref();
    let is_module = path.extension().is_some();
    let package = match path.parent() {
        Some(parent) if is_module && !path.is_dir() => parent,
        _ => path,
    };
    let unreadable = |source| FinderError::Unreadable { path: package.to_owned(), source };
    let absolute = std::path::absolute(package).map_err(unreadable)?;
    children(&open(&absolute)?).map_err(|error| match error {
        ModuleError::Unreadable { path, source } => FinderError::Unreadable { path, source },
        other => FinderError::Unreadable { path: package.to_owned(), source: io::Error::other(other) },
    })
}

/// A directory, an archive, or a directory in an archive.
fn open(path: &Path) -> Result<Entry, FinderError> {
    let missing = || FinderError::Missing { path: path.to_owned() };
    for outer in path.ancestors() {
        let metadata = match fs::metadata(outer) {
            Ok(metadata) => metadata,
            Err(error) if is_absent(&error) => continue,
            Err(source) => return Err(FinderError::Unreadable { path: path.to_owned(), source }),
        };
        if metadata.is_dir() && outer == path {
            return entry(Arc::new(Directory::new(path.to_owned())), String::new(), path);
        }
        if !metadata.is_file() {
            return Err(missing());
        }
        let archive = Archive::open(outer)
            .map_err(|source| FinderError::NotAnArchive { path: path.to_owned(), source })?;
        let inner = path.strip_prefix(outer).ok().and_then(Path::to_str).ok_or_else(missing)?;
        if !(inner.is_empty() || is_inside(inner)) {
            return Err(missing());
        }
        return entry(Arc::new(archive), inner.to_owned(), path);
    }
    Err(missing())
}

/// A place that is there, marked if it is an interpreter's own.
fn entry(tree: Arc<dyn Tree>, directory: String, path: &Path) -> Result<Entry, FinderError> {
    let names = tree
        .list(&directory)
        .map_err(|source| FinderError::Unreadable { path: path.to_owned(), source })?
        .ok_or_else(|| FinderError::Missing { path: path.to_owned() })?;
    // These three are in every standard library from 2.7 on and in no other directory together.
    let standard = ["os.py", "site.py", "codecs.py"].iter().all(|name| names.contains_key(*name))
        || path.ends_with("lib-dynload");
    Ok(Entry { tree, directory, standard })
}

/// The path with symbolic links followed.
pub(super) fn real(path: &Path) -> Result<PathBuf, FinderError> {
    path.canonicalize().map_err(|source| {
        let path = path.to_owned();
        if is_absent(&source) {
            FinderError::Missing { path }
        } else {
            FinderError::Unreadable { path, source }
        }
    })
}

pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
