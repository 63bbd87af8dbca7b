//! [`Writer`]: the send queue of a stream, shared by all threads that send.
//!
//! While the queue is empty, a send writes directly to the descriptor; the loop is involved only when the
//! kernel would block. Data is not copied: the queue holds reference-counted slices.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::{Buf, Bytes};

use super::poller::Token;
use super::side::Side;
use super::stream::Defer;

/// The peer has disconnected, or the writer was closed; the data was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stream is disconnected")]
pub struct Disconnected;

/// Why a blocking send failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The peer has disconnected, or the writer was closed.
    #[error("stream is disconnected")]
    Disconnected,
    /// The queue was still above the high-water mark at the deadline; nothing was sent.
    #[error("timed out waiting for space in the send queue")]
    TimedOut,
}

impl From<Disconnected> for WriteError {
    fn from(_: Disconnected) -> Self {
        Self::Disconnected
    }
}

/// The state of the queue after [`Writer::on_transmit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// The queue is empty: stop transmitting.
    Drained,
    /// The kernel's buffer is full and data is left: continue to transmit.
    More,
    /// The peer has disconnected: disconnect the stream.
    Disconnected,
}

/// The send queue of a stream. Clones are handles of the same queue.
#[derive(Clone)]
pub struct Writer {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Notified when the queue falls below the high-water mark, and when the stream is disconnected.
    space: Condvar,
    /// In bytes.
    high_water: usize,
}

struct State {
    /// `None` after [`Writer::close`].
    side: Option<Box<dyn Side>>,
    queue: VecDeque<Bytes>,
    /// Bytes in `queue`.
    queued: usize,
    /// A write has found the peer disconnected.
    broken: bool,
    /// The loop was asked to call [`Writer::on_transmit`] and still does so.
    transmitting: bool,
    /// Asks the loop to call [`Writer::on_transmit`].
    start_transmit: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Threads blocked in [`Writer::send_blocking`].
    blocked: usize,
    on_low_water: Vec<Box<dyn FnOnce() + Send>>,
}

/// Slices per system call. Systems allow 1024, but filling that many records costs more than the fewer
/// calls save.
const MAX_PIECES: usize = 64;

impl Writer {
    /// Creates a queue that writes to `side`. [`send_blocking`](Self::send_blocking) waits while
    /// `high_water` bytes or more are queued; the low-water mark is half of `high_water`.
    pub fn new(side: impl Side + 'static, high_water: usize) -> Self {
        Self::boxed(Box::new(side), high_water)
    }

