//! The foundation of Mitogen for Rust: messages, bytes, descriptors and one loop.
//!
//! The modules are listed bottom level first; a module uses only modules of lower levels (see
//! `ARCHITECTURE.md`). This crate names no transport and knows no configuration file or command line.

// Level 0
pub mod error;
pub mod glob;
pub mod ids;
pub mod seconds;
pub mod secret;
pub mod suggest;
// Level 1
pub mod dialogue;
pub mod pickle;
pub mod runtime;
pub mod sync;
pub mod sys;
pub mod wire;
// Level 2
pub mod io;
// Level 3
pub mod broker;
// Level 4
pub mod router;
// Level 5
pub mod call;
pub mod importer;
pub mod logging;
pub mod service;
pub mod unix;
// Level 6
pub mod connect;
// Level 7
pub mod node;
