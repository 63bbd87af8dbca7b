//! The orderly shutdown: shutdown hooks, a graceful phase, a forced phase, exit hooks.
//!
//! Unlike in upstream Mitogen, the waker works until the end, so tasks that are deferred during the graceful
//! phase (late replies, late log records) still run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::handle::{BrokerHandle, Hook, LoopEvent};
use super::loop_state::LoopState;

/// The phase that the loop is in.
pub(super) enum Phase {
    /// No shutdown was requested.
    Running,
    /// Streams finish their work, until this deadline at the latest.
    Graceful(Instant),
}

/// How often queued tasks are run after all streams are disconnected, if they keep adding tasks.
const MAX_FINAL_ROUNDS: usize = 64;

impl Phase {
    /// Starts the graceful phase: calls the hooks, then each stream's `on_shutdown`.
    pub(super) fn begin(&mut self, state: &mut LoopState, handle: &BrokerHandle, grace: Duration) {
        if matches!(self, Self::Graceful(_)) {
            return;
        }
        // Keeps the addition within the clock's range.
        let longest = Duration::from_secs(86_400 * 365);
        *self = Self::Graceful(state.now + grace.min(longest));
        call_hooks(handle.take_shutdown_hooks());
        for token in state.slots.tokens() {
            state.call_stream(token, |stream, reactor| stream.on_shutdown(reactor, token));
        }
    }

    /// Whether no stream or timer keeps the loop alive, or the grace period has passed.
    pub(super) fn is_over(&self, state: &LoopState) -> bool {
        let Self::Graceful(deadline) = self else { return false };
        if state.timers.keep_alive() || state.slots.keeping_alive().next().is_some() {
            if state.now < *deadline {
                return false;
            }
            let remaining: Vec<_> = state.slots.keeping_alive().collect();
            tracing::warn!(?remaining, "shutdown timed out; disconnecting the remaining streams");
        }
        true
    }

    /// The deadline at which [`is_over`](Self::is_over) becomes true.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Running => None,
            Self::Graceful(deadline) => Some(*deadline),
        }
    }
}

/// The forced phase: disconnects all streams, runs the tasks that were accepted, and calls the exit hooks.
pub(super) fn finish(state: &mut LoopState, handle: &BrokerHandle) {
    state.stopping = true;
    call_hooks(handle.take_shutdown_hooks());
    for token in state.slots.tokens() {
        state.run_task("disconnect", Box::new(move |reactor| reactor.disconnect(token)));
    }
    let mut inbox = Vec::new();
    for round in 0.. {
        if let Some(hooks) = handle.stop(round == MAX_FINAL_ROUNDS) {
            state.timers.clear();
            call_hooks(hooks);
            return;
        }
        handle.take_events(&mut inbox);
        for event in inbox.drain(..) {
            if let LoopEvent::Deferred(task) = event {
                state.run_task("deferred call", task);
            }
        }
    }
}

fn call_hooks(hooks: Vec<Hook>) {
    for hook in hooks {
        if catch_unwind(AssertUnwindSafe(hook)).is_err() {
            tracing::error!("hook panicked");
        }
    }
}
