//! Contexts on other hosts, by a real ssh and sshd: logins, errors, many connections, commands, disconnects.
//!
//! Every test runs in its own process and must leak nothing, including on the remote side.

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
