//! What a callback may do: the loop's state behind the [`Reactor`] trait.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::BrokerHandle;
use super::slots::Slots;
use crate::io::{Defer, Interest, Poller, Reactor, Residual, Stopped, Stream, Task, TimerId, Timers, Token};

/// The state of a loop.
pub(super) struct Turn {
    pub(super) poller: Box<dyn Poller>,
    pub(super) slots: Slots,
    pub(super) timers: Timers<Task>,
    pub(super) now: Instant,
    /// No stream is taken in any more.
    pub(super) ending: bool,
    /// Streams that have been disconnected and not been told yet. Telling waits until the current
    /// callback is over, so that two streams never are in each other's callbacks.
    gone: VecDeque<(Token, Box<dyn Stream>)>,
    /// The current stream was disconnected by its own callback (or by one that this one called).
    current_gone: bool,
    handle: BrokerHandle,
}

impl Turn {
    pub(super) fn new(handle: BrokerHandle, poller: Box<dyn Poller>, now: Instant) -> Self {
        Self {
            poller,
            slots: Slots::new(),
            timers: Timers::new(),
            now,
            ending: false,
            gone: VecDeque::new(),
            current_gone: false,
            handle,
        }
    }

    /// Runs one callback of a stream, if the stream is there, and returns its result; a panic
    /// disconnects the stream.
    pub(super) fn visit<R>(
        &mut self,
        token: Token,
        call: impl FnOnce(&mut dyn Stream, &mut dyn Reactor) -> R,
    ) -> Option<R> {
        let mut stream = self.slots.get_mut(token).and_then(|entry| entry.stream.take())?;
        let outcome = catch_unwind(AssertUnwindSafe(|| call(&mut *stream, self)));
        if outcome.is_err() {
            tracing::error!(stream = stream.name(), "callback panicked; disconnecting its stream");
            self.disconnect(token);
        }
        if std::mem::take(&mut self.current_gone) {
            self.gone.push_back((token, stream));
        } else if let Some(entry) = self.slots.get_mut(token) {
            match entry.replacement.take() {
                None => entry.stream = Some(stream),
                Some(next) => {
                    self.install(token, next);
                    drop_carefully(stream);
                }
            }
        }
        self.tell_gone();
        outcome.ok()
    }

    /// Tells the poller what a callback of the stream has left of a direction.
    pub(super) fn note_residual(&mut self, token: Token, direction: Interest, residual: Residual) {
        if let Some(entry) = self.slots.get_mut(token) {
            entry.note_residual(&mut *self.poller, token, direction, residual);
        }
    }

    /// Runs work that belongs to no stream.
    pub(super) fn perform(&mut self, what: &'static str, task: Task) {
        if catch_unwind(AssertUnwindSafe(|| task(self))).is_err() {
            tracing::error!("{what} panicked");
        }
        self.tell_gone();
    }

    fn install(&mut self, token: Token, stream: Box<dyn Stream>) {
        let Some(entry) = self.slots.get_mut(token) else { return };
        if let Err(err) = entry.install(&mut *self.poller, token, stream) {
            tracing::warn!(%err, ?token, "cannot watch the stream that replaces another");
            self.disconnect(token);
        }
    }

    fn tell_gone(&mut self) {
        while let Some((token, mut stream)) = self.gone.pop_front() {
            if catch_unwind(AssertUnwindSafe(|| stream.on_disconnect(self, token))).is_err() {
                tracing::error!(stream = stream.name(), "callback panicked while disconnecting");
            }
            drop_carefully(stream);
        }
    }

    fn watch(&mut self, token: Token, change: impl FnOnce(&mut Interest)) {
        if let Some(entry) = self.slots.get_mut(token) {
            let mut interest = entry.interest;
            change(&mut interest);
            entry.watch(&mut *self.poller, token, interest);
        }
    }
}

/// A destructor is the stream's own code too.
fn drop_carefully(stream: Box<dyn Stream>) {
    if catch_unwind(AssertUnwindSafe(|| drop(stream))).is_err() {
        tracing::error!("destructor of a stream panicked");
    }
}

impl Reactor for Turn {
    fn register(&mut self, stream: Box<dyn Stream>) -> io::Result<Token> {
        if self.ending {
            return Err(io::Error::other(Stopped));
        }
        self.slots.insert(&mut *self.poller, stream)
    }

    fn start_receive(&mut self, token: Token) {
        self.watch(token, |interest| interest.read = true);
    }

    fn stop_receive(&mut self, token: Token) {
        self.watch(token, |interest| interest.read = false);
    }

    fn start_transmit(&mut self, token: Token) {
        self.watch(token, |interest| interest.write = true);
    }

    fn stop_transmit(&mut self, token: Token) {
        self.watch(token, |interest| interest.write = false);
    }

    fn replace(&mut self, token: Token, stream: Box<dyn Stream>) -> bool {
        match self.slots.get_mut(token) {
            None => false,
            Some(entry) if entry.stream.is_none() => {
                entry.replacement = Some(stream);
                true
            }
            Some(_) => {
                self.install(token, stream);
                true
            }
        }
    }

    fn disconnect(&mut self, token: Token) {
        let Some(entry) = self.slots.remove(&mut *self.poller, token) else { return };
        match (entry.stream, entry.replacement) {
            (Some(stream), _) => self.gone.push_back((token, stream)),
            // It was replaced in this same callback: the one that took over is told.
            (None, Some(next)) => self.gone.push_back((token, next)),
            (None, None) => self.current_gone = true,
        }
    }

    fn is_registered(&self, token: Token) -> bool {
        self.slots.contains(token)
    }

    fn schedule(&mut self, when: Instant, task: Task) -> TimerId {
        self.timers.schedule(when, task, false)
    }

    fn schedule_keep_alive(&mut self, when: Instant, task: Task) -> TimerId {
        self.timers.schedule(when, task, true)
    }

    fn cancel(&mut self, timer: TimerId) -> bool {
        self.timers.cancel(timer).is_some()
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn handle(&self) -> Arc<dyn Defer> {
        self.handle.as_defer()
    }
}
