//! The Python runtime: what is sent to start a Python child. Text in, bytes out, no I/O.
//!
//! [`Python`] is a [`Runtime`](mitogen_core::runtime::Runtime). It starts a child by a command line
//! whose interpreter runs a short first stage; the stage reads the compressed runtime from its standard
//! input and runs it in place, and the runtime reads its configuration from the same stream. The
//! runtime is the same for every child, and made by `build.rs` from the sources in `python/`. Modules
//! that only some children need travel as ordinary `LOAD_MODULE` messages.
//!
//! ```
//! use mitogen_core::runtime::{BootRequest, ChildConfig, Runtime};
//! use mitogen_python::Python;
//!
//! let python = Python::with_interpreter(["/usr/bin/env", "python3"]);
//! let config = ChildConfig::new(1, vec![0], "local");
//! let boot = python.boot(&BootRequest::new(&config, "me@laptop:1"))?;
//! assert_eq!(boot.argv[..3], ["/usr/bin/env", "python3", "-S"]);
//! # Ok::<(), mitogen_core::runtime::RuntimeError>(())
//! ```

mod bundle;
mod command;
mod config;
mod exits;
mod modules;
mod runtime;
// Used by `build.rs`.
#[cfg(test)]
mod sources;
#[cfg(test)]
mod tests;

pub use bundle::{runtime, runtime_size};
pub use command::{FIRST_STAGE, command, first_stage_arguments, with_interpreter};
pub use exits::interpreter_exits;
pub use modules::{EmbeddedModule, embedded_module, minify};
pub use runtime::Python;
