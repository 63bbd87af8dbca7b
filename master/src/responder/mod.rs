//! Modules for the tree: answers to `GET_MODULE` and `GET_RESOURCE`, and what goes ahead of calls.
//!
//! [`Store`] finds, packs and remembers; a thread of its own answers questions, so that the I/O
//! thread never reads a file; [`ModulePreloader`] sends modules ahead of the calls that will import them, on
//! the thread that calls. What has crossed a link is never sent over it again
//! (`mitogen_core::importer`).

mod delivery_mode;
mod pack;
mod policy;
mod preloader;
mod questions;
mod stats;
mod store;

pub use policy::ImportPolicy;
pub use stats::ModuleStats;

pub(crate) use delivery_mode::{DeliveryMode, Guests};
pub(crate) use preloader::ModulePreloader;
pub(crate) use questions::Responder;
pub(crate) use store::Store;
