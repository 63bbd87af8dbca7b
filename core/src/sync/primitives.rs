//! The standard primitives, or the model checker's in its own test build.

#[cfg(all(test, loom))]
pub(super) use loom::{
    sync::{Arc, Mutex, MutexGuard, atomic::AtomicBool, atomic::Ordering},
    thread::{Thread, current, park},
};
#[cfg(not(all(test, loom)))]
pub(super) use std::{
    sync::{Arc, Mutex, MutexGuard, atomic::AtomicBool, atomic::Ordering},
    thread::{Thread, current, park},
};

use std::time::Instant;

/// Parks until unparked or `deadline`; may return early.
#[cfg(not(all(test, loom)))]
pub(super) fn park_until(deadline: Instant) {
    std::thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
}

/// Whether `deadline` is over.
#[cfg(not(all(test, loom)))]
pub(super) fn is_over(deadline: Instant) -> bool {
    Instant::now() >= deadline
}

// In the model every deadline is over at once: a timeout that races with a put is then one of the
// schedules that are explored.
#[cfg(all(test, loom))]
pub(super) fn park_until(_: Instant) {
    loom::thread::yield_now();
}

#[cfg(all(test, loom))]
pub(super) fn is_over(_: Instant) -> bool {
    true
}
