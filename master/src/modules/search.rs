//! Python's search for a module, over file trees.
//!
//! The rules are those of the interpreter's path finder and of PEP 420, with one difference: a
//! source file is preferred to an extension module of the same name in the same directory, because only
//! the source works on other platforms. Names are compared with directory listings, so they are
//! case-sensitive on every file system. `finder.rs` and `embedded.rs` provide the trees.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::error::ModuleError;
use super::file_tree::{FileKind, FileTree, Listing, is_inside, join};
use super::module_names::{Form, best, is_identifier, is_standard, module_name};
use super::source::Module;

/// A search path.
#[derive(Debug, Default)]
pub(super) struct Search {
    entries: Vec<PathEntry>,
    /// Modules of the standard library to be found, including their submodules.
    standard: Vec<String>,
}

/// An entry of the search path, or a directory of a package: a directory of a tree.
#[derive(Clone, Debug)]
pub(super) struct PathEntry {
    pub(super) tree: Arc<dyn FileTree>,
    pub(super) directory: String,
    /// Whether it is part of the standard library of an interpreter.
    pub(super) standard: bool,
}

impl PathEntry {
    /// The listing; `None` for a directory without read permission, which Python ignores, too.
    fn list(&self) -> Result<Option<Arc<Listing>>, ModuleError> {
        match self.tree.list(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
            listing => listing.map_err(|source| unreadable(self.display_path(), source)),
        }
    }

    fn enter(&self, name: &str) -> Self {
        Self { directory: join(&self.directory, name), ..self.clone() }
    }

    fn display_path(&self) -> PathBuf {
        self.tree.display_path(&self.directory)
    }
}

/// The location of a module.
#[derive(Debug)]
enum Found {
    /// A module in one file.
    Module(ModuleFile),
    /// A package: its `__init__`, and the directories of its submodules.
    Package(ModuleFile, Vec<PathEntry>),
    /// A namespace package: directories without `__init__`.
    Namespace(Vec<PathEntry>),
}

/// The file of a module.
#[derive(Debug)]
struct ModuleFile {
    tree: Arc<dyn FileTree>,
    path: String,
    form: Form,
}

impl Search {
    pub(super) fn new(entries: Vec<PathEntry>, standard: Vec<String>) -> Self {
        Self { entries, standard }
    }

    /// See [`super::ModuleSource::find`].
    pub(super) fn find(&self, fullname: &str) -> Result<Option<Module>, ModuleError> {
        let Some(found) = self.locate(fullname)? else { return Ok(None) };
        let (file, directories) = match found {
            Found::Namespace(directories) => {
                let path = directories.first().map(PathEntry::display_path).unwrap_or_default();
                return Ok(Some(Module {
                    fullname: fullname.to_owned(),
                    path: path.to_string_lossy().into_owned(),
                    source: Bytes::new(),
                    submodules: Some(submodules(&directories)?),
                }));
            }
            Found::Module(file) => (file, None),
            Found::Package(file, directories) => (file, Some(directories)),
        };
        let path = file.tree.display_path(&file.path);
        let fullname = fullname.to_owned();
        match file.form {
            Form::Extension => return Err(ModuleError::Extension { fullname, path }),
            Form::Bytecode => return Err(ModuleError::Bytecode { fullname, path }),
            Form::Source => {}
        }
        let source = file.tree.read(&file.path).map_err(|source| unreadable(path.clone(), source))?;
        let submodules = directories.map(|directories| submodules(&directories)).transpose()?;
        Ok(Some(Module { fullname, path: path.to_string_lossy().into_owned(), source, submodules }))
    }

