//! Wakes a poller from another thread. It costs a system call only while the poller sleeps.

use std::fmt;
use std::sync::Arc;

use crate::sync::WakeState;

/// How a poller's wait is interrupted; each kind of poller has its own.
pub(super) trait WakeBackend: fmt::Debug + Send + Sync {
    /// Makes the current or next wait of the poller return. Never blocks.
    fn wake(&self);
}

/// Wakes one poller; clones wake the same poller. Wakes are merged: any number of them between two
/// returns of the poll costs one system call, and none while the loop is awake.
#[derive(Clone, Debug)]
pub struct Waker {
    shared: Arc<Shared<dyn WakeBackend>>,
}

#[derive(Debug)]
struct Shared<B: ?Sized> {
    state: WakeState,
    backend: B,
}

impl Waker {
    pub(super) fn new(backend: impl WakeBackend + 'static) -> Self {
        Self { shared: Arc::new(Shared { state: WakeState::new(), backend }) }
    }

    /// Makes the poller's current or next wait return immediately.
    pub fn wake(&self) {
        if self.shared.state.notify() {
            self.shared.backend.wake();
        }
    }

    /// Must be called before the poller waits: returns whether it may sleep. The caller must call
    /// [`end_wait`](Self::end_wait) afterwards in either case.
    pub(super) fn begin_wait(&self) -> bool {
        self.shared.state.begin_sleep()
    }

    /// Must be called after the poller has waited. Everything that a caller did before its
    /// [`wake`](Self::wake) is visible from here on.
    pub(super) fn end_wait(&self) {
        self.shared.state.end_sleep();
    }
}
