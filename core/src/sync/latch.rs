//! A queue that threads wait on.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::Arc as StdArc;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::primitives::{
    Arc, AtomicBool, Mutex, MutexGuard, Ordering, Thread, current, is_over, park, park_until,
};

/// Why nothing was got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LatchError {
    /// The latch is closed and empty.
    #[error("latch is closed")]
    Closed,
    /// Nothing came before the deadline.
    #[error("timed out")]
    TimedOut,
}

/// The latch is closed; the value is given back.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("latch is closed")]
pub struct Closed<T>(pub T);

impl<T> fmt::Debug for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closed(..)")
    }
}

/// Called after each put and the closing of a latch.
pub type Listener = StdArc<dyn Fn() + Send + Sync>;

/// A queue with many putters and many getters. Values come out in the order in which they were put,
/// and go to waiting getters in the order in which those came. Clones are the same queue.
pub struct Latch<T> {
    shared: Arc<Mutex<State<T>>>,
}

struct State<T> {
    /// Not empty only when no thread waits.
    queue: VecDeque<T>,
    waiting: VecDeque<Arc<Seat<T>>>,
    /// Futures that want to be polled again at the next change.
    tasks: Vec<Waker>,
    listener: Option<Listener>,
    closed: bool,
}

/// A waiting thread. A value is handed to it in person, so that no thread that comes later can take
/// it away.
struct Seat<T> {
    thread: Thread,
    called: AtomicBool,
    value: Mutex<Option<T>>,
}

impl<T> Latch<T> {
    /// An empty, open latch.
    pub fn new() -> Self {
        let state = State {
            queue: VecDeque::new(),
            waiting: VecDeque::new(),
            tasks: Vec::new(),
            listener: None,
            closed: false,
        };
        Self { shared: Arc::new(Mutex::new(state)) }
    }

    /// Adds a value and wakes one getter. Never blocks.
    ///
    /// # Errors
    /// [`Closed`] gives the value back.
    pub fn put(&self, value: T) -> Result<(), Closed<T>> {
        let mut state = self.lock();
        if state.closed {
            return Err(Closed(value));
        }
        let seat = state.waiting.pop_front();
        let tasks = match &seat {
            Some(seat) => {
                *lock(&seat.value) = Some(value);
                Vec::new()
            }
            None => {
                state.queue.push_back(value);
                mem::take(&mut state.tasks)
            }
        };
        let listener = state.listener.clone();
        drop(state);
        if let Some(seat) = seat {
            seat.call();
        }
        tell(tasks, listener);
        Ok(())
    }

    /// Takes a value if there is one; `None` when there is none at the moment.
    ///
    /// # Errors
    /// [`LatchError::Closed`].
    pub fn try_get(&self) -> Result<Option<T>, LatchError> {
        let mut state = self.lock();
        match state.queue.pop_front() {
            None if state.closed => Err(LatchError::Closed),
            value => Ok(value),
        }
    }

    /// Takes a value, and waits for one. Never call it on a broker's thread.
    ///
    /// # Errors
    /// [`LatchError::Closed`].
    pub fn get(&self) -> Result<T, LatchError> {
        self.wait(None)
    }

    /// Takes a value, and waits for one no longer than `timeout`.
    ///
    /// # Errors
    /// See [`LatchError`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, LatchError> {
        // A timeout beyond the clock's range is none.
        self.wait(Instant::now().checked_add(timeout))
    }

    /// Takes a value, and waits for one until `deadline`.
    ///
    /// # Errors
    /// See [`LatchError`].
    pub fn get_deadline(&self, deadline: Instant) -> Result<T, LatchError> {
        self.wait(Some(deadline))
    }

    fn wait(&self, deadline: Option<Instant>) -> Result<T, LatchError> {
        let seat = {
            let mut state = self.lock();
            if let Some(value) = state.queue.pop_front() {
                return Ok(value);
            }
            if state.closed {
                return Err(LatchError::Closed);
            }
            let seat = Arc::new(Seat::new());
            state.waiting.push_back(Arc::clone(&seat));
            seat
        };
        while !seat.called.load(Ordering::Acquire) {
            match deadline {
                None => park(),
                Some(deadline) if is_over(deadline) => {
                    if self.give_up(&seat) {
                        return Err(LatchError::TimedOut);
                    }
                    // The value was handed over just now.
                    break;
                }
                Some(deadline) => park_until(deadline),
            }
        }
        let value = lock(&seat.value).take();
        value.ok_or(LatchError::Closed)
    }

    /// Leaves the row of waiting threads; `false` when this thread was called already.
    fn give_up(&self, seat: &Arc<Seat<T>>) -> bool {
        let mut state = self.lock();
        let place = state.waiting.iter().position(|other| Arc::ptr_eq(other, seat));
        place.is_some_and(|place| state.waiting.remove(place).is_some())
    }

    /// Takes a value, or has the task woken at the next change. Threads that wait in
    /// [`get`](Self::get) are served first.
    pub fn poll_get(&self, cx: &mut Context<'_>) -> Poll<Result<T, LatchError>> {
        let mut state = self.lock();
        if let Some(value) = state.queue.pop_front() {
            return Poll::Ready(Ok(value));
        }
        if state.closed {
            return Poll::Ready(Err(LatchError::Closed));
        }
        if !state.tasks.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.tasks.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Lets nothing more in. What is there can still be got; then getters fail, and those that wait
    /// now fail at once (nothing is there for them).
    pub fn close(&self) {
        let mut state = self.lock();
        if mem::replace(&mut state.closed, true) {
            return;
        }
        let seats = mem::take(&mut state.waiting);
        let tasks = mem::take(&mut state.tasks);
        let listener = state.listener.clone();
        drop(state);
        for seat in seats {
            seat.call();
        }
        tell(tasks, listener);
    }

    /// Sets what is called, outside any lock and on the putter's thread, after each put and after
    /// closing; it must not block. Returns the listener that was there before.
    pub fn set_listener(&self, listener: Option<Listener>) -> Option<Listener> {
        mem::replace(&mut self.lock().listener, listener)
    }

    /// How many values can be got at once.
    pub fn len(&self) -> usize {
        self.lock().queue.len()
    }

    /// Whether no value can be got at once.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the latch is closed (values may still be there).
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        lock(&self.shared)
    }
}

/// No foreign code runs under these locks, so a poisoned state is still a whole one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tell(tasks: Vec<Waker>, listener: Option<Listener>) {
    for task in tasks {
        task.wake();
    }
    if let Some(listener) = listener {
        listener();
    }
}

impl<T> Seat<T> {
    fn new() -> Self {
        Self { thread: current(), called: AtomicBool::new(false), value: Mutex::new(None) }
    }

    fn call(&self) {
        self.called.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl<T> Default for Latch<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Latch<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> fmt::Debug for Latch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Latch")
            .field("len", &state.queue.len())
            .field("waiting", &state.waiting.len())
            .field("closed", &state.closed)
            .finish()
    }
}