    /// See [`super::ModuleSource::resource`].
    pub(super) fn resource(&self, package: &str, name: &str) -> Result<Option<Bytes>, ModuleError> {
        let refuse = || ModuleError::Outside { package: package.to_owned(), name: name.to_owned() };
        let listed = if name.is_empty() { Some("") } else { name.strip_suffix('/') };
        if !listed.unwrap_or(name).is_empty() && !is_inside(listed.unwrap_or(name)) {
            return Err(refuse());
        }
        let directories = match self.locate(package)? {
            Some(Found::Package(_, directories) | Found::Namespace(directories)) => directories,
            Some(Found::Module(_)) | None => return Ok(None),
        };
        if let Some(inner) = listed {
            return listing(&directories, inner);
        }
        let (inner, last) = name.rsplit_once('/').unwrap_or(("", name));
        for entry in directories {
            let directory = if inner.is_empty() { entry.clone() } else { entry.enter(inner) };
            if directory.list()?.and_then(|names| names.get(last).copied()) != Some(FileKind::File) {
                continue;
            }
            let path = join(&directory.directory, last);
            let fail = |source| unreadable(entry.tree.display_path(&path), source);
            if !entry.tree.is_below(&entry.directory, &path).map_err(fail)? {
                return Err(refuse());
            }
            return entry.tree.read(&path).map(Some).map_err(fail);
        }
        Ok(None)
    }

    /// Searches for each part of a dotted name in turn.
    fn locate(&self, fullname: &str) -> Result<Option<Found>, ModuleError> {
        let mut parts = fullname.split('.');
        if parts.clone().any(|part| part.is_empty() || !is_inside(part) || part.contains('/')) {
            return Ok(None);
        }
        // `split` gives at least one part.
        let Some(top) = parts.next() else { return Ok(None) };
        let hidden = is_standard(top) && !self.is_wanted(fullname);
        let roots = self.entries.iter().filter(|entry| !(hidden && entry.standard));
        let mut found = step(roots, top)?;
        for part in parts {
            let directories = match found {
                Some(Found::Package(_, directories) | Found::Namespace(directories)) => directories,
                Some(Found::Module(_)) | None => return Ok(None),
            };
            found = step(directories.iter(), part)?;
        }
        Ok(found)
    }

    /// Whether the module, one of its parents or one of its submodules is in `standard`.
    fn is_wanted(&self, fullname: &str) -> bool {
        let is_in = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.standard.iter().any(|name| is_in(fullname, name) || is_in(name, fullname))
    }
}

/// Searches for one part of a dotted name in the directories of its package.
fn step<'a>(
    directories: impl Iterator<Item = &'a PathEntry> + Clone,
    name: &str,
) -> Result<Option<Found>, ModuleError> {
    let mut portions = Vec::new();
    for (index, entry) in directories.clone().enumerate() {
        let Some(names) = entry.list()? else { continue };
        let inner = (names.get(name) == Some(&FileKind::Directory)).then(|| entry.enter(name));
        if let Some(inner) = &inner
            && let Some(members) = inner.list()?
            && let Some((file, form)) = best(&members, "__init__")
        {
            let init = ModuleFile { tree: Arc::clone(&inner.tree), path: join(&inner.directory, file), form };
            let mut portions = vec![inner.clone()];
            let later = directories.skip(index + 1);
            portions.extend(extension(&init, later, name)?);
            return Ok(Some(Found::Package(init, portions)));
        }
        if let Some((file, form)) = best(&names, name) {
            let path = join(&entry.directory, file);
            return Ok(Some(Found::Module(ModuleFile { tree: Arc::clone(&entry.tree), path, form })));
        }
        portions.extend(inner);
    }
    Ok((!portions.is_empty()).then_some(Found::Namespace(portions)))
}

