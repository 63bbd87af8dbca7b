//! Contexts on other hosts by libssh2, in the master's process, with a real sshd: logins, host keys, errors, bulk data,
//! disconnects. The transport takes the options of `ssh`, so the suite shares its helpers.
//!
//! Every test runs in its own process and must leak nothing, including on the remote side.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

#[path = "../common.rs"]
mod common;

mod bulk;
mod disconnects;
mod hosts;
mod logins;

use mitogen::transports::ssh2::{Options, Ssh2};

/// The transport with these options.
fn ssh2(options: Options) -> Ssh2 {
    Ssh2::new(options).expect("valid options")
}
