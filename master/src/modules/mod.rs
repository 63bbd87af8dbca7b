//! Python modules on this side: where they come from.
//!
//! Knows nothing of contexts and messages: [`ModuleSource`]s are asked for a module by name, and
//! `crate::responder` sends what they give. Nothing here executes Python.

mod archive;
mod directory;
mod embedded;
mod finder;
#[cfg(test)]
mod finder_tests;
mod imports;
#[cfg(test)]
mod imports_tests;
mod main_script;
mod related;
#[cfg(test)]
mod related_tests;
mod search;
mod source;
mod statements;
mod stdlib;
mod stdlib_names;
mod suffixes;
mod tree;
mod virtual_env;

pub use embedded::EmbeddedDir;
pub use finder::{Finder, FinderError, FinderOptions, get_child_modules};
pub use imports::{Import, imports};
pub use main_script::{MainScriptError, neutralize};
pub use related::{MOST_RELATED, Related, related};
pub use source::{Module, ModuleError, ModuleSource};
pub use stdlib::is_standard;

/// For [`embed!`](crate::embed), which is expanded where this crate's dependencies have no name.
#[doc(hidden)]
pub use include_dir as __include_dir;
