//! Contexts by the real sudo, su and doas: started by the master, by a local context, and by a context on another host.
//!
//! Each tool is started by the master, whose dialogue engine is in Rust, and by a context, whose engine is in Python.
//! Both must have the same outcome.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

#[path = "../common.rs"]
mod common;

mod chains;
mod doas;
mod place;
mod stubs;
mod su;
mod sudo;
