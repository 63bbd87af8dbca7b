//! Which modules a source imports, without executing it.
//!
//! Reads tokens and nothing else, so it does not matter for which version of Python the source is.

mod calls;
mod names;
mod scan;

pub(super) use names::parent;
pub use scan::{Import, imports};
