//! Clients of a running session: connections, rejected processes, and disconnects on either side. (Upstream clients are
//! in the suite `interop`.)

// Test helpers may unwrap, as tests do; clippy does not recognize them in a separate file.
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

/// A master with a socket in its own directory.
struct Open {
    // Fields are dropped in this order: the socket before its directory.
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
