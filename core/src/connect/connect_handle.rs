//! The handle of a connection in progress.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Instant;

use super::error::ConnectError;
use crate::call::Context;

/// The result of a connection.
pub type Outcome = Result<(), Arc<ConnectError>>;

type Then = Box<dyn FnOnce(&Outcome) + Send>;

#[derive(Default)]
struct State {
    outcome: Option<Outcome>,
    then: Vec<Then>,
    wakers: Vec<Waker>,
}

/// The result of one connection: set once, waited for by any number of threads and tasks.
#[derive(Clone, Default)]
pub(crate) struct Completion(Arc<(Mutex<State>, Condvar)>);

impl Completion {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the result; a second one is ignored. Callbacks run here, outside the lock.
    pub(crate) fn set(&self, outcome: &Outcome) {
        let (then, wakers) = {
            let mut state = self.lock();
            if state.outcome.is_some() {
                return;
            }
            state.outcome = Some(outcome.clone());
            (std::mem::take(&mut state.then), std::mem::take(&mut state.wakers))
        };
        self.0.1.notify_all();
        for waker in wakers {
            waker.wake();
        }
        for then in then {
            then(outcome);
        }
    }
}

/// A context that is being started. It can be called at once: messages to it are sent right behind
/// its bootstrap, and fail with the connection's error if the connection fails.
///
/// It is a `Future` of the context. Dropping it does not cancel the connection.
#[derive(Clone)]
pub struct ConnectHandle {
    context: Context,
    done: Completion,
}

impl std::fmt::Debug for ConnectHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectHandle").field("context", &self.context).finish_non_exhaustive()
    }
}

impl ConnectHandle {
    pub(crate) fn new(context: Context, done: Completion) -> Self {
        Self { context, done }
    }

    /// A handle of a context that another party starts, and the completer that sets its result.
    pub fn pending(context: Context) -> (Self, Completer) {
        let done = Completion::default();
        (Self { context, done: done.clone() }, Completer(done))
    }

    /// The context, connected or not.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The result, once there is one.
    pub fn outcome(&self) -> Option<Outcome> {
        self.done.lock().outcome.clone()
    }

    /// Waits until the context is connected. The plan's timeout limits the wait.
    ///
    /// # Errors
    /// The connection failed.
    pub fn wait(&self) -> Result<Context, Arc<ConnectError>> {
        let mut state = self.done.lock();
        loop {
            if let Some(outcome) = &state.outcome {
                return outcome.clone().map(|()| self.context.clone());
            }
            state = self.done.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Like [`ConnectHandle::wait`]; `None` when `deadline` comes first.
    pub fn wait_deadline(&self, deadline: Instant) -> Option<Result<Context, Arc<ConnectError>>> {
        let mut state = self.done.lock();
        loop {
            if let Some(outcome) = &state.outcome {
                return Some(outcome.clone().map(|()| self.context.clone()));
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            state = self.done.0.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Calls `then` with the result: at once if there is one, else on the broker's thread, which
    /// it must not block.
    pub fn on_done(&self, then: impl FnOnce(&Outcome) + Send + 'static) {
        let mut state = self.done.lock();
        match state.outcome.clone() {
            None => state.then.push(Box::new(then)),
            Some(outcome) => {
                drop(state);
                then(&outcome);
            }
        }
    }
}

/// Sets the result of a [`ConnectHandle::pending`].
pub struct Completer(Completion);

impl std::fmt::Debug for Completer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Completer")
    }
}

impl Completer {
    /// Sets the result.
    pub fn complete(self, outcome: &Outcome) {
        self.0.set(outcome);
    }
}

impl Future for ConnectHandle {
    type Output = Result<Context, Arc<ConnectError>>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut state = self.done.lock();
        match &state.outcome {
            Some(outcome) => Poll::Ready(outcome.clone().map(|()| self.context.clone())),
            None => {
                state.wakers.push(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
