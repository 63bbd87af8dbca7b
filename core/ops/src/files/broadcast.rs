//! One file on its way to several contexts behind one neighbour: read and digested once, and each chunk
//! crosses each link that they share once.
//!
//! There is no leader. Every receiver has a thread, which takes in what its target says; whoever learns
//! that all have room sends on, for all. Who takes nothing while others have room is cut off after some
//! time and goes on alone, from where the file is then.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use mitogen_core::call::CallError;
use mitogen_core::ids::{ContextId, Handle};
use mitogen_core::router::Router;
use mitogen_core::wire::{Encoding, Message, WellKnownHandle};
use sha2::{Digest, Sha256};

use super::error::FileError;
use super::part::hex;
use super::session::Nudge;
use super::{CHUNK, STALL};

/// The file, and all who get it.
pub(super) struct Broadcast {
    router: Router,
    /// The context that passes chunks on.
    relay: ContextId,
    path: PathBuf,
    size: u64,
    state: Mutex<State>,
}

struct State {
    receivers: Vec<Receiver>,
    offset: u64,
    /// None while somebody sends.
    pump: Option<Pump>,
    /// Since when some have room and others have none.
    uneven: Option<Instant>,
    /// How it ended: the checksum of all that was read.
    over: Option<Result<String, FileError>>,
}

struct Pump {
    file: Arc<File>,
    digest: Sha256,
}

/// A context that gets the file.
pub(super) struct Receiver {
    /// Its number among those of its group.
    pub(super) id: u64,
    /// Where contents go.
    pub(super) to: (ContextId, Handle),
    /// How many bytes it takes now.
    pub(super) room: u64,
    /// Wakes its thread.
    pub(super) nudge: Nudge,
}

impl Receiver {
    /// Whether it has room for the next chunk.
    fn has_room(&self, offset: u64, size: u64) -> bool {
        self.room >= (size - offset).min(CHUNK as u64)
    }
}

/// What becomes of a receiver's subscription.
pub(super) enum Step {
    /// There is nothing to do before news come, or this time has passed.
    Wait(Option<Duration>),
    /// The file has ended, maybe early, with this checksum.
    Whole(String),
    /// From here on alone; the digest is of all before.
    Alone(Sha256),
}

/// A receiver's place. Dropping it gives it up.
pub(super) struct Subscription {
    broadcast: Arc<Broadcast>,
    id: u64,
    /// Left by us, when there was nothing more to be shared.
    left: Option<Receiver>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Broadcast {
    /// `file`, of which all `receivers` have the first `offset` bytes, whose digest is `digest`.
    pub(super) fn new(
        (router, relay): (&Router, ContextId),
        (path, file, size): (PathBuf, Arc<File>, u64),
        (offset, digest): (u64, Sha256),
        receivers: Vec<Receiver>,
    ) -> Self {
        let pump = Some(Pump { file, digest });
        let state = State { receivers, offset, pump, uneven: None, over: None };
        Self { router: router.clone(), relay, path, size, state: Mutex::new(state) }
    }

    /// The place of the receiver with this number.
    pub(super) fn subscription(this: &Arc<Self>, id: u64) -> Subscription {
        Subscription { broadcast: Arc::clone(this), id, left: None }
    }

    /// Sends as long as all have room; at once back if somebody else does.
    fn pump(&self) {
        let mut state = lock(&self.state);
        let Some(mut pump) = state.pump.take() else { return };
        while state.over.is_none() && state.all_have_room(self.size) {
            let offset = state.offset;
            let addresses: Vec<_> = state.receivers.iter().map(|receiver| receiver.to).collect();
            drop(state);
            let sent = self.send_chunk(&mut pump, offset, &addresses);
            state = lock(&self.state);
            state.uneven = None;
            match sent {
                Ok(count) => {
                    state.offset += count;
                    for receiver in &mut state.receivers {
                        // Who has come and gone meanwhile is not here.
                        receiver.room = receiver.room.saturating_sub(count);
                    }
                    if count == 0 || state.offset == self.size {
                        state.finish(Ok(hex(pump.digest.clone())));
                    }
                }
                Err(error) => state.finish(Err(error)),
            }
        }
        state.pump = Some(pump);
    }

    /// Reads the next chunk and sends it; gives how much it was, 0 at the end of the file.
    fn send_chunk(
        &self,
        pump: &mut Pump,
        offset: u64,
        addresses: &[(ContextId, Handle)],
    ) -> Result<u64, FileError> {
        let wanted = usize::try_from(self.size - offset).unwrap_or(CHUNK).min(CHUNK);
        let alone = addresses.len() == 1;
        let start = if alone { 0 } else { 4 + 8 * addresses.len() };
        let mut body = BytesMut::zeroed(start + wanted);
        let count = loop {
            match pump.file.read_at(&mut body[start..], offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(|error| FileError::here(&self.path, &error))?,
            }
        };
        body.truncate(start + count);
        pump.digest.update(&body[start..]);
        let (dst, handle) =
            if alone { addresses[0] } else { (self.relay, WellKnownHandle::Multicast.handle()) };
        let mut head = &mut body[..start];
        if !alone {
            head.put_u32(u32::try_from(addresses.len()).unwrap_or(u32::MAX));
            for (context, handle) in addresses {
                head.put_u32(context.0);
                head.put_u32(handle.0);
            }
        }
        if count > 0 {
            let message = Message::new(dst, handle, Encoding::Raw, body.freeze());
            self.router.send_blocking(message, None).map_err(CallError::from)?;
        }
        Ok(count as u64)
    }
}

impl State {
    /// False without receivers, too.
    fn all_have_room(&self, size: u64) -> bool {
        !self.receivers.is_empty()
            && self.receivers.iter().all(|receiver| receiver.has_room(self.offset, size))
    }

