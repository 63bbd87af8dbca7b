//! Calls to children on this machine: values, errors, chains, deadlines, disconnects.
//!
//! Every test runs in its own process and must leak no descriptor, thread, process or file.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

#[path = "../common.rs"]
mod common;

mod basics;
mod depth;
mod detached;
mod disconnects;
mod forks;
mod opened;
mod shutdown;
mod via;

use mitogen::{Context, Master, MasterOptions};

use common::{TIMEOUT, local as transport, master, started_by};

/// A master whose children run `python`.
fn master_with(python: &mitogen_tests::Python) -> Master {
    let settings = started_by(&[&python.path.to_string_lossy()]);
    Master::start(MasterOptions::default().settings(settings)).expect("a master starts")
}

/// A local child that is up.
fn local(master: &Master) -> Context {
    master.connect(&transport()).expect("a plan").wait().expect("a child")
}
