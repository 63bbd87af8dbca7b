//! Serving Python modules to contexts: replies to `GET_MODULE` and `GET_RESOURCE`, and preloading.
//!
//! [`Store`] finds, packs and caches modules. [`Responder`] replies to requests on a thread of its own, so
//! that the I/O thread never reads a file; [`ModulePreloader`] sends modules ahead of the calls that will import them, on
//! the calling thread. No module is sent twice over the same link (`mitogen_core::importer`).

mod delivery_mode;
mod pack;
mod policy;
mod preloader;
mod requests;
mod stats;
mod store;

pub use policy::ImportPolicy;
pub use stats::ModuleStats;

pub(crate) use delivery_mode::{DeliveryMode, ScopedContexts};
pub(crate) use preloader::ModulePreloader;
pub(crate) use requests::Responder;
pub(crate) use store::Store;
