//! Links that something else opens: [`Opener`], and how it delivers a link to the driver.
//!
//! The driver uses the same way for the sockets that it connects itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::process::Process;
use super::remote_end::{End, RemoteEnd};
use crate::dialogue::{Failure, FailureKind, Stage};
use crate::io::Side;

/// Opens links in this process, for plans whose start is [`Start::Opened`](crate::connect::Start): for
/// example with a library that speaks the ssh protocol. A transport supplies it with
/// [`Transport::opener`](crate::connect::Transport::opener).
pub trait Opener: Send + Sync {
    /// Starts the command `argv` at the remote end, so that its standard input and output are the link,
    /// and calls [`OpenDone::complete`]: now or later, on any thread. It is called on the broker's thread
    /// and must not block. The result is ignored after `deadline`.
    fn open(&self, argv: &[String], deadline: Instant, done: OpenDone);
}

/// A link that was opened. If it is not used, its sides are closed and the remote end is terminated.
#[derive(Debug)]
pub struct OpenedLink(Option<Ends>);

/// The parts of an [`OpenedLink`].
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) receive: Box<dyn Side>,
    pub(super) transmit: Box<dyn Side>,
    pub(super) stderr: Option<Box<dyn Side>>,
    pub(super) end: End,
}

impl OpenedLink {
    /// A link that is read from `receive` and written to by `transmit`: two sides of one object if it
    /// carries both directions, such as [`FdSide::pair`](crate::io::FdSide::pair).
    pub fn new(
        receive: impl Side + 'static,
        transmit: impl Side + 'static,
        end: impl RemoteEnd + 'static,
    ) -> Self {
        let (receive, transmit) = (Box::new(receive), Box::new(transmit));
        Self(Some(Ends { receive, transmit, stderr: None, end: End::Stream(Arc::new(end)) }))
    }

    /// Adds the standard error of the remote command.
    #[must_use]
    pub fn with_stderr(mut self, stderr: impl Side + 'static) -> Self {
        if let Some(ends) = &mut self.0 {
            ends.stderr = Some(Box::new(stderr));
        }
        self
    }

    /// The link of a process that was started.
    pub(super) fn of_process(
        (receive, transmit): (impl Side + 'static, impl Side + 'static),
        stderr: Option<Box<dyn Side>>,
        process: Process,
    ) -> Self {
        let (receive, transmit) = (Box::new(receive), Box::new(transmit));
        Self(Some(Ends { receive, transmit, stderr, end: End::Process(process) }))
    }

    /// The parts, to be used; `None` only if they were taken before.
    pub(super) fn take(mut self) -> Option<Ends> {
        self.0.take()
    }
}

impl Drop for OpenedLink {
    fn drop(&mut self) {
        let Some(mut ends) = self.0.take() else { return };
        ends.receive.close();
        ends.transmit.close();
        if let Some(mut stderr) = ends.stderr.take() {
            stderr.close();
        }
        // A process is ended by the driver, which has a reactor.
        if let End::Stream(end) = ends.end {
            end.terminate();
        }
    }
}

/// How far an opener is, and whether its result is still wanted.
pub(super) struct Progress(Mutex<State>);

struct State {
    stage: Stage,
    cancelled: bool,
    on_cancel: Option<Box<dyn FnOnce() + Send>>,
}

impl Progress {
    pub(super) fn new(stage: Stage) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { stage, cancelled: false, on_cancel: None })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stage(&self) -> Stage {
        self.lock().stage
    }

    /// Tells the opener that its result is not wanted any more.
    pub(super) fn cancel(&self) {
        let mut state = self.lock();
        state.cancelled = true;
        let hook = state.on_cancel.take();
        drop(state);
        if let Some(hook) = hook {
            hook();
        }
    }
}

type Deliver = Box<dyn FnOnce(Result<OpenedLink, Failure>) + Send>;

/// Takes the result of an [`Opener`]. Dropping it reports a failure.
pub struct OpenDone {
    progress: Arc<Progress>,
    deliver: Option<Deliver>,
}

impl std::fmt::Debug for OpenDone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpenDone")
    }
}

impl OpenDone {
    pub(super) fn new(
        progress: Arc<Progress>,
        deliver: impl FnOnce(Result<OpenedLink, Failure>) + Send + 'static,
    ) -> Self {
        Self { progress, deliver: Some(Box::new(deliver)) }
    }

    /// Delivers the link, or the failure that ends the connection. The hop, the stage's words and the
    /// hint are shown to the user.
    pub fn complete(mut self, result: Result<OpenedLink, Failure>) {
        if let Some(deliver) = self.deliver.take() {
            deliver(result);
        }
    }

    /// Sets how far the opener is, for the error of a timeout. It begins with [`Stage::Connect`].
    pub fn set_stage(&self, stage: Stage) {
        self.progress.lock().stage = stage;
    }

    /// Whether the result is not wanted any more: the deadline has passed, or the connection was
    /// cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.progress.lock().cancelled
    }

    /// Calls `hook`, which must not block, when the result is not wanted any more: on the broker's
    /// thread, or at once if that is already so. A second hook replaces the first.
    pub fn on_cancel(&self, hook: impl FnOnce() + Send + 'static) {
        let mut state = self.progress.lock();
        if state.cancelled {
            drop(state);
            hook();
        } else {
            state.on_cancel = Some(Box::new(hook));
        }
    }
}

impl Drop for OpenDone {
    fn drop(&mut self) {
        if let Some(deliver) = self.deliver.take() {
            let message = "the opener was dropped without a result";
            deliver(Err(Failure::new(self.progress.stage(), FailureKind::Eof, message)));
        }
    }
}
