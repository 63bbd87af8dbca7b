//! The master's library.

pub mod profiles;
pub mod targets;
