//! Other processes in our tree: our own clients, those who may not join, and what is left when somebody
//! goes. (Stock's clients are in the suite `interop`.)

// Helpers of tests are tests, which clippy does not see in a file of its own.
#![allow(clippy::unwrap_used)]

#[path = "../common.rs"]
mod common;

mod auth;
mod clients;
#[path = "../frame_log.rs"]
mod frame_log;
#[path = "../loads.rs"]
mod loads;
mod preload;
mod scoped;

use std::path::Path;

use mitogen::{Context, Listener, Master};
use tempfile::TempDir;

use common::{local, master, started_by};

/// A master with a socket in a directory of its own.
struct Open {
    // Dropped in this order: the socket before the directory that it is in.
    listener: Listener,
    master: Master,
    _directory: TempDir,
}

impl Open {
    fn new() -> Self {
        Self::with(master())
    }

    fn with(master: Master) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = master.listen(Some(&directory.path().join("t.sock"))).expect("a socket");
        Self { listener, master, _directory: directory }
    }

    fn path(&self) -> &Path {
        self.listener.path()
    }

    fn child(&self) -> Context {
        self.master.connect(&local()).expect("a plan").wait().expect("a child")
    }
}
