//! Contexts on other hosts, by a real ssh and a real sshd: ways in, refusals, crowds, commands, losses.
//!
//! Every test runs in a process of its own and must leave nothing behind, on the remote side either.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

#[path = "../common.rs"]
mod common;

mod commands;
mod crowds;
mod disconnects;
mod hosts;
mod logins;
mod masters;
mod shells;
