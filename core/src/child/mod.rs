//! What is sent to start a Python child: text in, bytes out, no I/O.
//!
//! A child is started by a command line ([`command`]) whose interpreter runs a short first stage;
//! the stage reads the compressed runtime from its standard input and runs it in place, and the
//! runtime reads its configuration from there too ([`preamble`]). The runtime is the
//! same for every child, and made by `build.rs`. Modules that only some children need
//! are found by [`embedded_module`] and travel as ordinary `LOAD_MODULE` messages. Children that run
//! stock Mitogen's core are [`stock_boot`]'s affair.

mod bundle;
mod command;
mod compact;
mod config;
mod modules;
// Used by `build.rs`.
#[cfg(test)]
mod parts;
mod stock;
#[cfg(test)]
mod tests;

pub use bundle::{preamble, runtime, runtime_size};
pub use command::{PythonSpec, STAGE, command, python_argv};
pub use compact::compact;
pub use config::ChildConfig;
pub use modules::{EmbeddedModule, embedded_module, embedded_related};
pub use stock::{
    BadPackage, PythonCore, STAGE as STOCK_STAGE, StockBoot, StockModule, StockPackage, Version, stock_boot,
};
