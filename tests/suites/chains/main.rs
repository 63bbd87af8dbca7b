//! Chains of hops of different kinds: one after the other over the network and through sudo, su and doas, what
//! passes along them, and what becomes of them when something in the middle goes.
//!
//! Every test runs in a process of its own and must leave nothing behind, on the remote side either.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

#[path = "../common.rs"]
mod common;

mod detached;
mod disconnects;
mod five;
mod mixed;
mod network_loss;
mod siblings;