    /// Like [`new`](Self::new), for a side of a type that is not known.
    pub fn boxed(side: Box<dyn Side>, high_water: usize) -> Self {
        let state = State {
            side: Some(side),
            queue: VecDeque::new(),
            queued: 0,
            broken: false,
            transmitting: false,
            start_transmit: None,
            blocked: 0,
            on_low_water: Vec::new(),
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), space: Condvar::new(), high_water }) }
    }

    /// Sets how the writer asks the loop to call [`on_transmit`](Self::on_transmit): `start_transmit` is
    /// called, without any lock held, by the thread whose send found the kernel's buffer full. It is
    /// called immediately when data is queued already.
    pub fn bind(&self, start_transmit: impl Fn() + Send + Sync + 'static) {
        let start_transmit: Arc<dyn Fn() + Send + Sync> = Arc::new(start_transmit);
        let mut state = self.lock();
        state.start_transmit = Some(Arc::clone(&start_transmit));
        state.transmitting = state.needs_transmit();
        let needed = state.transmitting;
        drop(state);
        if needed {
            start_transmit();
        }
    }

    /// Like [`bind`](Self::bind), for a registered stream: asks the loop to start transmitting for
    /// `token`.
    pub fn bind_to(&self, broker: Arc<dyn Defer>, token: Token) {
        self.bind(move || {
            // A stopped loop has disconnected its streams, or is about to.
            let _ = broker.defer(Box::new(move |reactor| reactor.start_transmit(token)));
        });
    }

    /// Sends without blocking: for relays, control messages and the broker's thread. Data that the kernel
    /// does not accept is queued without limit (see [`over_high_water`](Self::over_high_water)).
    ///
    /// # Errors
    /// [`Disconnected`] when the peer is known to have disconnected.
    pub fn send(&self, pieces: &[Bytes]) -> Result<(), Disconnected> {
        self.send_locked(self.lock(), pieces)
    }

    /// Waits until the queue is below the high-water mark, and sends. Never call it on the broker's
    /// thread, which is the thread that empties the queue.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn send_blocking(&self, pieces: &[Bytes], deadline: Option<Instant>) -> Result<(), WriteError> {
        let mut state = self.lock();
        while state.queued >= self.shared.high_water && !state.is_disconnected() {
            let remaining = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
            {
                Some(remaining) if remaining.is_zero() => return Err(WriteError::TimedOut),
                remaining => remaining,
            };
            state.blocked += 1;
            state = match remaining {
                None => self.shared.space.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(remaining) => {
                    self.shared.space.wait_timeout(state, remaining).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.blocked -= 1;
        }
        Ok(self.send_locked(state, pieces)?)
    }

    fn send_locked(&self, mut state: MutexGuard<'_, State>, pieces: &[Bytes]) -> Result<(), Disconnected> {
        if state.is_disconnected() {
            return Err(Disconnected);
        }
        let written = if state.queue.is_empty() { state.write_pieces(pieces) } else { 0 };
        state.enqueue(pieces, written);
        let broken = state.broken;
        let start_transmit = state.request_transmit();
        drop(state);
        if let Some(start_transmit) = start_transmit {
            start_transmit();
        }
        if broken { Err(Disconnected) } else { Ok(()) }
    }

    /// Writes as much of the queue as the kernel accepts. To be called from
    /// [`Stream::on_transmit`](super::Stream::on_transmit).
    pub fn on_transmit(&self) -> Transmit {
        let mut state = self.lock();
        state.drain();
        let result = if state.is_disconnected() {
            Transmit::Disconnected
        } else if state.queue.is_empty() {
            Transmit::Drained
        } else {
            Transmit::More
        };
        if result != Transmit::Disconnected {
            state.transmitting = result == Transmit::More;
        }
        self.notify_space(state);
        result
    }

    /// The descriptor that the side writes to, for the loop to watch; `None` after [`close`](Self::close)
    /// and for a side without a descriptor.
    pub fn shared_fd(&self) -> Option<Arc<OwnedFd>> {
        self.lock().side.as_ref().and_then(|side| side.shared_fd())
    }

    /// The number of queued bytes that the kernel has not accepted yet.
    pub fn pending_bytes(&self) -> usize {
        self.lock().queued
    }

    /// Whether the queue has reached its high-water mark, so that its source should pause.
    pub fn over_high_water(&self) -> bool {
        self.pending_bytes() >= self.shared.high_water
    }

    /// Calls `callback` once, as soon as the queue is at or below the low-water mark or the stream is
    /// disconnected; immediately if that is already so. It runs without any lock held, on the thread
    /// that caused the change.
    pub fn on_low_water(&self, callback: Box<dyn FnOnce() + Send>) {
        let mut state = self.lock();
        state.on_low_water.push(callback);
        self.notify_space(state);
    }

    /// Whether the peer is known to have disconnected, or the writer was closed.
    pub fn is_disconnected(&self) -> bool {
        self.lock().is_disconnected()
    }

    /// Drops the queue and closes the descriptor; all later sends fail. The stream must be deregistered
    /// first.
    pub fn close(&self) {
        let mut state = self.lock();
        let side = state.side.take();
        let start_transmit = state.start_transmit.take();
        state.clear();
        self.notify_space(state);
        // Without the lock: the callback may own the last handle of an object that locks when dropped.
        drop(start_transmit);
        if let Some(mut side) = side {
            side.close();
        }
    }

    /// Wakes blocked senders and runs the low-water callbacks, as far as the state allows it.
    fn notify_space(&self, mut state: MutexGuard<'_, State>) {
        let disconnected = state.is_disconnected();
        if state.blocked > 0 && (disconnected || state.queued < self.shared.high_water) {
            self.shared.space.notify_all();
        }
        let below = disconnected || state.queued <= self.shared.high_water / 2;
        let callbacks = if below { mem::take(&mut state.on_low_water) } else { Vec::new() };
        drop(state);
        for callback in callbacks {
            callback();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No callback runs while the lock is held, so the state is consistent even when poisoned.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_disconnected(&self) -> bool {
        self.broken || self.side.is_none()
    }

    /// Appends the pieces without their first `skip` bytes.
    fn enqueue(&mut self, pieces: &[Bytes], mut skip: usize) {
        if self.broken {
            return;
        }
        for piece in pieces {
            if skip >= piece.len() {
                skip -= piece.len();
                continue;
            }
            self.queued += piece.len() - skip;
            self.queue.push_back(piece.slice(skip..));
            skip = 0;
        }
    }

    /// Writes pieces that are not queued; returns the number of bytes that the kernel accepted.
    fn write_pieces(&mut self, pieces: &[Bytes]) -> usize {
        let mut done = 0;
        for batch in pieces.chunks(MAX_PIECES) {
            let (slices, count, offered) = io_slices(batch.iter());
            let taken = self.write(&slices[..count]);
            done += taken;
            if taken < offered {
                break;
            }
        }
        done
    }

    /// Writes from the queue until it is empty or the kernel accepts less than it was offered. Stopping
    /// after a short write saves the call that would fail with `WouldBlock`.
    fn drain(&mut self) {
        while !self.queue.is_empty() && !self.is_disconnected() {
            // Moves the queue out while its slices are borrowed; this does not allocate.
            let mut queue = mem::take(&mut self.queue);
            let (slices, count, offered) = io_slices(queue.iter().take(MAX_PIECES));
            let taken = self.write(&slices[..count]);
            if !self.broken {
                advance(&mut queue, taken);
                self.queued -= taken;
                self.queue = queue;
            }
            if taken < offered {
                break;
            }
        }
    }

    /// Makes one system call. Returns 0 when the kernel accepts nothing, or when the peer has
    /// disconnected, which sets `broken`.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> usize {
        let Some(side) = &mut self.side else { return 0 };
        match side.write_vectored(slices) {
            Ok(Some(taken)) => return taken,
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => return 0,
            Ok(None) => {}
            Err(err) => tracing::debug!(%err, "cannot write"),
        }
        // The descriptor stays open: the loop still watches it and must deregister it first.
        self.broken = true;
        self.clear();
        0
    }

    fn clear(&mut self) {
        self.queue.clear();
        self.queued = 0;
    }

    /// Whether the loop must call `on_transmit`: to send the queue, or to notice the disconnect.
    fn needs_transmit(&self) -> bool {
        self.broken || !self.queue.is_empty()
    }

    /// Returns the callback that asks the loop to transmit, if that is needed and was not done yet.
    fn request_transmit(&mut self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        if !self.needs_transmit() || self.transmitting {
            return None;
        }
        let start_transmit = self.start_transmit.clone()?;
        self.transmitting = true;
        Some(start_transmit)
    }
}

/// Builds the slices for one system call. Returns them, their number, and their total length in bytes.
fn io_slices<'a>(pieces: impl Iterator<Item = &'a Bytes>) -> ([IoSlice<'a>; MAX_PIECES], usize, usize) {
    let mut slices = [IoSlice::new(&[]); MAX_PIECES];
    let (mut count, mut offered) = (0, 0);
    for (slot, piece) in slices.iter_mut().zip(pieces) {
        *slot = IoSlice::new(piece);
        count += 1;
        offered += piece.len();
    }
    (slices, count, offered)
}

/// Drops the first `taken` bytes of the queue.
fn advance(queue: &mut VecDeque<Bytes>, mut taken: usize) {
    while let Some(first) = queue.front_mut() {
        if taken < first.len() {
            first.advance(taken);
            return;
        }
        taken -= first.len();
        queue.pop_front();
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Writer")
            .field("queued", &state.queued)
            .field("transmitting", &state.transmitting)
            .field("disconnected", &state.is_disconnected())
            .finish_non_exhaustive()
    }
}
