//! What a source of modules is.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

/// A Python module as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its dotted name.
    pub fullname: String,
    /// Where it is, for tracebacks there: children show `master:` and this.
    pub path: String,
    /// Its source as it stands, in whatever encoding it declares; empty for a namespace package.
    pub source: Bytes,
    /// For a package the names of its direct submodules (`dumps` for `json.dumps`), sorted; `None`
    /// for a module that is no package.
    pub submodules: Option<Vec<String>>,
}

impl Module {
    /// Whether it is a package.
    pub fn is_package(&self) -> bool {
        self.submodules.is_some()
    }
}

/// A module that is there and cannot be sent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// It is compiled for this machine, and there is no source that would do elsewhere.
    #[error("{fullname} is an extension module ({}), which cannot be sent: install it on the target", path.display())]
    Extension {
        /// The module.
        fullname: String,
        /// Its file.
        path: PathBuf,
    },
    /// It is compiled for one version of the interpreter, and its source is not there.
    #[error("{fullname} is there as bytecode only ({}), which cannot be sent: its source is needed", path.display())]
    Bytecode {
        /// The module.
        fullname: String,
        /// Its file.
        path: PathBuf,
    },
    /// A data file that does not lie in its package's directory.
    #[error("{name:?} is not served: it does not lie in the directory of package {package}")]
    Outside {
        /// The package.
        package: String,
        /// What was asked for.
        name: String,
    },
    /// Its file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// Where modules come from. Asked on worker threads; may block on files.
pub trait ModuleSource: fmt::Debug + Send + Sync {
    /// The module `fullname`; `None` when there is none of that name here.
    ///
    /// # Errors
    /// It is here and cannot be sent.
    fn find(&self, fullname: &str) -> Result<Option<Module>, ModuleError>;

    /// The data file `name` (`templates/a.html`) of package `package`; `None` when there is none.
    /// An empty name, or one that ends in `/`, asks what is in that directory: a name a line, those
    /// of directories with a `/` at their end.
    ///
    /// # Errors
    /// It is here and cannot be read.
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

/// Several sources: the first that has a module gives it, also when all it can give is the reason why it
/// cannot be sent.
impl<T: ModuleSource> ModuleSource for Vec<T> {
    fn find(&self, fullname: &str) -> Result<Option<Module>, ModuleError> {
        self.iter().find_map(|source| source.find(fullname).transpose()).transpose()
    }

    fn resource(&self, package: &str, name: &str) -> Result<Option<Bytes>, ModuleError> {
        self.iter().find_map(|source| source.resource(package, name).transpose()).transpose()
    }
}
