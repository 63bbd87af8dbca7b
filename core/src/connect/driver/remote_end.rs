//! What is at the other end of a link: a process of this machine, or something that an opener reached.

use std::fmt;
use std::sync::Arc;

use super::process::{Process, Processes};
use crate::io::Reactor;
use crate::sys::ExitStatus;

/// The remote end of a link that an [`Opener`](super::Opener) has opened. Closing the link's sides ends
/// it; the methods are for openers that can do more, such as send a signal. They must not block.
pub trait RemoteEnd: Send + Sync + fmt::Debug {
    /// How the remote command ended, if that is known. Asked after the end of the link, for the error
    /// of a failed connection.
    fn exit(&self) -> Option<ExitStatus> {
        None
    }

    /// The link of a context that was up has ended: the remote command has no more work.
    fn wind_down(&self) {}

    /// The connection has failed or was given up: the remote command must end now.
    fn terminate(&self) {}
}

/// The remote end of a socket: it ends when the socket is closed.
#[derive(Debug)]
pub(super) struct Peer;

impl RemoteEnd for Peer {}

/// Either kind of remote end.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// A process that was started, which is always waited for.
    Process(Process),
    /// A stream without a process. The end of the link is all that is waited for.
    Stream(Arc<dyn RemoteEnd>),
}

impl End {
    /// Whether nothing is waited for but the end of the link.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Process(process) => process.exit().is_some(),
            Self::Stream(_) => true,
        }
    }

    /// How it ended, if that is known.
    pub(super) fn exit(&self) -> Option<ExitStatus> {
        match self {
            Self::Process(process) => process.exit(),
            Self::Stream(end) => end.exit(),
        }
    }

    /// Calls `then` when the process has ended; never without a process.
    pub(super) fn on_exit(
        &self,
        reactor: &mut dyn Reactor,
        then: impl FnOnce(ExitStatus, &mut dyn Reactor) + Send + 'static,
    ) {
        if let Self::Process(process) = self {
            process.on_exit(reactor, then);
        }
    }

    /// Lets it end, because its link has ended.
    pub(super) fn wind_down(&self, reactor: &mut dyn Reactor) {
        match self {
            Self::Process(process) => process.terminate_gracefully(reactor),
            Self::Stream(end) => end.wind_down(),
        }
    }

    /// Makes it end now.
    pub(super) fn terminate(&self, reactor: &mut dyn Reactor) {
        match self {
            Self::Process(process) => process.terminate(reactor),
            Self::Stream(end) => end.terminate(),
        }
    }

    /// Leaves it running without its link, if it is a process. Returns whether it is.
    pub(super) fn release(&self, processes: &Processes) -> bool {
        match self {
            Self::Process(process) => {
                processes.release(process);
                true
            }
            Self::Stream(_) => false,
        }
    }
}
