//! [`Latch`]: a queue that threads can wait on.

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

/// Why a latch returned no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LatchError {
    /// The latch is closed and empty.
    #[error("latch is closed")]
    Closed,
    /// No value arrived before the deadline.
    #[error("timed out")]
    TimedOut,
}

/// The latch is closed. Contains the value that was not put.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("latch is closed")]
pub struct Closed<T>(pub T);

impl<T> fmt::Debug for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closed(..)")
    }
}

/// A callback that runs after each put into a latch and after its closing, without any lock held.
pub type LatchListener = StdArc<dyn Fn() + Send + Sync>;

/// An unbounded multi-producer, multi-consumer queue. Values are returned in the order in which they were
/// put, and waiting threads are served in the order in which they started to wait. Clones are handles of
/// the same queue.
///
/// ```
/// use std::time::Duration;
///
/// use mitogen_core::sync::{Latch, LatchError};
///
/// let latch = Latch::new();
/// let producer = latch.clone();
/// let thread = std::thread::spawn(move || {
///     producer.put(7).unwrap();
///     producer.close();
/// });
/// assert_eq!(latch.get_timeout(Duration::from_secs(5)), Ok(7));
/// assert_eq!(latch.get(), Err(LatchError::Closed));
/// thread.join().unwrap();
/// ```
pub struct Latch<T> {
    shared: Arc<Mutex<State<T>>>,
}

struct State<T> {
    /// Empty while a thread waits: a put then hands its value to that thread.
    queue: VecDeque<T>,
    waiting: VecDeque<Arc<Waiter<T>>>,
    /// Wakers of the futures to poll again after the next change.
    tasks: Vec<Waker>,
    listener: Option<LatchListener>,
    closed: bool,
}

/// A waiting thread. A value is handed to a specific waiter, so that a thread that arrives later cannot
/// take it.
struct Waiter<T> {
    thread: Thread,
    served: AtomicBool,
    value: Mutex<Option<T>>,
}

impl<T> Latch<T> {
    /// Creates an empty, open latch.
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

    /// Adds a value and wakes one waiting thread. Never blocks.
    ///
    /// # Errors
    /// [`Closed`] with the value when the latch is closed.
    pub fn put(&self, value: T) -> Result<(), Closed<T>> {
        let mut state = self.lock();
        if state.closed {
            return Err(Closed(value));
        }
        let waiter = state.waiting.pop_front();
        let tasks = match &waiter {
            Some(waiter) => {
                *lock(&waiter.value) = Some(value);
                Vec::new()
            }
            None => {
                state.queue.push_back(value);
                mem::take(&mut state.tasks)
            }
        };
        let listener = state.listener.clone();
        drop(state);
        if let Some(waiter) = waiter {
            waiter.wake();
        }
        notify(tasks, listener);
        Ok(())
    }

    /// Takes a value without waiting; `None` when the latch is empty but open.
    ///
    /// # Errors
    /// [`LatchError::Closed`] when the latch is empty and closed.
    pub fn try_get(&self) -> Result<Option<T>, LatchError> {
        let mut state = self.lock();
        match state.queue.pop_front() {
            None if state.closed => Err(LatchError::Closed),
            value => Ok(value),
        }
    }

    /// Takes a value, waiting for one if necessary. Never call it on a broker's thread.
    ///
    /// # Errors
    /// [`LatchError::Closed`] when the latch is empty and closed.
    pub fn get(&self) -> Result<T, LatchError> {
        self.wait(None)
    }

    /// Takes a value, waiting for one no longer than `timeout`.
    ///
    /// # Errors
    /// See [`LatchError`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, LatchError> {
        // A timeout beyond the clock's range means no timeout.
        self.wait(Instant::now().checked_add(timeout))
    }

    /// Takes a value, waiting for one until `deadline`.
    ///
    /// # Errors
    /// See [`LatchError`].
    pub fn get_deadline(&self, deadline: Instant) -> Result<T, LatchError> {
        self.wait(Some(deadline))
    }

    fn wait(&self, deadline: Option<Instant>) -> Result<T, LatchError> {
        let waiter = {
            let mut state = self.lock();
            if let Some(value) = state.queue.pop_front() {
                return Ok(value);
            }
            if state.closed {
                return Err(LatchError::Closed);
            }
            let waiter = Arc::new(Waiter::new());
            state.waiting.push_back(Arc::clone(&waiter));
            waiter
        };
        // No spinning before parking: measured on two processors, it gained nothing when they were idle,
        // and took time from the process that was about to reply when they were not.
        while !waiter.served.load(Ordering::Acquire) {
            match deadline {
                None => park(),
                Some(deadline) if is_over(deadline) => {
                    if self.stop_waiting(&waiter) {
                        return Err(LatchError::TimedOut);
                    }
                    // A value was handed over in the meantime.
                    break;
                }
                Some(deadline) => park_until(deadline),
            }
        }
        let value = lock(&waiter.value).take();
        value.ok_or(LatchError::Closed)
    }

    /// Removes `waiter` from the waiting threads; returns `false` if it was served already.
    fn stop_waiting(&self, waiter: &Arc<Waiter<T>>) -> bool {
        let mut state = self.lock();
        let index = state.waiting.iter().position(|other| Arc::ptr_eq(other, waiter));
        index.is_some_and(|index| state.waiting.remove(index).is_some())
    }

    /// Takes a value, or registers the task to be woken after the next change. Threads that wait in
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

    /// Closes the latch: further puts fail. Queued values can still be taken; threads that wait now fail
    /// immediately, because the queue is empty.
    pub fn close(&self) {
        let mut state = self.lock();
        if mem::replace(&mut state.closed, true) {
            return;
        }
        let waiters = mem::take(&mut state.waiting);
        let tasks = mem::take(&mut state.tasks);
        let listener = state.listener.clone();
        drop(state);
        for waiter in waiters {
            waiter.wake();
        }
        notify(tasks, listener);
    }

    /// Sets the callback that runs after each put and after closing, on the thread that put or closed and
    /// without any lock held; it must not block. Returns the previous callback.
    pub fn set_listener(&self, listener: Option<LatchListener>) -> Option<LatchListener> {
        mem::replace(&mut self.lock().listener, listener)
    }

    /// The number of queued values.
    pub fn len(&self) -> usize {
        self.lock().queue.len()
    }

    /// Whether no value is queued.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the latch is closed. It may still contain values.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// The number of waiting threads.
    #[cfg(all(test, not(loom)))]
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        lock(&self.shared)
    }
}

/// No caller's code runs while these locks are held, so the state is consistent even when poisoned.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn notify(tasks: Vec<Waker>, listener: Option<LatchListener>) {
    for task in tasks {
        task.wake();
    }
    if let Some(listener) = listener {
        listener();
    }
}

impl<T> Waiter<T> {
    fn new() -> Self {
        Self { thread: current(), served: AtomicBool::new(false), value: Mutex::new(None) }
    }

    fn wake(&self) {
        self.served.store(true, Ordering::Release);
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
