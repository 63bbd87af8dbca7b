//! The trait of module sources.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::error::ModuleError;

/// A Python module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The full dotted name.
    pub fullname: String,
    /// The path to show in tracebacks on the remote host, after `master:`.
    pub path: String,
    /// The source in the encoding that it declares; empty for a namespace package.
    pub source: Bytes,
    /// For a package, the sorted names of its direct submodules (`decoder` for `json.decoder`); `None` for
    /// a module that is not a package.
    pub submodules: Option<Vec<String>>,
}

impl Module {
    /// Whether the module is a package.
    pub fn is_package(&self) -> bool {
        self.submodules.is_some()
    }
}

/// A source of modules. Called on worker threads, so it may block on files.
pub trait ModuleSource: fmt::Debug + Send + Sync {
    /// The module `fullname`; `None` if this source does not have it.
    ///
    /// # Errors
    /// The module was found and cannot be sent.
    fn find(&self, fullname: &str) -> Result<Option<Module>, ModuleError>;

    /// The data file `name` (`templates/a.html`) of package `package`; `None` if it does not exist.
    /// For an empty name, and for one that ends in `/`, the listing of that directory: one name a line,
    /// those of directories with a trailing `/`.
    ///
    /// # Errors
    /// The file was found and cannot be read.
    fn resource(&self, package: &str, name: &str) -> Result<Option<Bytes>, ModuleError>;
}

impl<T: ModuleSource + ?Sized> ModuleSource for &T {
    fn find(&self, fullname: &str) -> Result<Option<Module>, ModuleError> {
        T::find(self, fullname)
    }

    fn resource(&self, package: &str, name: &str) -> Result<Option<Bytes>, ModuleError> {
        T::resource(self, package, name)
    }
}

impl<T: ModuleSource + ?Sized> ModuleSource for Arc<T> {
    fn find(&self, fullname: &str) -> Result<Option<Module>, ModuleError> {
        T::find(self, fullname)
    }

    fn resource(&self, package: &str, name: &str) -> Result<Option<Bytes>, ModuleError> {
        T::resource(self, package, name)
    }
}

/// Several sources in order. The first that has a module determines the result, even if the module cannot
/// be sent.
impl<T: ModuleSource> ModuleSource for Vec<T> {
    fn find(&self, fullname: &str) -> Result<Option<Module>, ModuleError> {
        self.iter().find_map(|source| source.find(fullname).transpose()).transpose()
    }

    fn resource(&self, package: &str, name: &str) -> Result<Option<Bytes>, ModuleError> {
        self.iter().find_map(|source| source.resource(package, name).transpose()).transpose()
    }
}
