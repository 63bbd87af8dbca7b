//! The state of a host during a run.

use std::time::Instant;

use mitogen::command::RunningCommand;
use mitogen::{CallError, Connection};

/// The state of a host.
pub(super) enum Host {
    /// Not started yet.
    Waiting,
    /// Connecting or working.
    Active(Box<Active>),
    /// Finished.
    Ended,
}

/// A host that is connecting or working.
pub(super) struct Active {
    pub(super) connection: Connection,
    /// Its command, if the task is one.
    pub(super) running: Option<RunningCommand>,
    /// When the connection was established.
    pub(super) connected: Option<Instant>,
    /// Why the task could not be sent. It is reported only if the connection itself succeeds; otherwise
    /// the connection's error says more.
    pub(super) send_error: Option<CallError>,
    /// Bytes of output that were printed and not acknowledged yet.
    pub(super) unacknowledged: usize,
    pub(super) kill_stage: KillStage,
    /// When connecting began.
    pub(super) began: Instant,
    /// When the second call of `ping` was sent.
    pub(super) pinged: Option<Instant>,
}

/// How far the termination of a command has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KillStage {
    /// Within its time limit.
    Running,
    /// Was sent SIGTERM.
    Terminating,
    /// Was sent SIGKILL.
    Killed,
}

impl Active {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            running: None,
            connected: None,
            send_error: None,
            unacknowledged: 0,
            kill_stage: KillStage::Running,
            began: Instant::now(),
            pinged: None,
        }
    }
}
