//! Connection profiles: `mitogen.toml` and how it says to reach hosts.
//!
//! [`Search`] finds the file, and [`ProfileFile`] refuses one that other users could have written. An
//! [`Inventory`] is its content, checked as a whole against the transports of a registry: all errors are
//! reported at once, each with its line and a hint. [`Inventory::resolve`] turns a target into a
//! [`Chain`]: the hops to it, in order, each with all of its options. This module reads files and
//! prompts for secrets; it connects nothing.

mod chain;
mod check;
mod diagnostic;
mod document;
mod error;
mod inventory;
mod options;
mod overrides;
mod profile;
mod profile_file;
mod resolve;
mod search;
mod secret;
mod terminal;

pub use chain::{Chain, Hop, HopKey};
pub use check::PluginLoader;
pub use diagnostic::{Diagnostic, Diagnostics, Origin};
pub use error::{ProfilesError, ResolveError};
pub use inventory::Inventory;
pub use overrides::{Become, Overrides};
pub use profile::{Defaults, Profile};
pub use profile_file::ProfileFile;
pub use search::Search;
pub use secret::{SecretError, SecretResolver, SecretSource, SecretStore, SystemSecrets};
