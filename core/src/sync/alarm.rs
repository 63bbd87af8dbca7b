//! When a sleeper has to be woken, and when not: the protocol behind the poller's waker.

use super::primitives::{AtomicU8, Ordering};

/// Says who has to ring the bell, so that a call costs a system call only when somebody sleeps.
///
/// A caller leaves its work first and then calls; the sleeper looks for work after each
/// [`awake`](Self::awake). Between these two nothing can be missed.
#[derive(Debug)]
pub(crate) struct Alarm(AtomicU8);

/// The sleeper is at work; it will look for work before it sleeps.
const AWAKE: u8 = 0;
/// The sleeper sleeps, or is about to.
const ASLEEP: u8 = 1;
/// Somebody has called since the sleeper last woke.
const CALLED: u8 = 2;

impl Alarm {
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(AWAKE))
    }

    /// There is work. Returns whether the caller must ring.
    pub(crate) fn call(&self) -> bool {
        self.0.swap(CALLED, Ordering::SeqCst) == ASLEEP
    }

    /// The sleeper is going to sleep: returns whether it may. It must call [`awake`](Self::awake)
    /// afterwards in either case.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.0.compare_exchange(AWAKE, ASLEEP, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The sleeper has woken. What any caller left before its call is visible from here on.
    pub(crate) fn awake(&self) {
        self.0.swap(AWAKE, Ordering::SeqCst);
    }
}
