//! Modules from local directories and archives.
//!
//! This file makes the search path; `search.rs` searches it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

#[cfg(feature = "zip")]
use super::archive::Archive;
use super::directory::Directory;
use super::error::{FinderError, ModuleError, is_absent, real_path};
use super::file_tree::{FileTree, is_inside};
use super::search::{PathEntry, Search, children};
use super::source::{Module, ModuleSource};
use super::virtual_env;

/// The search path of a [`Finder`].
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
    /// Directories and zip archives, searched in order like Python's `sys.path`. A directory inside an
    /// archive is written `app.zip/lib`. Archives need the feature `zip`.
    pub paths: Vec<PathBuf>,
    /// Modules of the standard library, including their submodules, that are found where one of the paths
    /// is the library of an interpreter. By default none of them are.
    pub standard: Vec<String>,
}

impl FinderOptions {
    /// Adds `path` at the end of the search path.
    pub fn path(mut self, path: impl Into<PathBuf>) -> Self {
        self.paths.push(path.into());
        self
    }

    /// Adds at the front what Python adds when it runs `program`: the directory of the file, after
    /// symbolic links are followed, or the program itself if it is a directory or an archive.
    ///
    /// # Errors
    /// The program does not exist.
    pub fn program(mut self, program: impl AsRef<Path>) -> Result<Self, FinderError> {
        let real = real_path(program.as_ref())?;
        let is_script = real.is_file() && open_archive(&real).is_err();
        let place = if is_script { real.parent().unwrap_or(&real).to_owned() } else { real };
        self.paths.insert(0, place);
        Ok(self)
    }

    /// Adds the `site-packages` of a virtual environment, and the directories that its `.pth` files add.
    /// Lines of `.pth` files that are code are not executed, so packages that only such code makes
    /// importable (some editable installations) must be added with [`Self::path`]. System packages
    /// are not added, even if the environment uses them.
    ///
    /// # Errors
    /// The environment has no `site-packages`, or they cannot be read.
    pub fn virtual_env(mut self, directory: impl AsRef<Path>) -> Result<Self, FinderError> {
        self.paths.extend(virtual_env::paths(directory.as_ref())?);
        Ok(self)
    }

    /// Also finds module `name` of the standard library, and its submodules, where a path has it.
    pub fn standard(mut self, name: impl Into<String>) -> Self {
        self.standard.push(name.into());
        self
    }
}

/// Finds modules and their data files as Python does, without executing code.
///
/// Directory listings are cached for the life of the finder, so modules that are added or removed later
/// are not noticed. Threads can share a finder.
///
/// ```
/// use mitogen::modules::{Finder, FinderOptions, ModuleSource};
///
/// let directory = tempfile::tempdir()?;
/// std::fs::write(directory.path().join("greeting.py"), "def hello(): return 'hi'\n")?;
/// let finder = Finder::new(&FinderOptions::default().path(directory.path()))?;
/// let module = finder.find("greeting")?.ok_or("not found")?;
/// assert!(!module.is_package());
/// assert!(finder.find("missing")?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Finder {
    search: Search,
}

impl Finder {
    /// Opens the search path.
    ///
    /// # Errors
    /// A path does not exist, or is neither a directory nor an archive.
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

/// The sorted names of the modules directly below the package at `path`, which is its directory or its
/// `__init__.py`. Extension modules and modules without source are included; directories without
/// `__init__` are not.
///
/// # Errors
/// The directory does not exist, or cannot be read.
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

/// Opens a directory, an archive, or a directory inside an archive.
fn open(path: &Path) -> Result<PathEntry, FinderError> {
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
        let archive = open_archive(outer)
            .map_err(|source| FinderError::NotAnArchive { path: path.to_owned(), source })?;
        let inner = path.strip_prefix(outer).ok().and_then(Path::to_str).ok_or_else(missing)?;
        if !(inner.is_empty() || is_inside(inner)) {
            return Err(missing());
        }
        return entry(archive, inner.to_owned(), path);
    }
    Err(missing())
}

#[cfg(feature = "zip")]
fn open_archive(path: &Path) -> io::Result<Arc<dyn FileTree>> {
    Ok(Arc::new(Archive::open(path)?))
}

#[cfg(not(feature = "zip"))]
fn open_archive(_: &Path) -> io::Result<Arc<dyn FileTree>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this program was built without support for zip archives"))
}

/// Checks that the directory exists, and whether it is the library of an interpreter.
fn entry(tree: Arc<dyn FileTree>, directory: String, path: &Path) -> Result<PathEntry, FinderError> {
    let names = tree
        .list(&directory)
        .map_err(|source| FinderError::Unreadable { path: path.to_owned(), source })?
        .ok_or_else(|| FinderError::Missing { path: path.to_owned() })?;
    // Every standard library since 2.7 has these three files, and no other directory has all of them.
    let standard = ["os.py", "site.py", "codecs.py"].iter().all(|name| names.contains_key(*name))
        || path.ends_with("lib-dynload");
    Ok(PathEntry { tree, directory, standard })
}
