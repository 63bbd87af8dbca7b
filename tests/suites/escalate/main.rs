//! Becoming somebody else by the real sudo, su and doas: from here, from a context, and behind a host.
//!
//! Each tool is started in two places: by the master itself, whose engine is Rust's, and by a context, whose engine is
//! Python's. Both must come to the same end.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

#[path = "../common.rs"]
mod common;

mod chains;
mod doas;
mod place;
mod stubs;
mod su;
mod sudo;
