//! Chains of hops with different methods: ssh, sudo, su and doas in a row; what is sent along them, and disconnects in
//! the middle.
//!
//! Every test runs in its own process and must leak nothing, including on the remote side.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

#[path = "../common.rs"]
mod common;

mod detached;
mod disconnects;
mod five;
mod mixed;
mod network_loss;
mod siblings;
