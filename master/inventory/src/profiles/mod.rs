//! Connection profiles: `mitogen.toml` and what it says about reaching machines.
//!
//! [`Search`] finds the file and refuses one that others could have written. [`Inventory`] is what it
//! says, checked as a whole against the transports of a registry: every fault is reported at its
//! line with what to do about it. [`Inventory::resolve`] turns a target into a [`Chain`]: the hops to
//! it, in order, each complete. Reads files and asks for secrets; never connects.

mod chain;
mod check;
mod diagnostic;
mod discover;
mod document;
mod inventory;
mod options;
mod secret;
mod terminal;

pub use chain::{Chain, Hop, HopKey};
pub use diagnostic::{Diagnostic, Diagnostics, Origin};
pub use discover::{ProfilesError, Search, Source};
pub use inventory::{Become, Defaults, Inventory, Overrides, Profile, ResolveError};
pub use secret::{SecretError, SecretResolver, SecretSource, SecretStore, SystemSecrets};
