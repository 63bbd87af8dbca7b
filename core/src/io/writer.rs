//! The out-queue of a stream, shared by all who send.
//!
//! A send goes straight to the descriptor when nothing is queued; the loop is asked for help only
//! when the kernel would block. Nobody copies what is sent: the queue holds reference-counted slices.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::{Buf, Bytes};

use super::{Side, Token, stream::Defer};

/// The other side is gone, or the writer was closed; what was sent is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stream is disconnected")]
pub struct Disconnected;

/// Why a blocking send failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The other side is gone, or the writer was closed.
    #[error("stream is disconnected")]
    Disconnected,
    /// The queue was still too long at the deadline; nothing was sent.
    #[error("timed out waiting for room in the send queue")]
    TimedOut,
}

impl From<Disconnected> for WriteError {
    fn from(_: Disconnected) -> Self {
        Self::Disconnected
    }
}

/// What is left after [`Writer::on_transmit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// Nothing: stop transmitting.
    Drained,
    /// More than the kernel took, which has no room now: go on transmitting.
    More,
    /// The other side is gone: disconnect the stream.
    Disconnected,
}

/// The out-queue of a stream. Clones are the same queue.
#[derive(Clone)]
pub struct Writer {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    room: Condvar,
    high_water: usize,
}

struct State {
    /// `None` after closing.
    side: Option<Box<dyn Side>>,
    queue: VecDeque<Bytes>,
    queued: usize,
    /// Part of the first piece is written already.
    torn: bool,
    corked: bool,
    broken: bool,
    /// The loop has been asked to tell us of room.
    armed: bool,
    arm: Option<Arc<dyn Fn() + Send + Sync>>,
    waiting: usize,
    on_low_water: Vec<Box<dyn FnOnce() + Send>>,
}

/// Pieces per system call. Systems allow 1024; so many records would cost more to lay out than
/// fewer calls save.
const MAX_PIECES: usize = 64;

