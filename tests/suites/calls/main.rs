//! Calls into real children on this machine: values, errors, chains, deadlines, losses.
//!
//! Every test runs in a process of its own and must leave nothing behind: no descriptor, thread, process or file.

mod basics;
mod depth;
mod detached;
mod disconnects;
mod forks;
mod shutdown;
mod via;

use std::time::Duration;

use mitogen::transports::local::{Local, Options};
use mitogen::{ChildSettings, Context, Master, MasterOptions, Python};

/// Longer than anything here takes, so that a hang is an error.
const PATIENCE: Duration = Duration::from_secs(60);

fn master() -> Master {
    Master::start(MasterOptions::default()).expect("a master starts")
}

/// A master whose children run `python`.
fn master_with(python: &mitogen_tests::Python) -> Master {
    let settings = ChildSettings::new(Python::with_interpreter([python.path.to_string_lossy()]));
    Master::start(MasterOptions::default().settings(settings)).expect("a master starts")
}

fn transport() -> Local {
    Local::new(Options::new()).unwrap()
}

fn local(master: &Master) -> Context {
    master.connect(&transport()).expect("a plan").wait().expect("a child")
}
