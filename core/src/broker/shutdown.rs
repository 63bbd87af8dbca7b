//! The orderly end: hooks, a graceful phase, a forced one, hooks again.
//!
//! Unlike stock's, our waker lives until the end, so work that is deferred during the graceful phase
//! (late replies, late log records) is still done.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::BrokerHandle;
use super::event::Event;
use super::handle::Hook;
use super::turn::Turn;

/// Where a loop is in its life.
pub(super) enum Phase {
    /// Nobody has asked for the end.
    Running,
    /// Streams wind up, until the instant given.
    Graceful(Instant),
}

/// How often tasks that leave further tasks are followed after all streams are gone.
const LAST_ROUNDS: usize = 64;

impl Phase {
    /// Starts the graceful phase: the hooks, then each stream.
    pub(super) fn begin(&mut self, turn: &mut Turn, handle: &BrokerHandle, grace: Duration) {
        if matches!(self, Self::Graceful(_)) {
            return;
        }
        let far = Duration::from_secs(86_400 * 365);
        *self = Self::Graceful(turn.now + grace.min(far));
        call_hooks(handle.take_shutdown_hooks());
        for token in turn.slots.tokens() {
            turn.visit(token, |stream, reactor| stream.on_shutdown(reactor, token));
        }
    }

    /// Whether nothing holds the loop any more, or the grace period is over.
    pub(super) fn is_over(&self, turn: &Turn) -> bool {
        let Self::Graceful(deadline) = self else { return false };
        if turn.timers.keep_alive() || turn.slots.holding().next().is_some() {
            if turn.now < *deadline {
                return false;
            }
            let left: Vec<_> = turn.slots.holding().collect();
            tracing::warn!(?left, "grace period is over; disconnecting what is left");
        }
        true
    }

    /// When the loop must look at [`is_over`](Self::is_over) again at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Running => None,
            Self::Graceful(deadline) => Some(*deadline),
        }
    }
}

/// The forced phase: all streams are disconnected, work that was taken is done, and the exit hooks
/// are called.
pub(super) fn finish(turn: &mut Turn, handle: &BrokerHandle) {
    turn.ending = true;
    call_hooks(handle.take_shutdown_hooks());
    for token in turn.slots.tokens() {
        turn.perform("disconnect", Box::new(move |reactor| reactor.disconnect(token)));
    }
    let mut inbox = Vec::new();
    for round in 0.. {
        if let Some(hooks) = handle.stop(round == LAST_ROUNDS) {
            turn.timers.clear();
            call_hooks(hooks);
            return;
        }
        handle.take_events(&mut inbox);
        for event in inbox.drain(..) {
            if let Event::Deferred(task) = event {
                turn.perform("deferred call", task);
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
