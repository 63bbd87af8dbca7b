//! Python modules on this side: where they come from.
//!
//! Knows nothing of contexts and messages: [`ModuleSource`]s are asked for a module by name, and
//! `crate::responder` sends what they give.

mod source;

pub use source::{Module, ModuleError, ModuleSource};
