//! Python's search for a module, over trees.
//!
//! The rules are those of the interpreter's path finder and of PEP 420, with one difference: a
//! source file is taken before an extension module of the same name in the same directory, since
//! only the source does elsewhere. Names are case-sensitive on every file system: they are compared
//! with listings. Knows no sources of trees; see `finder` and `embedded`.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::source::{Module, ModuleError};
use super::stdlib::is_standard;
use super::suffixes::{Form, best, is_identifier, module_name};
use super::tree::{Kind, Listing, Tree, is_inside, join};

/// A list of places, searched in order.
#[derive(Debug, Default)]
pub(super) struct Search {
    entries: Vec<Entry>,
    /// Names of the standard library that are found all the same, with all beneath them.
    standard: Vec<String>,
}

/// A place that modules are in: a directory of a tree.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) tree: Arc<dyn Tree>,
    pub(super) directory: String,
    /// Whether it is part of an interpreter's standard library.
    pub(super) standard: bool,
}

impl Entry {
    /// What is there. A directory that may not be read is passed over, as Python does.
    fn list(&self) -> Result<Option<Arc<Listing>>, ModuleError> {
        match self.tree.list(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
            told => told.map_err(|source| unreadable(self.place(), source)),
        }
    }

    fn enter(&self, name: &str) -> Self {
        Self { directory: join(&self.directory, name), ..self.clone() }
    }

    fn place(&self) -> PathBuf {
        self.tree.place(&self.directory)
    }
}

/// Where a module is.
#[derive(Debug)]
enum Found {
    /// A file that is a module.
    Module(File),
    /// A package: its `__init__`, and the directories its members are in.
    Package(File, Vec<Entry>),
    /// A package that is nothing but directories.
    Namespace(Vec<Entry>),
}

/// A file of a module.
#[derive(Debug)]
struct File {
    tree: Arc<dyn Tree>,
    path: String,
    form: Form,
}

impl Search {
    pub(super) fn new(entries: Vec<Entry>, standard: Vec<String>) -> Self {
        Self { entries, standard }
    }

    /// See [`super::ModuleSource::find`].
    pub(super) fn find(&self, fullname: &str) -> Result<Option<Module>, ModuleError> {
        let Some(found) = self.locate(fullname)? else { return Ok(None) };
        let (file, directories) = match found {
            Found::Namespace(directories) => {
                let path = directories.first().map(Entry::place).unwrap_or_default();
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
        let path = file.tree.place(&file.path);
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
            if directory.list()?.and_then(|names| names.get(last).copied()) != Some(Kind::File) {
                continue;
            }
            let path = join(&directory.directory, last);
            let fail = |source| unreadable(entry.tree.place(&path), source);
            if !entry.tree.is_below(&entry.directory, &path).map_err(fail)? {
                return Err(refuse());
            }
            return entry.tree.read(&path).map(Some).map_err(fail);
        }
        Ok(None)
    }

    /// Follows the parts of a name from package to package.
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

    /// Whether a module of the standard library was asked for, or is above one that was.
    fn is_wanted(&self, fullname: &str) -> bool {
        let is_in = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.standard.iter().any(|name| is_in(fullname, name) || is_in(name, fullname))
    }
}

/// Looks for one part of a name in the directories that it may be in.
fn step<'a>(
    directories: impl Iterator<Item = &'a Entry> + Clone,
    name: &str,
) -> Result<Option<Found>, ModuleError> {
    let mut portions = Vec::new();
    for (index, entry) in directories.clone().enumerate() {
        let Some(names) = entry.list()? else { continue };
        let inner = (names.get(name) == Some(&Kind::Directory)).then(|| entry.enter(name));
        if let Some(inner) = &inner
            && let Some(members) = inner.list()?
            && let Some((file, form)) = best(&members, "__init__")
        {
            let init = File { tree: Arc::clone(&inner.tree), path: join(&inner.directory, file), form };
            let mut portions = vec![inner.clone()];
            let later = directories.skip(index + 1);
            portions.extend(extension(&init, later, name)?);
            return Ok(Some(Found::Package(init, portions)));
        }
        if let Some((file, form)) = best(&names, name) {
            let path = join(&entry.directory, file);
            return Ok(Some(Found::Module(File { tree: Arc::clone(&entry.tree), path, form })));
        }
        portions.extend(inner);
    }
    Ok((!portions.is_empty()).then_some(Found::Namespace(portions)))
}

