//! The modules that a source imports, found without executing it.
//!
//! The scan uses tokens only, so it works for sources of every version of Python.

mod calls;
mod names;
mod scan;

pub(super) use names::parent;
pub use scan::{Import, imports};
