//! Ends of child processes, told on the broker's thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::broker::BrokerHandle;
use crate::io::{Reactor, Stopped, Stream, Task, Token};
use crate::sys::{self, ExitStatus};

/// How the end of a process is noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchMethod {
    /// By a descriptor for the process where the kernel has such a thing, else by asking.
    #[default]
    Best,
    /// By asking from time to time: 2 ms after the start, then ever more seldom, up to every 50 ms.
    Poll,
}

/// Reaps child processes and tells how they ended. A shutdown of the broker does not wait for them.
#[derive(Clone, Debug)]
pub struct ProcessMonitor {
    broker: BrokerHandle,
    method: WatchMethod,
}

/// Told once how a process ended.
pub type ExitCallback = Box<dyn FnOnce(&mut dyn Reactor, ExitStatus) + Send>;

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

impl ProcessMonitor {
    /// A monitor that works on `broker`'s thread.
    pub fn new(broker: BrokerHandle) -> Self {
        Self::with_method(broker, WatchMethod::Best)
    }

    /// The same with a chosen method.
    pub fn with_method(broker: BrokerHandle, method: WatchMethod) -> Self {
        Self { broker, method }
    }

    /// Reaps the child `pid` when it ends, and then calls `callback` once on the broker's thread
    /// with the way it ended. Nobody else may wait for it. If the broker ends first, the callback is
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

    /// [`add`](Self::add) from a callback.
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
                    tracing::debug!(%err, pid, "cannot watch a process any more");
                }
            }
            None => ask(reactor, pid, FIRST_PAUSE, callback),
        }
    }
}

fn ask(reactor: &mut dyn Reactor, pid: i32, pause: Duration, callback: ExitCallback) {
    match reap(pid) {
        Some(status) => callback(reactor, status),
        None => {
            let next = (pause * 3 / 2).min(LONGEST_PAUSE);
            let again: Task = Box::new(move |reactor| ask(reactor, pid, next, callback));
            let when = reactor.now() + pause;
            reactor.schedule(when, again);
        }
    }
}

/// An error of `waitpid` means that nothing more will be learned.
fn reap(pid: i32) -> Option<ExitStatus> {
    sys::wait_nohang(pid).unwrap_or_else(|err: io::Error| {
        tracing::warn!(%err, pid, "cannot wait for a process");
        Some(ExitStatus::default())
    })
}

/// A descriptor that becomes readable when its process ends.
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

    /// Ends of processes are wanted during the graceful phase too: it is when most of them end.
    fn on_shutdown(&mut self, _: &mut dyn Reactor, _: Token) {}
}