impl Writer {
    /// A queue before `side`. Blocking senders wait while `high_water` bytes or more are queued; the
    /// low-water mark is half of it.
    pub fn new(side: impl Side + 'static, high_water: usize) -> Self {
        let state = State {
            side: Some(Box::new(side)),
            queue: VecDeque::new(),
            queued: 0,
            torn: false,
            corked: false,
            broken: false,
            armed: false,
            arm: None,
            waiting: 0,
            on_low_water: Vec::new(),
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), room: Condvar::new(), high_water }) }
    }

    /// Tells the writer how to ask the loop to call [`on_transmit`](Self::on_transmit): `arm` is
    /// called, outside any lock, by the thread whose send found no room. It is called at once when
    /// something waits already.
    pub fn bind(&self, arm: impl Fn() + Send + Sync + 'static) {
        let arm: Arc<dyn Fn() + Send + Sync> = Arc::new(arm);
        let mut state = self.lock();
        state.arm = Some(Arc::clone(&arm));
        let needed = state.broken || (!state.corked && !state.queue.is_empty());
        state.armed = needed;
        drop(state);
        if needed {
            arm();
        }
    }

    /// [`bind`](Self::bind) to a registered stream: the loop will be asked to start transmitting.
    pub fn bind_to(&self, broker: Arc<dyn Defer>, token: Token) {
        self.bind(move || {
            // A loop that has stopped has disconnected its streams, or is about to.
            let _ = broker.defer(Box::new(move |reactor| reactor.start_transmit(token)));
        });
    }

    /// Sends, without ever blocking: for relays, control messages and the broker's thread. What the
    /// kernel does not take is queued, without limit (see [`over_high_water`](Self::over_high_water)).
    ///
    /// # Errors
    /// [`Disconnected`] when the other side is known to be gone.
    pub fn send(&self, pieces: &[Bytes]) -> Result<(), Disconnected> {
        self.send_locked(self.lock(), pieces)
    }

    /// Sends, and waits while the queue is above the high-water mark. Never call it on the broker's
    /// thread, which is the one that empties the queue.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn send_blocking(&self, pieces: &[Bytes], deadline: Option<Instant>) -> Result<(), WriteError> {
        let mut state = self.lock();
        while state.queued >= self.shared.high_water && !state.is_gone() {
            let left = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return Err(WriteError::TimedOut),
                left => left,
            };
            state.waiting += 1;
            state = match left {
                None => self.shared.room.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    self.shared.room.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.waiting -= 1;
        }
        Ok(self.send_locked(state, pieces)?)
    }

    fn send_locked(&self, mut state: MutexGuard<'_, State>, pieces: &[Bytes]) -> Result<(), Disconnected> {
        if state.is_gone() {
            return Err(Disconnected);
        }
        let written = if state.queue.is_empty() && !state.corked { state.write_pieces(pieces) } else { 0 };
        state.enqueue(pieces, written);
        let gone = state.broken;
        let arm = state.must_arm();
        drop(state);
        if let Some(arm) = arm {
            arm();
        }
        if gone { Err(Disconnected) } else { Ok(()) }
    }

    /// From now on only queues: a tool on the way reads the link first, or the preamble is to come.
    pub fn cork(&self) {
        self.lock().corked = true;
    }

    /// Ends [`cork`](Self::cork) and writes what was queued.
    pub fn uncork(&self) {
        let mut state = self.lock();
        state.corked = false;
        self.flush(state);
    }

    /// Puts `piece` before everything that is queued: the preamble, ahead of what users sent while
    /// the writer was corked. (Only a piece that is half written already stays ahead of it.)
    ///
    /// # Errors
    /// [`Disconnected`] when the other side is known to be gone.
    pub fn push_front(&self, piece: Bytes) -> Result<(), Disconnected> {
        let mut state = self.lock();
        if state.is_gone() {
            return Err(Disconnected);
        }
        if !piece.is_empty() {
            state.queued += piece.len();
            let place = usize::from(state.torn);
            state.queue.insert(place, piece);
        }
        self.flush(state);
        Ok(())
    }

    /// Writes what there is room for: for [`super::Stream::on_transmit`].
    pub fn on_transmit(&self) -> Transmit {
        let mut state = self.lock();
        state.drain();
        let left = if state.broken || state.side.is_none() {
            Transmit::Disconnected
        } else if state.queue.is_empty() || state.corked {
            state.armed = false;
            Transmit::Drained
        } else {
            state.armed = true;
            Transmit::More
        };
        self.tell_of_room(state);
        left
    }

    /// Bytes that are queued and not yet taken by the kernel.
    pub fn pending_bytes(&self) -> usize {
        self.lock().queued
    }

    /// Whether a source that feeds this queue should pause.
    pub fn over_high_water(&self) -> bool {
        self.pending_bytes() >= self.shared.high_water
    }

    /// Calls `callback` once, when the queue is below the low-water mark or the stream is gone; at
    /// once if so already. It is called outside any lock, on whichever thread made it so.
    pub fn on_low_water(&self, callback: Box<dyn FnOnce() + Send>) {
        let mut state = self.lock();
        state.on_low_water.push(callback);
        self.tell_of_room(state);
    }

    /// Whether the other side is known to be gone, or the writer was closed.
    pub fn is_disconnected(&self) -> bool {
        self.lock().is_gone()
    }

    /// Drops what is queued and gives the descriptor up; senders fail from now on. Deregister the
    /// stream first.
    pub fn close(&self) {
        let mut state = self.lock();
        let side = state.side.take();
        let arm = state.arm.take();
        state.clear();
        self.tell_of_room(state);
        // Outside the lock: the arm may hold the last handle of something that locks.
        drop(arm);
        if let Some(mut side) = side {
            side.close();
        }
    }

    /// Writes directly if that is allowed, and asks the loop for the rest.
    fn flush(&self, mut state: MutexGuard<'_, State>) {
        if !state.armed {
            state.drain();
        }
        let arm = state.must_arm();
        self.tell_of_room(state);
        if let Some(arm) = arm {
            arm();
        }
    }

    fn tell_of_room(&self, mut state: MutexGuard<'_, State>) {
        let gone = state.is_gone();
        if state.waiting > 0 && (gone || state.queued < self.shared.high_water) {
            self.shared.room.notify_all();
        }
        let below = gone || state.queued <= self.shared.high_water / 2;
        let callbacks = if below { mem::take(&mut state.on_low_water) } else { Vec::new() };
        drop(state);
        for callback in callbacks {
            callback();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No callback runs under the lock, so a poisoned state is still a whole one.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_gone(&self) -> bool {
        self.broken || self.side.is_none()
    }

    /// Appends the pieces, except for their first `skip` bytes.
    fn enqueue(&mut self, pieces: &[Bytes], mut skip: usize) {
        if self.broken {
            return;
        }
        for piece in pieces {
            if skip >= piece.len() {
                skip -= piece.len();
                continue;
            }
            self.torn |= skip > 0;
            self.queued += piece.len() - skip;
            self.queue.push_back(piece.slice(skip..));
            skip = 0;
        }
    }

    /// Writes pieces that are not queued; returns how many bytes the kernel took.
    fn write_pieces(&mut self, pieces: &[Bytes]) -> usize {
        let mut done = 0;
        for batch in pieces.chunks(MAX_PIECES) {
            let (slices, count, offered) = lay_out(batch.iter());
            let taken = self.write(&slices[..count]);
            done += taken;
            if taken < offered {
                break;
            }
        }
        done
    }

    /// Writes from the queue until it is empty or the kernel takes less than it was offered, which
    /// saves the call that would only say "not now".
    fn drain(&mut self) {
        while !self.queue.is_empty() && !self.corked && !self.is_gone() {
            // The queue is lent out while it is being written, which is no allocation.
            let mut queue = mem::take(&mut self.queue);
            let (slices, count, offered) = lay_out(queue.iter().take(MAX_PIECES));
            let taken = self.write(&slices[..count]);
            if !self.broken {
                self.torn = advance(&mut queue, taken, self.torn);
                self.queued -= taken;
                self.queue = queue;
            }
            if taken < offered {
                break;
            }
        }
    }

    /// One system call; 0 bytes when nothing fits, or the stream is found to be broken.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> usize {
        let Some(side) = &mut self.side else { return 0 };
        match side.write_vectored(slices) {
            Ok(Some(taken)) => return taken,
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => return 0,
            Ok(None) => {}
            Err(err) => tracing::debug!(%err, "cannot write"),
        }
        // The descriptor stays open: the loop still watches it and has to deregister it first.
        self.broken = true;
        self.clear();
        0
    }

    fn clear(&mut self) {
        self.queue.clear();
        self.queued = 0;
        self.torn = false;
    }

    /// How to ask the loop, if it has to be asked: for room, or to notice that the stream is broken.
    fn must_arm(&mut self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        let needed = self.broken || (!self.corked && !self.queue.is_empty());
        if !needed || self.armed {
            return None;
        }
        let arm = self.arm.clone()?;
        self.armed = true;
        Some(arm)
    }
}

/// Lays pieces out for one call: the slices, how many they are, and their length in bytes.
fn lay_out<'a>(pieces: impl Iterator<Item = &'a Bytes>) -> ([IoSlice<'a>; MAX_PIECES], usize, usize) {
    let mut slices = [IoSlice::new(&[]); MAX_PIECES];
    let (mut count, mut offered) = (0, 0);
    for (slot, piece) in slices.iter_mut().zip(pieces) {
        *slot = IoSlice::new(piece);
        count += 1;
        offered += piece.len();
    }
    (slices, count, offered)
}

/// Drops the first `taken` bytes; returns whether the first piece is now half written.
fn advance(queue: &mut VecDeque<Bytes>, mut taken: usize, torn: bool) -> bool {
    if taken == 0 {
        return torn;
    }
    while let Some(first) = queue.front_mut() {
        if taken < first.len() {
            first.advance(taken);
            return taken > 0;
        }
        taken -= first.len();
        queue.pop_front();
    }
    false
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Writer")
            .field("queued", &state.queued)
            .field("corked", &state.corked)
            .field("armed", &state.armed)
            .field("disconnected", &state.is_gone())
            .finish_non_exhaustive()
    }
}
