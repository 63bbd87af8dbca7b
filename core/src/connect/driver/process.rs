//! Ends processes that were started: after a grace period with SIGTERM, then with SIGKILL. Every process is
//! waited for.
//!
//! Signals go to the process group, because a program may have started helpers that hold its descriptors,
//! and that may ignore SIGTERM as it does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::libc::{SIGKILL, SIGTERM};

use crate::broker::ProcessMonitor;
use crate::io::{Reactor, Stopped};
use crate::sys::{self, ExitStatus};

/// From the end of the link to SIGTERM. A child that was asked to shut down usually exits much earlier.
const TERM_AFTER: Duration = Duration::from_millis(500);
/// From SIGTERM to SIGKILL.
const KILL_AFTER: Duration = Duration::from_secs(1);

/// The limit of the wait for killed processes after the end of the loop.
const LAST_WAIT: Duration = Duration::from_secs(1);

type OnExit = Box<dyn FnOnce(ExitStatus, &mut dyn Reactor) + Send>;

#[derive(Default)]
struct State {
    exit: Option<ExitStatus>,
    on_exit: Vec<OnExit>,
    ending: bool,
}

/// A process that was started. Clones refer to the same process.
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

/// The processes of one launcher that have not ended.
#[derive(Clone, Debug)]
pub(super) struct Processes {
    monitor: ProcessMonitor,
    live: Arc<Mutex<HashMap<i32, Process>>>,
}

impl Processes {
    pub(super) fn new(monitor: ProcessMonitor) -> Self {
        Self { monitor, live: Arc::default() }
    }

    /// Watches `pid`, a child of this process that no other code waits for.
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

    /// Leaves the process running: it is still waited for, but never ended.
    pub(super) fn release(&self, process: &Process) {
        self.lock().remove(&process.pid);
    }

    /// Kills and reaps the processes that are left after the loop's grace period. A process that may not be
    /// signalled is left alone: its descriptors are closed, and a wait for it could take any time.
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
    /// The exit status, if the process has ended.
    pub(super) fn exit(&self) -> Option<ExitStatus> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).exit
    }

    /// Calls `then` when the process has ended; at once if it has ended already.
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

    /// Ends the process if it does not exit by itself within [`TERM_AFTER`].
    pub(super) fn terminate_gracefully(&self, reactor: &mut dyn Reactor) {
        self.end_after(TERM_AFTER, reactor);
    }

    /// Ends the process: SIGTERM now, SIGKILL after [`KILL_AFTER`].
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

    /// Sends `signal` to the process group unless the process has ended. While `exit` is unset the process
    /// was not reaped, so its number cannot belong to another one.
    fn signal(&self, signal: i32) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.exit.is_none()
            && let Err(error) = sys::kill_group(self.pid, signal)
        {
            // A setuid program such as sudo may not be signalled. It ends because its descriptors were closed.
            tracing::debug!(pid = self.pid, signal, %error, "could not signal a process");
        }
    }
}
