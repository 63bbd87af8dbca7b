//! [`ProcessMonitor`]: reaps child processes on the broker's thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::io::{Reactor, Stopped, Stream, Task, Token};
use crate::sys::{self, ExitStatus};

use super::handle::BrokerHandle;

/// How the exit of a process is detected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchMethod {
    /// With a pidfd where the kernel supports it, otherwise by polling.
    #[default]
    Best,
    /// With `waitpid` at growing intervals: 2 ms after the start, later every 50 ms.
    Poll,
}

/// Reaps child processes and reports their exit status. A shutdown of the broker does not wait for them.
#[derive(Clone, Debug)]
pub struct ProcessMonitor {
    broker: BrokerHandle,
    method: WatchMethod,
}

/// Called once with the exit status of a process.
pub type ExitCallback = Box<dyn FnOnce(&mut dyn Reactor, ExitStatus) + Send>;

const MIN_POLL_INTERVAL: Duration = Duration::from_millis(2);
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(50);

impl ProcessMonitor {
    /// Creates a monitor that works on `broker`'s thread.
    pub fn new(broker: BrokerHandle) -> Self {
        Self::with_method(broker, WatchMethod::Best)
    }

    /// Like [`new`](Self::new), with a given method of detection.
    pub fn with_method(broker: BrokerHandle, method: WatchMethod) -> Self {
        Self { broker, method }
    }

    /// Reaps the child `pid` when it exits, and then calls `callback` once on the broker's thread with its
    /// exit status. No other code may wait for that child. If the broker ends first, the callback is
    /// dropped and the child is not reaped.
    ///
    /// # Errors
    /// [`Stopped`] when the broker has ended; the child is then not watched.
    pub fn add(
        &self,
        pid: i32,
        callback: impl FnOnce(&mut dyn Reactor, ExitStatus) + Send + 'static,
    ) -> Result<(), Stopped> {
        let method = self.method;
        self.broker.defer(move |reactor| Self::watch(reactor, method, pid, Box::new(callback)))
    }

    /// Like [`add`](Self::add), for use in a callback on the broker's thread.
    pub fn watch(reactor: &mut dyn Reactor, method: WatchMethod, pid: i32, callback: ExitCallback) {
        let pidfd = match method {
            WatchMethod::Best => sys::pidfd_open(pid),
            WatchMethod::Poll => None,
        };
        match pidfd {
            Some(fd) => {
                let name = format!("process {pid}");
                let watcher = ProcessStream { name, fd, pid, callback: Some(callback) };
                if let Err(err) = reactor.register(Box::new(watcher)) {
                    tracing::debug!(%err, pid, "cannot watch a process");
                }
            }
            None => poll_exit(reactor, pid, MIN_POLL_INTERVAL, callback),
        }
    }
}

fn poll_exit(reactor: &mut dyn Reactor, pid: i32, interval: Duration, callback: ExitCallback) {
    match reap(pid) {
        Some(status) => callback(reactor, status),
        None => {
            let next = (interval * 3 / 2).min(MAX_POLL_INTERVAL);
            let again: Task = Box::new(move |reactor| poll_exit(reactor, pid, next, callback));
            let when = reactor.now() + interval;
            reactor.schedule(when, again);
        }
    }
}

/// Reaps the child if it has exited. After an error of `waitpid` the exit status stays unknown, so the
/// default status is returned.
fn reap(pid: i32) -> Option<ExitStatus> {
    sys::wait_nohang(pid).unwrap_or_else(|err: io::Error| {
        tracing::warn!(%err, pid, "cannot wait for a process");
        Some(ExitStatus::default())
    })
}

/// A pidfd, which becomes readable when its process exits.
struct ProcessStream {
    name: String,
    fd: OwnedFd,
    pid: i32,
    callback: Option<ExitCallback>,
}

impl Stream for ProcessStream {
    fn name(&self) -> &str {
        &self.name
    }

    fn receive_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }

    fn keep_alive(&self) -> bool {
        false
    }

    fn on_receive(&mut self, reactor: &mut dyn Reactor, token: Token) {
        if let Some(status) = reap(self.pid) {
            reactor.disconnect(token);
            if let Some(callback) = self.callback.take() {
                callback(reactor, status);
            }
        }
    }

    /// Keeps watching during the graceful phase, because most processes exit then.
    fn on_shutdown(&mut self, _: &mut dyn Reactor, _: Token) {}
}
