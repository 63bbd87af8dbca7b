//! The end of a started process: it is given time, then asked, then made to; and always waited for.
//!
//! Signals go to its whole group: a tool may have helpers of its own, which hold its descriptors and
//! may have inherited that it ignores SIGTERM.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::libc::{SIGKILL, SIGTERM};

use crate::broker::ProcessMonitor;
use crate::io::{Reactor, Stopped};
use crate::sys::{self, ExitStatus};

/// From "it should end" to SIGTERM: a child that was asked to shut down is usually gone long before.
const TERM_AFTER: Duration = Duration::from_millis(500);
/// From SIGTERM to SIGKILL.
const KILL_AFTER: Duration = Duration::from_secs(1);

/// How long the last wait for a killed process may take, when the loop has ended already.
const LAST_WAIT: Duration = Duration::from_secs(1);

type OnExit = Box<dyn FnOnce(ExitStatus, &mut dyn Reactor) + Send>;

#[derive(Default)]
struct State {
    exit: Option<ExitStatus>,
    on_exit: Vec<OnExit>,
    ending: bool,
}

/// A process that we started. Cloning gives the same process.
#[derive(Clone)]
pub(super) struct Process {
    pid: i32,
    state: Arc<Mutex<State>>,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("pid", &self.pid).finish_non_exhaustive()
    }
}

/// All processes that one connector has started and that have not ended.
#[derive(Clone, Debug)]
pub(super) struct Processes {
    monitor: ProcessMonitor,
    live: Arc<Mutex<HashMap<i32, Process>>>,
}

impl Processes {
    pub(super) fn new(monitor: ProcessMonitor) -> Self {
        Self { monitor, live: Arc::default() }
    }

    /// Watches `pid`, a child of ours that nobody else waits for.
    pub(super) fn watch(&self, pid: i32) -> Result<Process, Stopped> {
        let state = Arc::<Mutex<State>>::default();
        let process = Process { pid, state: Arc::clone(&state) };
        self.lock().insert(pid, process.clone());
        let live = Arc::clone(&self.live);
        self.monitor.add(pid, move |reactor, exit| {
            live.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid);
            let waiting = {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                state.exit = Some(exit);
                std::mem::take(&mut state.on_exit)
            };
            for then in waiting {
                then(exit, reactor);
            }
        })?;
        Ok(process)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Process>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It lives on without us: it is waited for as long as we live, and never made to end.
    pub(super) fn release(&self, process: &Process) {
        self.lock().remove(&process.pid);
    }

    /// Kills and reaps what has outlived the loop's grace period. A process that we may not signal
    /// is left: its descriptors are closed, and waiting for it could take for ever.
    pub(super) fn kill_all(&self) {
        let left: Vec<Process> = self.lock().drain().map(|(_, process)| process).collect();
        let deadline = Instant::now() + LAST_WAIT;
        for process in left {
            if sys::kill_group(process.pid, SIGKILL).is_err() {
                continue;
            }
            while matches!(sys::wait_nohang(process.pid), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

impl Process {
    /// How it ended, if it has.
    pub(super) fn exit(&self) -> Option<ExitStatus> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).exit
    }

    /// Calls `then` when it has ended: at once if it has.
    pub(super) fn on_exit(
        &self,
        reactor: &mut dyn Reactor,
        then: impl FnOnce(ExitStatus, &mut dyn Reactor) + Send + 'static,
    ) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.exit {
            Some(exit) => {
                drop(state);
                then(exit, reactor);
            }
            None => state.on_exit.push(Box::new(then)),
        }
    }

    /// It has no more business: it is left `TERM_AFTER` to end by itself, then made to.
    pub(super) fn terminate_gracefully(&self, reactor: &mut dyn Reactor) {
        self.end_after(TERM_AFTER, reactor);
    }

    /// It must end now.
    pub(super) fn terminate(&self, reactor: &mut dyn Reactor) {
        self.end_after(Duration::ZERO, reactor);
    }

    fn end_after(&self, patience: Duration, reactor: &mut dyn Reactor) {
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.exit.is_some() || (state.ending && !patience.is_zero()) {
                return;
            }
            state.ending = true;
        }
        let term_at = reactor.now() + patience;
        let kill_at = term_at + KILL_AFTER;
        if patience.is_zero() {
            self.signal(SIGTERM);
        } else {
            self.signal_at(term_at, SIGTERM, reactor);
        }
        self.signal_at(kill_at, SIGKILL, reactor);
    }

    fn signal_at(&self, when: Instant, signal: i32, reactor: &mut dyn Reactor) {
        let process = self.clone();
        let timer = reactor.schedule_keep_alive(when, Box::new(move |_| process.signal(signal)));
        // An exit must not leave the loop waiting for a timer that has nothing to do.
        self.on_exit(reactor, move |_, reactor| {
            reactor.cancel(timer);
        });
    }

    /// Sends `signal` to its group unless it has ended. It has not been waited for as long as `exit` is unset,
    /// so the number cannot have become somebody else's.
    fn signal(&self, signal: i32) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.exit.is_none()
            && let Err(error) = sys::kill_group(self.pid, signal)
        {
            // A setuid tool such as sudo may not be signalled by us; closing its descriptors,
            // which has been done, ends it as well.
            tracing::debug!(pid = self.pid, signal, %error, "could not signal a process");
        }
    }
}