/// The further directories of a namespace package from before PEP 420: a package whose `__init__` calls
/// `pkgutil.extend_path` or `pkg_resources.declare_namespace` has submodules in every directory of its
/// name on the search path.
fn extension<'a>(
    init: &ModuleFile,
    later: impl Iterator<Item = &'a PathEntry>,
    name: &str,
) -> Result<Vec<PathEntry>, ModuleError> {
    let mut more = Vec::new();
    for entry in later {
        if entry.list()?.is_some_and(|names| names.get(name) == Some(&FileKind::Directory)) {
            more.push(entry.enter(name));
        }
    }
    // Most packages have one directory, and then the source need not be read.
    if more.is_empty() || init.form != Form::Source {
        return Ok(Vec::new());
    }
    let fail = |source| unreadable(init.tree.display_path(&init.path), source);
    let source = init.tree.read(&init.path).map_err(fail)?;
    let mentions = |word: &[u8]| source.windows(word.len()).any(|window| window == word);
    let extends = mentions(b"extend_path") || mentions(b"declare_namespace");
    Ok(if extends { more } else { Vec::new() })
}

/// The names of a package's direct submodules. A directory without `__init__` counts if there are modules
/// below it: a directory of data files called `email` must not hide the standard module from a Python 2
/// package that imports `email`.
fn submodules(directories: &[PathEntry]) -> Result<Vec<String>, ModuleError> {
    let mut members = BTreeSet::new();
    for entry in directories {
        let Some(names) = entry.list()? else { continue };
        for (name, kind) in names.iter() {
            match kind {
                FileKind::File => {
                    members.extend(module_name(name).filter(|name| *name != "__init__").map(str::to_owned));
                }
                FileKind::Directory if is_identifier(name) && holds_modules(&entry.enter(name), DEPTH)? => {
                    members.insert(name.clone());
                }
                FileKind::Directory => {}
            }
        }
    }
    Ok(members.into_iter().collect())
}

/// The depth to which directories are searched for modules, because symbolic links can form a cycle.
const DEPTH: usize = 4;

fn holds_modules(directory: &PathEntry, depth: usize) -> Result<bool, ModuleError> {
    let Some(names) = directory.list()? else { return Ok(false) };
    if names.iter().any(|(name, kind)| *kind == FileKind::File && module_name(name).is_some()) {
        return Ok(true);
    }
    for (name, kind) in names.iter() {
        if *kind == FileKind::Directory
            && depth > 0
            && is_identifier(name)
            && holds_modules(&directory.enter(name), depth - 1)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What `pkgutil.iter_modules` returns for a directory: module files, and directories with an
/// `__init__`.
pub(super) fn children(directory: &PathEntry) -> Result<Vec<String>, ModuleError> {
    let Some(names) = directory.list()? else { return Ok(Vec::new()) };
    let mut members = BTreeSet::new();
    for (name, kind) in names.iter() {
        match kind {
            FileKind::File => members.extend(module_name(name).filter(|name| *name != "__init__")),
            FileKind::Directory => {
                let inner = directory.enter(name).list()?;
                if !name.contains('.') && inner.is_some_and(|names| best(&names, "__init__").is_some()) {
                    members.insert(name);
                }
            }
        }
    }
    Ok(members.into_iter().map(str::to_owned).collect())
}

fn unreadable(path: PathBuf, source: io::Error) -> ModuleError {
    ModuleError::Unreadable { path, source }
}

/// The listing of the directory `inner` of a package, one name a line, those of directories with a `/`.
fn listing(package: &[PathEntry], inner: &str) -> Result<Option<Bytes>, ModuleError> {
    let mut lines = BTreeSet::new();
    let mut exists = false;
    for entry in package {
        let directory = if inner.is_empty() { entry.clone() } else { entry.enter(inner) };
        let Some(names) = directory.list()? else { continue };
        let fail = |source| unreadable(entry.tree.display_path(&directory.directory), source);
        let is_package = directory.directory == entry.directory;
        if !is_package && !entry.tree.is_below(&entry.directory, &directory.directory).map_err(fail)? {
            continue;
        }
        exists = true;
        let shown = names.iter().filter(|(name, _)| !name.contains('\n') && *name != "__pycache__");
        lines.extend(shown.map(|(name, kind)| match kind {
            FileKind::File => name.clone(),
            FileKind::Directory => format!("{name}/"),
        }));
    }
    Ok(exists.then(|| Bytes::from(lines.into_iter().collect::<Vec<_>>().join("\n"))))
}
