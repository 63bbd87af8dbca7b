//! The subcommands: each turns its arguments into a job or into text, and none imports another.

pub mod call;
pub mod complete;
pub mod minify;
pub mod ping;
pub mod plan;
pub mod plugins;
pub mod profiles;
pub mod run;
pub mod script;
pub mod serve;
pub mod transfer;
pub mod tree;
