//! One thread, one loop, a closed set of events.
//!
//! Lives here: the [`Broker`] that owns the loop, the [`BrokerHandle`] that other threads hold, the
//! slots of streams, the orderly shutdown, and what else must happen on the loop's thread: ends of
//! processes ([`ProcessMonitor`]) and signals ([`SignalWatch`]). It does not know frames or contexts.
//!
//! Invariants: the broker's thread never waits except in the poller; a callback runs while its
//! stream is out of its slot; a descriptor is deregistered before its stream hears of the end; a
//! panic ends the stream whose callback it was, not the loop. Only `run.rs` reads the clock.

mod event;
mod handle;
mod process;
mod run;
mod shutdown;
mod signals;
mod slots;
mod turn;
mod vigil;

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

pub use handle::{BrokerHandle, DeferError};
pub use process::{ExitCallback, ProcessMonitor, WatchMethod};
pub use signals::SignalWatch;

use crate::io::Poller;

/// A running loop. Dropping it shuts the loop down and waits for its thread.
#[derive(Debug)]
pub struct Broker {
    handle: BrokerHandle,
    thread: Option<JoinHandle<()>>,
}

/// How long a shutdown waits for streams that wind up, unless set otherwise.
const DEFAULT_GRACE: Duration = Duration::from_secs(5);

impl Broker {
    /// Starts a loop on a thread of its own, called `name` (the system may cut it to 15 bytes).
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(name: &str, poller: Box<dyn Poller>) -> io::Result<Self> {
        crate::sys::ignore_sigpipe();
        let handle = BrokerHandle::new(poller.waker(), DEFAULT_GRACE);
        let shared = handle.clone();
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            shared.adopt_current_thread();
            // The other end waits below.
            let _ = ready.send(());
            run::run(&shared, poller);
        })?;
        // From here on `is_broker_thread` knows the answer.
        started.recv().map_err(io::Error::other)?;
        Ok(Self { handle, thread: Some(thread) })
    }

    /// Sets how long a shutdown waits for streams that wind up (5 seconds unless set).
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        self.handle.set_grace(grace);
        self
    }

    /// The part that other threads may hold.
    pub fn handle(&self) -> BrokerHandle {
        self.handle.clone()
    }

    /// Shuts the loop down and waits until it has ended.
    pub fn shutdown(self) {
        drop(self);
    }

    /// Waits until the loop has ended, by whoever's shutdown. Never call it on the broker's thread.
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
