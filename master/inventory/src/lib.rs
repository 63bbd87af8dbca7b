//! The inventory: connection profiles (`mitogen.toml`) and the target expressions that select hosts.
//!
//! [`profiles::Inventory`] is a checked profile file, [`targets::Expression`] a parsed selection of
//! its hosts, and [`profiles::Chain`] the complete options of the connections to one host. Reads
//! files and asks for secrets; connects nothing.

pub mod profiles;
pub mod targets;
