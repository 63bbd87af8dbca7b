//! Sources of Python modules: local directories, archives, virtual environments and embedded directories.
//!
//! A [`ModuleSource`] returns a module by name; `crate::responder` sends it to the contexts that import it.
//! This module knows nothing about contexts and messages, and never executes Python code.

#[cfg(feature = "zip")]
mod archive;
mod directory;
mod embedded;
mod error;
mod file_tree;
mod finder;
#[cfg(test)]
#[cfg(feature = "zip")]
mod finder_tests;
mod imports;
#[cfg(test)]
mod imports_tests;
mod main_script;
mod module_names;
mod related;
#[cfg(test)]
mod related_tests;
mod search;
mod source;
mod statements;
mod stdlib_names;
mod virtual_env;

pub use embedded::{__include_dir, EmbeddedDir};
pub use error::{FinderError, ModuleError};
pub use finder::{Finder, FinderOptions, get_child_modules};
pub use imports::{Import, imports};
pub use main_script::{MainScriptError, neutralize};
pub use module_names::is_standard;
pub use related::{MAX_RELATED, Related, related};
pub use source::{Module, ModuleSource};
