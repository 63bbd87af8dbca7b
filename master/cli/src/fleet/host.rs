//! What is known of a host during a run.

use std::time::Instant;

use mitogen::command::RunningCommand;
use mitogen::{CallError, Connection};

/// Where a host is in its run.
pub(super) enum Host {
    /// Not started.
    Waiting,
    /// Connecting, or doing what it was asked to do.
    Active(Box<Active>),
    /// Over.
    Ended,
}

/// A host that is being connected to or works.
pub(super) struct Active {
    pub(super) route: Connection,
    /// The command, if it runs one.
    pub(super) running: Option<RunningCommand>,
    /// When the connection was up.
    pub(super) reached: Option<Instant>,
    /// Why the request failed, before it was known whether the connection would.
    pub(super) lost: Option<CallError>,
    /// Bytes of output printed and not yet acknowledged.
    pub(super) shown: usize,
    pub(super) patience: Patience,
    /// When it was started.
    pub(super) began: Instant,
    /// When the second question of `ping` was asked.
    pub(super) asked: Option<Instant>,
}

/// How far we are with a command whose time may be up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// It has time.
    Full,
    /// It was asked to end.
    Thin,
    /// It was killed.
    Gone,
}

impl Active {
    pub(super) fn new(route: Connection) -> Self {
        Self {
            route,
            running: None,
            reached: None,
            lost: None,
            shown: 0,
            patience: Patience::Full,
            began: Instant::now(),
            asked: None,
        }
    }
}
