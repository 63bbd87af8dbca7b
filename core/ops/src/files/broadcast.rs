//! The contents of one file on the way to several contexts with the same next hop: read and hashed once,
//! and each chunk crosses each shared link once.
//!
//! No thread leads. Each receiver has a thread that processes the messages of its target; the thread that
//! learns that all receivers have room sends the next chunks, for all. A receiver that stalls while others
//! have room is split off after [`STALL_TIMEOUT`] and continues alone from the current offset.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use mitogen_core::call::{CallError, Context};
use mitogen_core::ids::{ContextId, Handle};
use mitogen_core::router::Router;
use mitogen_core::wire::{Encoding, Message, WellKnownHandle};
use sha2::{Digest, Sha256};

use super::error::FileError;
use super::part::hex;
use super::session::{CHUNK_SIZE, Wakeup};

/// How long a target that accepts no contents, or does not reach a rendezvous, may delay the others.
pub(super) const STALL_TIMEOUT: Duration = Duration::from_secs(3);

/// The context next to this one on the way to `context`: what several contexts behind it need is sent to it
/// once. It runs our runtime, as `context` and all contexts on the way do: others cannot receive files.
pub(super) fn shared_next_hop(context: &Context) -> ContextId {
    let router = context.router();
    // A client's parent is the listener, which relays nothing.
    let parent = router.identity().parent();
    let between = router.intermediates(context.id());
    between.into_iter().rev().find(|id| Some(*id) != parent).unwrap_or(context.id())
}

/// A file and its receivers.
pub(super) struct Broadcast {
    router: Router,
    /// The context that relays the chunks.
    relay: ContextId,
    path: PathBuf,
    size: u64,
    state: Mutex<State>,
}

struct State {
    receivers: Vec<Receiver>,
    offset: u64,
    /// `None` while a thread sends.
    reader: Option<Reader>,
    /// Since when some receivers have had room and others have not.
    uneven_since: Option<Instant>,
    /// The end: the checksum of everything that was read.
    result: Option<Result<String, FileError>>,
}

struct Reader {
    file: Arc<File>,
    digest: Sha256,
}

/// A context that is sent the file.
pub(super) struct Receiver {
    /// Its number in its group.
    pub(super) id: u64,
    /// Where contents are sent.
    pub(super) address: (ContextId, Handle),
    /// How many bytes it accepts now.
    pub(super) room: u64,
    /// Wakes its thread.
    pub(super) wakeup: Wakeup,
}

impl Receiver {
    /// Whether it accepts the next chunk.
    fn has_room(&self, offset: u64, size: u64) -> bool {
        self.room >= (size - offset).min(CHUNK_SIZE as u64)
    }
}

/// What a receiver's thread has to do next.
pub(super) enum Step {
    /// Wait for messages, at most this long.
    Wait(Option<Duration>),
    /// Nothing: the file has been read to its end, perhaps before its size was reached; this is its checksum.
    Finished(String),
    /// Send the rest alone; the digest is that of everything before.
    Alone(Sha256),
}

/// A receiver's part in a broadcast. Dropping it removes the receiver.
pub(super) struct Subscription {
    broadcast: Arc<Broadcast>,
    id: u64,
    /// The receiver, once it has left the broadcast.
    removed: Option<Receiver>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Broadcast {
    /// Sends the rest of `file` to `receivers`, which all have the first `offset` bytes with this `digest`.
    pub(super) fn new(
        (router, relay): (&Router, ContextId),
        (path, file, size): (PathBuf, Arc<File>, u64),
        (offset, digest): (u64, Sha256),
        receivers: Vec<Receiver>,
    ) -> Self {
        let reader = Some(Reader { file, digest });
        let state = State { receivers, offset, reader, uneven_since: None, result: None };
        Self { router: router.clone(), relay, path, size, state: Mutex::new(state) }
    }

    /// The subscription of the receiver with this number.
    pub(super) fn subscription(this: &Arc<Self>, id: u64) -> Subscription {
        Subscription { broadcast: Arc::clone(this), id, removed: None }
    }

    /// Sends as long as all receivers have room. Returns at once if another thread is sending.
    fn send_chunks(&self) {
        let mut state = lock(&self.state);
        let Some(mut reader) = state.reader.take() else { return };
        while state.result.is_none() && state.all_have_room(self.size) {
            let offset = state.offset;
            let addresses: Vec<_> = state.receivers.iter().map(|receiver| receiver.address).collect();
            drop(state);
            let sent = self.send_chunk(&mut reader, offset, &addresses);
            state = lock(&self.state);
            state.uneven_since = None;
            match sent {
                Ok(count) => {
                    state.offset += count;
                    for receiver in &mut state.receivers {
                        // Receivers that were removed meanwhile are not in the list any more.
                        receiver.room = receiver.room.saturating_sub(count);
                    }
                    if count == 0 || state.offset == self.size {
                        state.finish(Ok(hex(reader.digest.clone())));
                    }
                }
                Err(error) => state.finish(Err(error)),
            }
        }
        state.reader = Some(reader);
    }

    /// Reads the next chunk and sends it. Returns its length, which is 0 at the end of the file.
    fn send_chunk(
        &self,
        reader: &mut Reader,
        offset: u64,
        addresses: &[(ContextId, Handle)],
    ) -> Result<u64, FileError> {
        let wanted = usize::try_from(self.size - offset).unwrap_or(CHUNK_SIZE).min(CHUNK_SIZE);
        // A context that relays nothing may be there several times.
        let direct = addresses.len() == 1 || addresses.iter().all(|(context, _)| *context == self.relay);
        let start = if direct { 0 } else { 4 + 8 * addresses.len() };
        let mut body = BytesMut::zeroed(start + wanted);
        let count = loop {
            match reader.file.read_at(&mut body[start..], offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(|error| FileError::local(&self.path, &error))?,
            }
        };
        body.truncate(start + count);
        reader.digest.update(&body[start..]);
        let mut head = &mut body[..start];
        if !direct {
            head.put_u32(u32::try_from(addresses.len()).unwrap_or(u32::MAX));
            for (context, handle) in addresses {
                head.put_u32(context.0);
                head.put_u32(handle.0);
            }
        }
        let relay = [(self.relay, WellKnownHandle::Multicast.handle())];
        let body = body.freeze();
        for (dst, handle) in if direct { addresses } else { &relay } {
            if count > 0 {
                let message = Message::new(*dst, *handle, Encoding::Raw, body.clone());
                self.router.send_blocking(message, None).map_err(CallError::from)?;
            }
        }
        Ok(count as u64)
    }
}

impl State {
    /// Also false if no receiver is left.
    fn all_have_room(&self, size: u64) -> bool {
        !self.receivers.is_empty()
            && self.receivers.iter().all(|receiver| receiver.has_room(self.offset, size))
    }

