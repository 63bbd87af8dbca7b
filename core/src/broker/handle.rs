//! [`BrokerHandle`]: the part of a broker that other threads hold.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use crate::io::{self, Defer, Reactor, Stopped, Task, Token, Waker, Writer};
use crate::sync::Latch;

/// A callback for the begin of a shutdown, or for the end of the loop.
pub(super) type Hook = Box<dyn FnOnce() + Send>;

/// Everything that the loop acts on.
pub(super) enum LoopEvent {
    /// A descriptor is ready.
    Ready(io::Event),
    /// A timer is due.
    Timer(Task),
    /// Another thread, or a callback, has deferred a task.
    Deferred(Task),
    /// A shutdown was requested.
    Shutdown {
        /// How long streams may take to finish their work.
        grace: Duration,
    },
}

/// A handle of a broker, for any thread. Clones refer to the same broker.
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
    /// The call panicked; the panic was logged.
    #[error("deferred call panicked")]
    Panicked,
}

struct Shared {
    inbox: Mutex<Inbox>,
    waker: Waker,
    thread: OnceLock<ThreadId>,
}

struct Inbox {
    events: Vec<LoopEvent>,
    on_shutdown: Vec<Hook>,
    on_exit: Vec<Hook>,
    grace: Duration,
    shutdown_requested: bool,
    stopped: bool,
}

impl BrokerHandle {
    pub(super) fn new(waker: Waker, grace: Duration) -> Self {
        let inbox = Inbox {
            events: Vec::new(),
            on_shutdown: Vec::new(),
            on_exit: Vec::new(),
            grace,
            shutdown_requested: false,
            stopped: false,
        };
        Self { shared: Arc::new(Shared { inbox: Mutex::new(inbox), waker, thread: OnceLock::new() }) }
    }

    /// Runs `task` on the broker's thread, after everything that was deferred before it. Also works while
    /// the loop is shutting down. When called on the broker's thread, the task runs after the current
    /// callback.
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
    /// When called on the broker's thread, which would wait for itself.
    pub fn defer_sync<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut dyn Reactor) -> T + Send + 'static,
    ) -> Result<T, DeferError> {
        assert!(!self.is_broker_thread(), "defer_sync called on the broker's thread");
        let latch = Latch::new();
        let mut reply = Reply { latch: latch.clone(), failure: DeferError::Stopped };
        self.defer(move |reactor| {
            reply.failure = DeferError::Panicked;
            let value = task(reactor);
            let _ = reply.latch.put(Ok(value));
        })
        .map_err(|Stopped| DeferError::Stopped)?;
        latch.get().unwrap_or(Err(DeferError::Stopped))
    }

    /// Starts an orderly shutdown; later calls do nothing.
    pub fn shutdown(&self) {
        self.shared.shutdown();
    }

    /// Whether this is the broker's thread, which must never block.
    pub fn is_broker_thread(&self) -> bool {
        self.shared.is_broker_thread()
    }

    /// Calls `hook` on the broker's thread when a shutdown begins, before [`Stream::on_shutdown`] of any
    /// stream; immediately, on this thread, when it has begun already.
    ///
    /// [`Stream::on_shutdown`]: crate::io::Stream::on_shutdown
    pub fn on_shutdown(&self, hook: impl FnOnce() + Send + 'static) {
        let mut inbox = self.shared.lock();
        if inbox.stopped || inbox.shutdown_requested {
            drop(inbox);
            hook();
        } else {
            inbox.on_shutdown.push(Box::new(hook));
        }
    }

    /// Calls `hook` on the broker's thread when the loop has ended and all streams are disconnected;
    /// immediately, on this thread, when it has ended already.
    pub fn on_exit(&self, hook: impl FnOnce() + Send + 'static) {
        let mut inbox = self.shared.lock();
        if inbox.stopped {
            drop(inbox);
            hook();
        } else {
            inbox.on_exit.push(Box::new(hook));
        }
    }

    /// Binds `writer` to the stream `token` of this broker (see [`Writer::bind_to`]).
    pub fn bind(&self, writer: &Writer, token: Token) {
        writer.bind_to(self.as_defer(), token);
    }

    /// This handle as the trait object that [`crate::io`] uses.
    pub fn as_defer(&self) -> Arc<dyn Defer> {
        Arc::clone(&self.shared) as Arc<dyn Defer>
    }

    pub(super) fn set_grace(&self, grace: Duration) {
        self.shared.lock().grace = grace;
    }

    pub(super) fn adopt_current_thread(&self) {
        let _ = self.shared.thread.set(std::thread::current().id());
    }

    /// Takes all events. `into` must be empty; its capacity is reused for the next events.
    pub(super) fn take_events(&self, into: &mut Vec<LoopEvent>) {
        mem::swap(&mut self.shared.lock().events, into);
    }

    pub(super) fn take_shutdown_hooks(&self) -> Vec<Hook> {
        mem::take(&mut self.shared.lock().on_shutdown)
    }

    /// Stops accepting work if none is queued, or in any case when `force` is set (queued work is then
    /// dropped). Returns the exit hooks when it has stopped.
    pub(super) fn stop(&self, force: bool) -> Option<Vec<Hook>> {
        let mut inbox = self.shared.lock();
        if !inbox.events.is_empty() && !force {
            return None;
        }
        inbox.stopped = true;
        let dropped = mem::take(&mut inbox.events);
        let hooks = mem::take(&mut inbox.on_exit);
        drop(inbox);
        // Without the lock: a task's destructor may use this handle.
        drop(dropped);
        Some(hooks)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        // No callback runs while the lock is held, so the state is consistent even when poisoned.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Defer for Shared {
    fn defer(&self, task: Task) -> Result<(), Stopped> {
        let mut inbox = self.lock();
        if inbox.stopped {
            // Unlock first: the destructor of the task may use this handle.
            drop(inbox);
            drop(task);
            return Err(Stopped);
        }
        inbox.events.push(LoopEvent::Deferred(task));
        drop(inbox);
        self.waker.wake();
        Ok(())
    }

    fn is_broker_thread(&self) -> bool {
        self.thread.get() == Some(&std::thread::current().id())
    }

    fn shutdown(&self) {
        let mut inbox = self.lock();
        if mem::replace(&mut inbox.shutdown_requested, true) || inbox.stopped {
            return;
        }
        let grace = inbox.grace;
        inbox.events.push(LoopEvent::Shutdown { grace });
        drop(inbox);
        self.waker.wake();
    }
}

/// Replies to the waiting thread even if the call is dropped or panics.
struct Reply<T> {
    latch: Latch<Result<T, DeferError>>,
    failure: DeferError,
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        // Queued behind the value, if there is one; the waiting thread takes only one.
        let _ = self.latch.put(Err(self.failure));
    }
}

impl fmt::Debug for BrokerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inbox = self.shared.lock();
        f.debug_struct("BrokerHandle")
            .field("queued", &inbox.events.len())
            .field("shutdown_requested", &inbox.shutdown_requested)
            .field("stopped", &inbox.stopped)
            .finish_non_exhaustive()
    }
}
