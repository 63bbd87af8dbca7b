//! A connection under way, as its caller sees it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Instant;

use super::error::ConnectError;
use crate::call::Context;

/// How a connection ended.
pub type Outcome = Result<(), Arc<ConnectError>>;

type Then = Box<dyn FnOnce(&Outcome) + Send>;

#[derive(Default)]
struct State {
    outcome: Option<Outcome>,
    then: Vec<Then>,
    wakers: Vec<Waker>,
}

/// Set once, by the driver; waited for by anybody.
#[derive(Clone, Default)]
pub(crate) struct Done(Arc<(Mutex<State>, Condvar)>);

impl Done {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the outcome; the first one stays. Callbacks run here, outside the lock.
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

/// A context that is being started. It can be called at once: what is sent to it travels right
/// behind its bootstrap, and fails with the connection's error if that fails.
///
/// It is a `Future` of the context. Dropping it changes nothing.
#[derive(Clone)]
pub struct Connecting {
    context: Context,
    done: Done,
}

impl std::fmt::Debug for Connecting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connecting").field("context", &self.context).finish_non_exhaustive()
    }
}

impl Connecting {
    pub(crate) fn new(context: Context, done: Done) -> Self {
        Self { context, done }
    }

    /// A context that somebody else starts, and the means to say how that ended.
    pub fn promised(context: Context) -> (Self, Promise) {
        let done = Done::default();
        (Self { context, done: done.clone() }, Promise(done))
    }

    /// The context, up or not.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// How it ended, if it has.
    pub fn outcome(&self) -> Option<Outcome> {
        self.done.lock().outcome.clone()
    }

    /// Waits until the context is up. The plan's own timeout bounds the wait.
    ///
    /// # Errors
    /// Why it did not come up.
    pub fn wait(&self) -> Result<Context, Arc<ConnectError>> {
        let mut state = self.done.lock();
        loop {
            if let Some(outcome) = &state.outcome {
                return outcome.clone().map(|()| self.context.clone());
            }
            state = self.done.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Like [`Connecting::wait`]; `None` when `deadline` comes first.
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

    /// Calls `then` with the outcome: at once if there is one, else on the broker's thread, where
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

/// The other end of a [`Connecting`] that is not ours to carry out.
pub struct Promise(Done);

impl std::fmt::Debug for Promise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Promise")
    }
}

impl Promise {
    /// Says how it ended.
    pub fn keep(self, outcome: &Outcome) {
        self.0.set(outcome);
    }
}

impl Future for Connecting {
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
