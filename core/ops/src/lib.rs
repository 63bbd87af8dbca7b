//! Commands and file transfers: what can be done with a context beyond calling functions in it.
//!
//! Both modules are the local side of a conversation whose remote side is part of the context's
//! runtime. They depend on `mitogen-core` alone, so a master, a client of a running session and a
//! context that has children of its own can all use them. The crate `mitogen` re-exports them as
//! `mitogen::command` and `mitogen::files`. The features `commands` and `files` select them; both are
//! on by default.

#[cfg(feature = "commands")]
pub mod command;
#[cfg(feature = "files")]
pub mod files;
