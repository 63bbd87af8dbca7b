//! Loading shared objects that add transports.
//!
//! [`load`] checks that no other user could have written the file, loads it, checks its table and returns a
//! [`TransportKind`] like any other. A plugin answers with a plan, and a plan is checked like a stranger's data: unknown
//! fields, secrets, sizes and everything that [`Plan::validate`] checks. Plugins are loaded by masters only; contexts get
//! plans. A library that was loaded is never unloaded, because its threads and its thread-local destructors may still run.
//!
//! `library.rs` is the only module with `unsafe`.
//!
//! [`Plan::validate`]: mitogen_core::connect::Plan::validate

mod error;
mod library;
mod reply;
mod schema;
mod search;
mod transport;
mod trust;

pub use error::LoadError;
pub use search::find;
pub use transport::{load, load_all};

#[doc(no_inline)]
pub use mitogen_core::connect::TransportKind;
