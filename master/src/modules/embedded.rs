//! Modules that are embedded in the binary with the `include_dir` crate.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use include_dir::Dir;

use super::error::ModuleError;
use super::file_tree::{FileTree, Index, Listing, join};
use super::search::{PathEntry, Search};
use super::source::{Module, ModuleSource};

/// For [`embed!`](crate::embed), which is expanded in crates that need not depend on `include_dir`.
#[doc(hidden)]
pub use include_dir as __include_dir;

/// A directory of Python packages in the binary, created by [`embed!`](crate::embed).
pub struct EmbeddedDir {
    dir: Dir<'static>,
    label: &'static str,
    /// Created on the first search, because it cannot be created in a static.
    search: OnceLock<Search>,
}

impl EmbeddedDir {
    /// The expansion of [`embed!`](crate::embed); `label` is the name of the directory in tracebacks.
    #[doc(hidden)]
    pub const fn new(dir: Dir<'static>, label: &'static str) -> Self {
        Self { dir, label, search: OnceLock::new() }
    }

    fn search(&self) -> &Search {
        self.search.get_or_init(|| {
            let tree = Arc::new(Embedded::new(&self.dir, self.label));
            Search::new(vec![PathEntry { tree, directory: String::new(), standard: false }], Vec::new())
        })
    }
}

impl fmt::Debug for EmbeddedDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedDir").field("label", &self.label).finish_non_exhaustive()
    }
}

impl ModuleSource for EmbeddedDir {
    fn find(&self, fullname: &str) -> Result<Option<Module>, ModuleError> {
        self.search().find(fullname)
    }

    fn resource(&self, package: &str, name: &str) -> Result<Option<Bytes>, ModuleError> {
        self.search().resource(package, name)
    }
}

/// Embeds a directory of Python packages in the binary. The argument is the directory that would be on
/// `sys.path`; it may begin with an environment variable of the build.
///
/// ```
/// use mitogen::modules::{EmbeddedDir, ModuleSource};
///
/// static APP: EmbeddedDir = mitogen::embed!("$CARGO_MANIFEST_DIR/../core/runtimes/python/python");
///
/// let core = APP.find("core.stream")?.ok_or("not found")?;
/// assert!(core.path.ends_with("core/stream.py"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Packages, namespace packages and data files are found as in a directory. Every file of the directory
/// becomes part of the binary, including bytecode caches. Cargo rebuilds when a file changes; to rebuild
/// when files are added or removed, print `cargo::rerun-if-changed=` and the directory in a build script.
#[macro_export]
macro_rules! embed {
    ($folder:tt) => {{
        // The inner macro refers to its crate by name, and the caller need not depend on it.
        use $crate::modules::__include_dir as include_dir;
        $crate::modules::EmbeddedDir::new(include_dir::include_dir!($folder), env!("CARGO_PKG_NAME"))
    }};
}

/// The directory as a file tree.
#[derive(Debug)]
struct Embedded {
    label: &'static str,
    index: Index,
    files: HashMap<String, &'static [u8]>,
}

impl Embedded {
    fn new(dir: &Dir<'static>, label: &'static str) -> Self {
        let mut files = HashMap::new();
        collect(dir, &mut files);
        Self { label, index: Index::of(files.keys()), files }
    }
}

fn collect(dir: &Dir<'static>, files: &mut HashMap<String, &'static [u8]>) {
    for file in dir.files() {
        if let Some(path) = file.path().to_str() {
            files.insert(path.to_owned(), file.contents());
        }
    }
    dir.dirs().for_each(|inner| collect(inner, files));
}

impl FileTree for Embedded {
    fn list(&self, directory: &str) -> io::Result<Option<Arc<Listing>>> {
        Ok(self.index.list(directory))
    }

    fn read(&self, file: &str) -> io::Result<Bytes> {
        let content = self.files.get(file).ok_or(io::ErrorKind::NotFound)?;
        Ok(Bytes::from_static(content))
    }

    fn display_path(&self, path: &str) -> PathBuf {
        Path::new(self.label).join(path)
    }

    fn is_below(&self, directory: &str, path: &str) -> io::Result<bool> {
        Ok(path.starts_with(&join(directory, "")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static APP: EmbeddedDir = crate::embed!("$CARGO_MANIFEST_DIR/tests/embedded");

    #[test]
    fn packages_and_namespaces_are_found() {
        let rows = [
            ("app", Some(("mitogen/app/__init__.py", Some("shapes")))),
            ("app.shapes", Some(("mitogen/app/shapes.py", None))),
            ("space", Some(("mitogen/space", Some("inner")))),
            ("space.inner", Some(("mitogen/space/inner.py", None))),
            ("app.none", None),
            ("app/shapes", None),
        ];
        for (name, expected) in rows {
            let found = APP.find(name).unwrap();
            let told = found.as_ref().map(|module| {
                (module.path.as_str(), module.submodules.as_ref().map(|members| members.join(" ")))
            });
            let expected = expected.map(|(path, members)| (path, members.map(str::to_owned)));
            assert_eq!(told, expected, "{name}");
        }
        assert!(APP.find("space").unwrap().unwrap().source.is_empty());
    }

    #[test]
    fn data_files_are_found() {
        let source: Arc<dyn ModuleSource> = Arc::new(&APP);
        let greeting = source.resource("app", "texts/greeting.txt").unwrap();
        assert_eq!(greeting.as_deref(), Some(b"hello\n".as_slice()));
        assert_eq!(source.resource("app", "texts").unwrap(), None);
        assert!(source.resource("app", "../space/inner.py").is_err());
    }
}
