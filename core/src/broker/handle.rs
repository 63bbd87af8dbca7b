//! The half of a broker that other threads hold.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use super::event::Event;
use crate::io::{Defer, Reactor, Stopped, Task, Token, Waker, Writer};
use crate::sync::Latch;

/// Runs when the loop begins to shut down, or has ended.
pub(super) type Hook = Box<dyn FnOnce() + Send>;

/// Leaves work for a broker from any thread. Clones are the same broker.
#[derive(Clone)]
pub struct BrokerHandle {
    shared: Arc<Shared>,
}

/// Why a deferred call has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeferError {
    /// The loop ended before the call was made.
    #[error("broker has stopped")]
    Stopped,
    /// The call panicked; the panic is in the log.
    #[error("deferred call panicked")]
    Panicked,
}

struct Shared {
    inbox: Mutex<Inbox>,
    waker: Waker,
    thread: OnceLock<ThreadId>,
}

struct Inbox {
    events: Vec<Event>,
    on_shutdown: Vec<Hook>,
    on_exit: Vec<Hook>,
    grace: Duration,
    asked_to_stop: bool,
    stopped: bool,
}

impl BrokerHandle {
    pub(super) fn new(waker: Waker, grace: Duration) -> Self {
        let inbox = Inbox {
            events: Vec::new(),
            on_shutdown: Vec::new(),
            on_exit: Vec::new(),
            grace,
            asked_to_stop: false,
            stopped: false,
        };
        Self { shared: Arc::new(Shared { inbox: Mutex::new(inbox), waker, thread: OnceLock::new() }) }
    }

    /// Runs `task` on the broker's thread, after everything deferred before it, also while the loop
    /// is shutting down. On the broker's thread itself it runs after the current callback.
    ///
    /// # Errors
    /// [`Stopped`] when the loop has ended; the task is dropped.
    pub fn defer(&self, task: impl FnOnce(&mut dyn Reactor) + Send + 'static) -> Result<(), Stopped> {
        self.shared.defer(Box::new(task))
    }

    /// Runs `task` on the broker's thread and waits for its result.
    ///
    /// # Errors
    /// See [`DeferError`].
    ///
    /// # Panics
    /// On the broker's thread, which would wait for itself.
    pub fn defer_sync<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut dyn Reactor) -> T + Send + 'static,
    ) -> Result<T, DeferError> {
        assert!(!self.is_broker_thread(), "defer_sync called on the broker's thread");
        let latch = Latch::new();
        let mut answer = Answer { latch: latch.clone(), failure: DeferError::Stopped };
        self.defer(move |reactor| {
            answer.failure = DeferError::Panicked;
            let value = task(reactor);
            let _ = answer.latch.put(Ok(value));
        })
        .map_err(|Stopped| DeferError::Stopped)?;
        latch.get().unwrap_or(Err(DeferError::Stopped))
    }

    /// Begins an orderly shutdown; later calls do nothing.
    pub fn shutdown(&self) {
        self.shared.shutdown();
    }

    /// Whether this is the broker's thread, which must never block.
    pub fn is_broker_thread(&self) -> bool {
        self.shared.is_broker_thread()
    }

    /// Calls `hook` on the broker's thread when a shutdown begins, before any stream hears of it; at
    /// once, on this thread, when it has begun already.
    pub fn on_shutdown(&self, hook: impl FnOnce() + Send + 'static) {
        let mut inbox = self.shared.lock();
        if inbox.stopped || inbox.asked_to_stop {
            drop(inbox);
            hook();
        } else {
            inbox.on_shutdown.push(Box::new(hook));
        }
    }

    /// Calls `hook` on the broker's thread when the loop has ended and all streams are gone; at
    /// once, on this thread, when it has ended already.
    pub fn on_exit(&self, hook: impl FnOnce() + Send + 'static) {
        let mut inbox = self.shared.lock();
        if inbox.stopped {
            drop(inbox);
            hook();
        } else {
            inbox.on_exit.push(Box::new(hook));
        }
    }

    /// Lets `writer` ask this broker for help with the stream `token` (see [`Writer::bind_to`]).
    pub fn bind(&self, writer: &Writer, token: Token) {
        writer.bind_to(self.as_defer(), token);
    }

    /// This handle as the trait object that the lower room knows.
    pub fn as_defer(&self) -> Arc<dyn Defer> {
        Arc::clone(&self.shared) as Arc<dyn Defer>
    }

    pub(super) fn set_grace(&self, grace: Duration) {
        self.shared.lock().grace = grace;
    }

    pub(super) fn adopt_current_thread(&self) {
        let _ = self.shared.thread.set(std::thread::current().id());
    }

    /// Takes all events; `into` must be empty and lends its room to the next ones.
    pub(super) fn take_events(&self, into: &mut Vec<Event>) {
        mem::swap(&mut self.shared.lock().events, into);
    }

    pub(super) fn take_shutdown_hooks(&self) -> Vec<Hook> {
        mem::take(&mut self.shared.lock().on_shutdown)
    }

    /// Stops taking work if there is none left, or in any case when `force` is set (what is left is
    /// then dropped). Returns the exit hooks when it has stopped.
    pub(super) fn stop(&self, force: bool) -> Option<Vec<Hook>> {
        let mut inbox = self.shared.lock();
        if !inbox.events.is_empty() && !force {
            return None;
        }
        inbox.stopped = true;
        let lost = mem::take(&mut inbox.events);
        let hooks = mem::take(&mut inbox.on_exit);
        drop(inbox);
        // Outside the lock: a dropped task may own a handle of ours, or answer somebody.
        drop(lost);
        Some(hooks)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        // No callback runs under the lock, so a poisoned state is still a whole one.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Defer for Shared {
    fn defer(&self, task: Task) -> Result<(), Stopped> {
        let mut inbox = self.lock();
        if inbox.stopped {
            // The guard goes first: the task's captures may lock us.
            drop(inbox);
            drop(task);
            return Err(Stopped);
        }
        inbox.events.push(Event::Deferred(task));
        drop(inbox);
        self.waker.wake();
        Ok(())
    }

    fn is_broker_thread(&self) -> bool {
        self.thread.get() == Some(&std::thread::current().id())
    }

    fn shutdown(&self) {
        let mut inbox = self.lock();
        if mem::replace(&mut inbox.asked_to_stop, true) || inbox.stopped {
            return;
        }
        let grace = inbox.grace;
        inbox.events.push(Event::Shutdown { grace });
        drop(inbox);
        self.waker.wake();
    }
}

/// Answers a waiting thread even if the call is dropped or panics.
struct Answer<T> {
    latch: Latch<Result<T, DeferError>>,
    failure: DeferError,
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        // Behind the value, if there is one; nobody gets twice.
        let _ = self.latch.put(Err(self.failure));
    }
}

impl fmt::Debug for BrokerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inbox = self.shared.lock();
        f.debug_struct("BrokerHandle")
            .field("waiting", &inbox.events.len())
            .field("asked_to_stop", &inbox.asked_to_stop)
            .field("stopped", &inbox.stopped)
            .finish_non_exhaustive()
    }
}
