//! The I/O loop and its thread.
//!
//! This module contains the [`Broker`], which owns the loop, the [`BrokerHandle`] for other threads, the
//! slots of streams, the orderly shutdown, and other event sources that are handled on the loop's thread:
//! process exits ([`ProcessMonitor`]) and signals ([`SignalWatch`]). It knows nothing about frames or
//! contexts.
//!
//! Invariants: the broker's thread never blocks except in the poller; a callback runs while its stream is
//! out of its slot; a descriptor is deregistered before its stream's `on_disconnect`; a panic disconnects
//! the stream whose callback it was and does not end the loop. Only `run.rs` reads the clock.

mod busy_poll;
mod handle;
mod loop_state;
mod process;
mod run;
mod shutdown;
mod signals;
mod slots;

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

pub use handle::{BrokerHandle, DeferError};
pub use process::{ExitCallback, ProcessMonitor, WatchMethod};
pub use signals::SignalWatch;

use crate::io::Poller;

/// A running loop. Dropping it shuts the loop down and waits for its thread.
///
/// ```
/// use mitogen_core::broker::Broker;
/// use mitogen_core::io::default_poller;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = Broker::start("io", default_poller()?)?;
/// let handle = broker.handle();
/// let sum = handle.defer_sync(|_reactor| 1 + 1)?;
/// assert_eq!(sum, 2);
/// broker.shutdown();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Broker {
    handle: BrokerHandle,
    thread: Option<JoinHandle<()>>,
}

/// How long a shutdown waits for streams to finish, by default.
const DEFAULT_GRACE: Duration = Duration::from_secs(5);

impl Broker {
    /// Starts a loop on a new thread named `name` (the system may truncate the name to 15 bytes).
    ///
    /// # Errors
    /// The error of starting the thread.
    pub fn start(name: &str, poller: Box<dyn Poller>) -> io::Result<Self> {
        crate::sys::ignore_sigpipe();
        let handle = BrokerHandle::new(poller.waker(), DEFAULT_GRACE);
        let shared = handle.clone();
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            shared.adopt_current_thread();
            // The receiver waits below.
            let _ = ready.send(());
            run::run(&shared, poller);
        })?;
        // From here on `is_broker_thread` is reliable.
        started.recv().map_err(io::Error::other)?;
        Ok(Self { handle, thread: Some(thread) })
    }

    /// Sets how long a shutdown waits for streams to finish (default: 5 seconds).
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        self.handle.set_grace(grace);
        self
    }

    /// A handle for other threads.
    pub fn handle(&self) -> BrokerHandle {
        self.handle.clone()
    }

    /// Shuts the loop down and waits until it has ended.
    pub fn shutdown(self) {
        drop(self);
    }

    /// Waits until the loop has ended, without requesting a shutdown. Never call it on the broker's thread.
    pub fn join(mut self) {
        self.wait();
    }

    fn wait(&mut self) {
        if let Some(thread) = self.thread.take()
            && !self.handle.is_broker_thread()
            && thread.join().is_err()
        {
            tracing::error!("broker thread panicked outside any callback");
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.handle.shutdown();
            self.wait();
        }
    }
}