    fn finish(&mut self, result: Result<String, FileError>) {
        self.result = Some(result);
        self.wake_all();
    }

    fn wake_all(&self) {
        for receiver in &self.receivers {
            receiver.wakeup.wake();
        }
    }

    /// Removes the receiver with this number.
    fn remove(&mut self, id: u64) -> Option<Receiver> {
        let at = self.receivers.iter().position(|receiver| receiver.id == id)?;
        let receiver = self.receivers.swap_remove(at);
        // The others may have been waiting for it.
        self.wake_all();
        Some(receiver)
    }

    /// Whether the receiver has delayed the others for [`STALL_TIMEOUT`], and how long some have waited.
    fn is_stalled(&mut self, id: u64, size: u64) -> (bool, Option<Duration>) {
        let offset = self.offset;
        let ready = |receiver: &Receiver| receiver.has_room(offset, size);
        let some_wait = self.receivers.iter().any(ready);
        if !some_wait || self.receivers.iter().all(ready) {
            self.uneven_since = None;
            return (false, None);
        }
        let waited = self.uneven_since.get_or_insert_with(Instant::now).elapsed();
        let mut is_slow = false;
        for receiver in self.receivers.iter().filter(|receiver| !ready(receiver)) {
            is_slow |= receiver.id == id;
            if waited >= STALL_TIMEOUT {
                // Its target sends nothing that would wake its thread.
                receiver.wakeup.wake();
            }
        }
        (is_slow && waited >= STALL_TIMEOUT, Some(waited))
    }
}

impl Subscription {
    /// The target accepts `count` more bytes.
    pub(super) fn credit(&self, count: u64) {
        let mut state = lock(&self.broadcast.state);
        if let Some(receiver) = state.receivers.iter_mut().find(|receiver| receiver.id == self.id) {
            receiver.room = receiver.room.saturating_add(count);
        }
    }

    /// Sends what can be sent, for all receivers. Returns the offset that this one has reached, and what
    /// its thread has to do next.
    ///
    /// # Errors
    /// The file cannot be read, or the relay cannot be reached.
    pub(super) fn advance(&mut self) -> Result<(u64, Step), FileError> {
        let broadcast = Arc::clone(&self.broadcast);
        broadcast.send_chunks();
        let mut state = lock(&broadcast.state);
        // Taken under the same lock as the step: other threads go on sending as soon as it is released.
        let offset = state.offset;
        self.step(&mut state).map(|step| (offset, step))
    }

    fn step(&mut self, state: &mut State) -> Result<Step, FileError> {
        match &state.result {
            Some(Ok(digest)) => {
                let digest = digest.clone();
                self.removed = state.remove(self.id);
                return Ok(Step::Finished(digest));
            }
            Some(Err(error)) => return Err(error.clone()),
            None => {}
        }
        // While another thread sends, the offset is about to change; that thread checks for stalls next.
        let Some(digest) = state.reader.as_ref().map(|reader| reader.digest.clone()) else {
            return Ok(Step::Wait(Some(STALL_TIMEOUT)));
        };
        match state.is_stalled(self.id, self.broadcast.size) {
            (true, _) => {
                self.removed = state.remove(self.id);
                Ok(Step::Alone(digest))
            }
            (false, Some(waited)) => {
                let rest = STALL_TIMEOUT.saturating_sub(waited).max(Duration::from_millis(10));
                Ok(Step::Wait(Some(rest)))
            }
            (false, None) => Ok(Step::Wait(None)),
        }
    }

    /// How many bytes the target accepts, for a receiver that has left the broadcast.
    pub(super) fn room(&self) -> u64 {
        self.removed.as_ref().map_or(0, |receiver| receiver.room)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        lock(&self.broadcast.state).remove(self.id);
    }
}
