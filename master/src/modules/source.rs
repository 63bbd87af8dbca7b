//! What a source of modules is.

use std::fmt;
use std::io;
use std::path::PathBuf;

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
    /// Its file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
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
    ///
    /// # Errors
    /// It is here and cannot be read.
    fn resource(&self, package: &str, name: &str) -> Result<Option<Bytes>, ModuleError>;
}
