//! The protocol between a sleeping loop and the threads that leave work for it.

use super::primitives::{AtomicU8, Ordering};

/// Tracks whether the loop sleeps, so that a notification costs a system call only when it does.
///
/// A notifier queues its work first and then calls [`notify`](Self::notify); the loop checks its queue
/// after each [`end_sleep`](Self::end_sleep). With this order no work is missed.
#[derive(Debug)]
pub(crate) struct WakeState(AtomicU8);

/// The loop is running; it will check for work before it sleeps.
const AWAKE: u8 = 0;
/// The loop sleeps, or is about to.
const ASLEEP: u8 = 1;
/// The loop was notified since it last woke.
const NOTIFIED: u8 = 2;

impl WakeState {
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(AWAKE))
    }

    /// Announces work. Returns whether the caller must interrupt the loop's sleep.
    pub(crate) fn notify(&self) -> bool {
        self.0.swap(NOTIFIED, Ordering::SeqCst) == ASLEEP
    }

    /// Must be called before the loop sleeps: returns whether it may. The loop must call
    /// [`end_sleep`](Self::end_sleep) afterwards in either case.
    pub(crate) fn begin_sleep(&self) -> bool {
        self.0.compare_exchange(AWAKE, ASLEEP, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Must be called after the sleep. What a notifier queued before its notification is visible from
    /// here on.
    pub(crate) fn end_sleep(&self) {
        self.0.swap(AWAKE, Ordering::SeqCst);
    }
}
