//! Upstream (Python) Mitogen as a peer: children that run its core, and its own way of starting contexts.
//!
//! The package is the user's own copy, read from where it is installed ([`find`]); no part of it is shipped.
//! Children that run it are started with [`crate::ChildSettings`] whose runtime is
//! [`Upstream`], and are called like all others. Contexts below them are started with
//! [`connect`], since they cannot execute our plans.

mod connect;
mod find;
mod proxy;

pub use connect::{UpstreamConnectError, connect};
pub use find::{FindError, find, find_at, find_in};
pub use mitogen_upstream::{BadPackage, Upstream, UpstreamPackage, Version};
pub(crate) use proxy::listen;
