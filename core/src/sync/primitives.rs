//! The synchronization primitives: the standard library's, or loom's in the model-checking build.

#[cfg(all(test, loom))]
pub(super) use loom::{
    sync::{Arc, Mutex, MutexGuard, atomic::AtomicBool, atomic::AtomicU8, atomic::Ordering},
    thread::{Thread, current, park},
};
#[cfg(not(all(test, loom)))]
pub(super) use std::{
    sync::{Arc, Mutex, MutexGuard, atomic::AtomicBool, atomic::AtomicU8, atomic::Ordering},
    thread::{Thread, current, park},
};

use std::time::Instant;

/// Parks until unparked or `deadline`; may return early.
#[cfg(not(all(test, loom)))]
pub(super) fn park_until(deadline: Instant) {
    std::thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
}

/// Whether `deadline` has passed.
#[cfg(not(all(test, loom)))]
pub(super) fn is_over(deadline: Instant) -> bool {
    Instant::now() >= deadline
}

// In the model every deadline has passed: a timeout during a put is then one of the explored schedules.
#[cfg(all(test, loom))]
pub(super) fn park_until(_: Instant) {
    loom::thread::yield_now();
}

#[cfg(all(test, loom))]
pub(super) fn is_over(_: Instant) -> bool {
    true
}
