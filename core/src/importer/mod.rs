//! Python modules on their way to those who import them.
//!
//! Sends what it is given and asks nobody: where modules come from is the master's affair.
//! Invariants: a module crosses a link of ours at most once; those between are told to see it
//! through to the context that it is for, and hold themselves to the same rule.

mod deliver;
mod message;
mod preload;
mod sent_cache;

pub use deliver::{deliver, deliver_past, push_module};
pub use message::{embedded_payload, negative_payload, payload, resource_payload};
pub use preload::{Preloader, preloader, set_preloader};
pub use sent_cache::SentCache;
