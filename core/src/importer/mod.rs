//! Sending Python modules to the contexts that import them.
//!
//! Does not know where modules come from: that is the master's part. Invariants: a module crosses each
//! link of this context at most once; intermediates are told to forward it (`FORWARD_MODULE`), and
//! follow the same rule.

mod deliver;
mod message;
mod preload;
mod sent_cache;

pub use deliver::{deliver, deliver_direct};
pub use message::{negative_payload, payload, resource_payload};
pub use preload::{Preloader, preloader, set_preloader};
pub use sent_cache::SentCache;