    fn finish(&mut self, how: Result<String, FileError>) {
        self.over = Some(how);
        self.nudge();
    }

    /// Something has changed for everybody.
    fn nudge(&self) {
        for receiver in &self.receivers {
            receiver.nudge.wake();
        }
    }

    /// Takes out the receiver with this number.
    fn leave(&mut self, id: u64) -> Option<Receiver> {
        let at = self.receivers.iter().position(|receiver| receiver.id == id)?;
        let receiver = self.receivers.swap_remove(at);
        // It may have held the others up.
        self.nudge();
        Some(receiver)
    }

    /// Whether the receiver takes nothing and others have waited for it long enough; how long they have.
    fn holds_up(&mut self, id: u64, size: u64) -> (bool, Option<Duration>) {
        let offset = self.offset;
        let ready = |receiver: &Receiver| receiver.has_room(offset, size);
        let some_wait = self.receivers.iter().any(ready);
        if !some_wait || self.receivers.iter().all(ready) {
            self.uneven = None;
            return (false, None);
        }
        let waited = self.uneven.get_or_insert_with(Instant::now).elapsed();
        let mut itself = false;
        for receiver in self.receivers.iter().filter(|receiver| !ready(receiver)) {
            itself |= receiver.id == id;
            if waited >= STALL {
                // It hears nothing of its target, so it has to be told.
                receiver.nudge.wake();
            }
        }
        (itself && waited >= STALL, Some(waited))
    }
}

impl Subscription {
    /// The target has made room.
    pub(super) fn credit(&self, count: u64) {
        let mut state = lock(&self.broadcast.state);
        if let Some(receiver) = state.receivers.iter_mut().find(|receiver| receiver.id == self.id) {
            receiver.room += count;
        }
    }

    /// Sends what can be sent, for all; gives how far the file is for this one, and how it goes on.
    ///
    /// # Errors
    /// The file cannot be read, or the relay cannot be reached.
    pub(super) fn advance(&mut self) -> Result<(u64, Step), FileError> {
        let broadcast = Arc::clone(&self.broadcast);
        broadcast.pump();
        let mut state = lock(&broadcast.state);
        // The others go on as soon as the lock is free.
        let offset = state.offset;
        self.step(&mut state).map(|step| (offset, step))
    }

    fn step(&mut self, state: &mut State) -> Result<Step, FileError> {
        match &state.over {
            Some(Ok(digest)) => {
                let digest = digest.clone();
                self.left = state.leave(self.id);
                return Ok(Step::Whole(digest));
            }
            Some(Err(error)) => return Err(error.clone()),
            None => {}
        }
        // While somebody sends, the file is between two offsets; he looks again when he has done.
        let Some(digest) = state.pump.as_ref().map(|pump| pump.digest.clone()) else {
            return Ok(Step::Wait(Some(STALL)));
        };
        match state.holds_up(self.id, self.broadcast.size) {
            (true, _) => {
                self.left = state.leave(self.id);
                Ok(Step::Alone(digest))
            }
            (false, Some(waited)) => {
                let rest = STALL.saturating_sub(waited).max(Duration::from_millis(10));
                Ok(Step::Wait(Some(rest)))
            }
            (false, None) => Ok(Step::Wait(None)),
        }
    }

    /// How much room there is, after the end: a receiver that has gone on alone takes it along.
    pub(super) fn room(&self) -> u64 {
        self.left.as_ref().map_or(0, |receiver| receiver.room)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        lock(&self.broadcast.state).leave(self.id);
    }
}
