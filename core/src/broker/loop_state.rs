//! The loop's state, which implements the [`Reactor`] trait for callbacks.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::handle::BrokerHandle;
use super::slots::Slots;
use crate::io::{Defer, Interest, Poller, Reactor, Residual, Stopped, Stream, Task, TimerId, Timers, Token};

/// The state of a loop.
pub(super) struct LoopState {
    pub(super) poller: Box<dyn Poller>,
    pub(super) slots: Slots,
    pub(super) timers: Timers<Task>,
    pub(super) now: Instant,
    /// No stream is accepted any more.
    pub(super) stopping: bool,
    /// Disconnected streams whose `on_disconnect` has not run yet. It runs after the current callback, so
    /// that callbacks of two streams never nest.
    disconnected: VecDeque<(Token, Box<dyn Stream>)>,
    /// The stream whose callback runs was disconnected during it.
    current_disconnected: bool,
    /// Streams that were touched in a direction that is not paused. Empty in most iterations.
    touched: Vec<Token>,
    handle: BrokerHandle,
}

impl LoopState {
    pub(super) fn new(handle: BrokerHandle, poller: Box<dyn Poller>, now: Instant) -> Self {
        Self {
            poller,
            slots: Slots::new(),
            timers: Timers::new(),
            now,
            stopping: false,
            disconnected: VecDeque::new(),
            current_disconnected: false,
            touched: Vec::new(),
            handle,
        }
    }

    /// Runs one callback of a stream, if it is registered, and returns its result. A panic disconnects the
    /// stream.
    pub(super) fn call_stream<R>(
        &mut self,
        token: Token,
        call: impl FnOnce(&mut dyn Stream, &mut dyn Reactor) -> R,
    ) -> Option<R> {
        let mut stream = self.slots.get_mut(token).and_then(|entry| entry.stream.take())?;
        let outcome = catch_unwind(AssertUnwindSafe(|| call(&mut *stream, self)));
        if outcome.is_err() {
            tracing::error!(stream = stream.name(), "callback panicked; disconnecting the stream");
            self.disconnect(token);
        }
        if std::mem::take(&mut self.current_disconnected) {
            self.disconnected.push_back((token, stream));
        } else if let Some(entry) = self.slots.get_mut(token) {
            match entry.replacement.take() {
                None => entry.stream = Some(stream),
                Some(next) => {
                    self.install(token, next);
                    drop_stream(stream);
                }
            }
        }
        self.notify_disconnected();
        outcome.ok()
    }

    /// Passes the residual state that a callback has left to the poller.
    pub(super) fn note_residual(&mut self, token: Token, direction: Interest, residual: Residual) {
        if residual == Residual::Buffered {
            self.touch_directions(token, direction);
        }
        if let Some(entry) = self.slots.get_mut(token) {
            entry.note_residual(&mut *self.poller, token, direction, residual);
        }
    }

    /// Runs a task that does not belong to a stream.
    pub(super) fn run_task(&mut self, what: &'static str, task: Task) {
        if catch_unwind(AssertUnwindSafe(|| task(self))).is_err() {
            tracing::error!("{what} panicked");
        }
        self.notify_disconnected();
    }

    fn install(&mut self, token: Token, stream: Box<dyn Stream>) {
        let Some(entry) = self.slots.get_mut(token) else { return };
        if let Err(err) = entry.install(&mut *self.poller, token, stream) {
            tracing::warn!(%err, ?token, "cannot register a replacement stream");
            self.disconnect(token);
        }
    }

    fn notify_disconnected(&mut self) {
        while let Some((token, mut stream)) = self.disconnected.pop_front() {
            if catch_unwind(AssertUnwindSafe(|| stream.on_disconnect(self, token))).is_err() {
                tracing::error!(stream = stream.name(), "callback panicked while disconnecting");
            }
            drop_stream(stream);
        }
    }

    fn watch(&mut self, token: Token, change: impl FnOnce(&mut Interest)) {
        if let Some(entry) = self.slots.get_mut(token) {
            let mut interest = entry.interest;
            change(&mut interest);
            entry.watch(&mut *self.poller, token, interest);
            if entry.is_touched() {
                self.touched.push(token);
            }
        }
    }

    /// Whether a touched stream waits for its callback.
    pub(super) fn has_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Moves the touched streams to `into`, which must be empty.
    pub(super) fn take_touched(&mut self, into: &mut Vec<Token>) {
        std::mem::swap(&mut self.touched, into);
    }

    fn touch_directions(&mut self, token: Token, directions: Interest) {
        if let Some(entry) = self.slots.get_mut(token) {
            entry.touched.read |= directions.read;
            entry.touched.write |= directions.write;
            if entry.is_touched() {
                self.touched.push(token);
            }
        }
    }
}

/// Drops a stream, and contains a panic of its destructor.
fn drop_stream(stream: Box<dyn Stream>) {
    if catch_unwind(AssertUnwindSafe(|| drop(stream))).is_err() {
        tracing::error!("destructor of a stream panicked");
    }
}

impl Reactor for LoopState {
    fn register(&mut self, stream: Box<dyn Stream>) -> io::Result<Token> {
        if self.stopping {
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

    fn touch(&mut self, token: Token) {
        self.touch_directions(token, Interest::BOTH);
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
            (Some(stream), _) => self.disconnected.push_back((token, stream)),
            // It was replaced during this callback: the replacement gets the notification.
            (None, Some(next)) => self.disconnected.push_back((token, next)),
            (None, None) => self.current_disconnected = true,
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
