//! Children that run the core of upstream (Python) Mitogen instead of the runtime of this project
//! (docs/protocol.md, Bootstrap).
//!
//! The core is the user's own copy, given as data: an [`UpstreamPackage`]. This crate adds the first
//! stage, which uses the same markers and descriptors as upstream's, and the configuration. The stage
//! runs the core in its own interpreter, where upstream's starts a second one, and removes relative
//! entries from the module path. No I/O.

mod config;
mod package;
mod runtime;
#[cfg(test)]
mod tests;
mod version;

pub use package::{BadPackage, UpstreamModule, UpstreamPackage};
pub use runtime::{FIRST_STAGE, Upstream};
pub use version::Version;