/// What a package of the kind before PEP 420 adds to its path: one whose `__init__` calls
/// `pkgutil.extend_path` or `pkg_resources.declare_namespace` has members in every directory of its
/// name on the search path.
fn extension<'a>(
    init: &File,
    later: impl Iterator<Item = &'a Entry>,
    name: &str,
) -> Result<Vec<Entry>, ModuleError> {
    let mut more = Vec::new();
    for entry in later {
        if entry.list()?.is_some_and(|names| names.get(name) == Some(&Kind::Directory)) {
            more.push(entry.enter(name));
        }
    }
    // Most packages have but one directory, and are not read for this.
    if more.is_empty() || init.form != Form::Source {
        return Ok(Vec::new());
    }
    let fail = |source| unreadable(init.tree.place(&init.path), source);
    let source = init.tree.read(&init.path).map_err(fail)?;
    let mentions = |word: &[u8]| source.windows(word.len()).any(|window| window == word);
    let extends = mentions(b"extend_path") || mentions(b"declare_namespace");
    Ok(if extends { more } else { Vec::new() })
}

/// The names of a package's direct members. A directory without `__init__` is one when there are
/// modules below it: a directory of data must not be taken for the module that a Python 2 package
/// means when it imports, say, `email`.
fn submodules(directories: &[Entry]) -> Result<Vec<String>, ModuleError> {
    let mut members = BTreeSet::new();
    for entry in directories {
        let Some(names) = entry.list()? else { continue };
        for (name, kind) in names.iter() {
            match kind {
                Kind::File => {
                    members.extend(module_name(name).filter(|name| *name != "__init__").map(str::to_owned));
                }
                Kind::Directory if is_identifier(name) && holds_modules(&entry.enter(name), DEPTH)? => {
                    members.insert(name.clone());
                }
                Kind::Directory => {}
            }
        }
    }
    Ok(members.into_iter().collect())
}

/// How far below a directory modules are looked for: symbolic links can make it endless.
const DEPTH: usize = 4;

fn holds_modules(directory: &Entry, depth: usize) -> Result<bool, ModuleError> {
    let Some(names) = directory.list()? else { return Ok(false) };
    if names.iter().any(|(name, kind)| *kind == Kind::File && module_name(name).is_some()) {
        return Ok(true);
    }
    for (name, kind) in names.iter() {
        if *kind == Kind::Directory
            && depth > 0
            && is_identifier(name)
            && holds_modules(&directory.enter(name), depth - 1)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The members of a directory that `pkgutil.iter_modules` would name: files that are modules, and
/// directories with an `__init__`.
pub(super) fn children(directory: &Entry) -> Result<Vec<String>, ModuleError> {
    let Some(names) = directory.list()? else { return Ok(Vec::new()) };
    let mut members = BTreeSet::new();
    for (name, kind) in names.iter() {
        match kind {
            Kind::File => members.extend(module_name(name).filter(|name| *name != "__init__")),
            Kind::Directory => {
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

/// What is in the directory `inner` of a package, a name a line, those of directories with a `/`.
fn listing(package: &[Entry], inner: &str) -> Result<Option<Bytes>, ModuleError> {
    let mut lines = BTreeSet::new();
    let mut exists = false;
    for entry in package {
        let directory = if inner.is_empty() { entry.clone() } else { entry.enter(inner) };
        let Some(names) = directory.list()? else { continue };
        let fail = |source| unreadable(entry.tree.place(&directory.directory), source);
        let is_package = directory.directory == entry.directory;
        if !is_package && !entry.tree.is_below(&entry.directory, &directory.directory).map_err(fail)? {
            continue;
        }
        exists = true;
        let shown = names.iter().filter(|(name, _)| !name.contains('\n') && *name != "__pycache__");
        lines.extend(shown.map(|(name, kind)| match kind {
            Kind::File => name.clone(),
            Kind::Directory => format!("{name}/"),
        }));
    }
    Ok(exists.then(|| Bytes::from(lines.into_iter().collect::<Vec<_>>().join("\n"))))
}
