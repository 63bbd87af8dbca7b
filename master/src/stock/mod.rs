//! Stock Mitogen as a peer: children that run its core, and its own way of starting contexts.
//!
//! The package is the user's own, read from where he has it ([`find`]); nothing of it is shipped.
//! Children that run it are started with [`crate::ChildSettings`] whose runtime is [`Upstream`], and are
//! called like any others. Contexts below them are started by
//! [`connect`]: stock's way, since they cannot carry out our plans.

mod connect;
mod find;
mod proxy;

pub use connect::{StockConnectError, connect};
pub use find::{FindError, find, find_at, find_in};
pub use mitogen_upstream::{BadPackage, Upstream, UpstreamPackage, Version};
pub(crate) use proxy::listen;
