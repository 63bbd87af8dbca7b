//! Storage of the streams between their callbacks.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use crate::io::{Interest, Poller, Residual, Stream, Token};

/// The streams of a loop, by token.
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: Vec<usize>,
}

#[derive(Default)]
struct Slot {
    /// Part of the token, so that a reused slot has a different token.
    generation: usize,
    entry: Option<Entry>,
}

/// A stream, its descriptors and its interest.
pub(super) struct Entry {
    /// `None` while one of its callbacks runs.
    pub(super) stream: Option<Box<dyn Stream>>,
    /// The stream that replaces it after the callback.
    pub(super) replacement: Option<Box<dyn Stream>>,
    pub(super) interest: Interest,
    /// Directions in which the stream was touched and not called since.
    pub(super) touched: Interest,
    fds: Fds,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Fds {
    receive: Option<RawFd>,
    transmit: Option<RawFd>,
}

/// The low bits of a token are the index, the high bits the generation.
const INDEX_BITS: u32 = usize::BITS / 8 * 5;
const INDEX_MASK: usize = (1 << INDEX_BITS) - 1;
const GENERATIONS: usize = 1 << (usize::BITS - INDEX_BITS);

impl Slots {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    /// Adds a stream and registers its descriptors. Receiving starts if it has a receive descriptor.
    pub(super) fn insert(&mut self, poller: &mut dyn Poller, stream: Box<dyn Stream>) -> io::Result<Token> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        let token = Token(self.slots[index].generation << INDEX_BITS | index);
        let fds = Fds::of(&*stream);
        let interest = Interest { read: fds.receive.is_some(), write: false };
        if let Err(err) = fds.register(poller, &*stream, token, interest) {
            self.free.push(index);
            return Err(err);
        }
        self.slots[index].entry =
            Some(Entry { stream: Some(stream), replacement: None, interest, touched: Interest::NONE, fds });
        Ok(token)
    }

    pub(super) fn get_mut(&mut self, token: Token) -> Option<&mut Entry> {
        let slot = self.slots.get_mut(token.0 & INDEX_MASK)?;
        if slot.generation != token.0 >> INDEX_BITS {
            return None;
        }
        slot.entry.as_mut()
    }

    pub(super) fn contains(&self, token: Token) -> bool {
        self.slots
            .get(token.0 & INDEX_MASK)
            .is_some_and(|slot| slot.generation == token.0 >> INDEX_BITS && slot.entry.is_some())
    }

    /// Deregisters the descriptors and empties the slot; the token is invalid from then on.
    pub(super) fn remove(&mut self, poller: &mut dyn Poller, token: Token) -> Option<Entry> {
        let entry = self.get_mut(token)?;
        entry.fds.deregister(poller, token);
        let index = token.0 & INDEX_MASK;
        let slot = &mut self.slots[index];
        slot.generation = (slot.generation + 1) % GENERATIONS;
        self.free.push(index);
        slot.entry.take()
    }

    /// The tokens of all streams.
    pub(super) fn tokens(&self) -> Vec<Token> {
        let occupied = self.slots.iter().enumerate().filter(|(_, slot)| slot.entry.is_some());
        occupied.map(|(index, slot)| Token(slot.generation << INDEX_BITS | index)).collect()
    }

    /// The names of the streams that a shutdown waits for.
    pub(super) fn keeping_alive(&self) -> impl Iterator<Item = &str> {
        let streams = self.slots.iter().filter_map(|slot| slot.entry.as_ref());
        streams
            .filter(|entry| entry.interest.read)
            .filter_map(|entry| entry.stream.as_ref())
            .filter(|stream| stream.keep_alive())
            .map(|stream| stream.name())
    }
}

impl Entry {
    /// Whether the stream was touched in a direction that is not paused.
    pub(super) fn is_touched(&self) -> bool {
        self.touched.read && self.interest.read || self.touched.write && self.interest.write
    }

    /// Takes the directions in which a callback is due.
    pub(super) fn take_touched(&mut self) -> Interest {
        let due = Interest {
            read: self.touched.read && self.interest.read,
            write: self.touched.write && self.interest.write,
        };
        self.touched.read &= !due.read;
        self.touched.write &= !due.write;
        due
    }

    /// Changes the interest. An error is logged; it means that the stream closed its descriptor while it
    /// was registered.
    pub(super) fn watch(&mut self, poller: &mut dyn Poller, token: Token, interest: Interest) {
        if interest == self.interest {
            return;
        }
        self.interest = interest;
        if let Err(err) = self.fds.reregister(poller, token, interest) {
            tracing::warn!(%err, ?token, ?interest, "cannot change the interest of a stream");
        }
    }

    /// Passes the residual state of one direction to the poller.
    pub(super) fn note_residual(
        &self,
        poller: &mut dyn Poller,
        token: Token,
        direction: Interest,
        residual: Residual,
    ) {
        let fd = if direction.read { self.fds.receive } else { self.fds.transmit };
        if let Some(fd) = fd {
            poller.note_residual(fd, token, direction, residual);
        }
    }

    /// Stores a stream, whose descriptors may differ from its predecessor's. It is stored even if they
    /// cannot be registered.
    pub(super) fn install(
        &mut self,
        poller: &mut dyn Poller,
        token: Token,
        stream: Box<dyn Stream>,
    ) -> io::Result<()> {
        let fds = Fds::of(&*stream);
        let stream = self.stream.insert(stream);
        if fds == self.fds {
            return Ok(());
        }
        self.fds.deregister(poller, token);
        self.fds = fds;
        fds.register(poller, &**stream, token, self.interest)
    }
}

impl Fds {
    fn of(stream: &dyn Stream) -> Self {
        Self {
            receive: stream.receive_fd().map(|fd| fd.as_raw_fd()),
            transmit: stream.transmit_fd().map(|fd| fd.as_raw_fd()),
        }
    }

    /// Whether one descriptor serves both directions, with one registration.
    fn is_shared(self) -> bool {
        self.receive.is_some() && self.receive == self.transmit
    }

    fn register(
        self,
        poller: &mut dyn Poller,
        stream: &dyn Stream,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        if let Some(fd) = stream.receive_fd() {
            poller.register(fd, token, self.receive_interest(interest))?;
        }
        if let Some(fd) = stream.transmit_fd()
            && !self.is_shared()
        {
            let registered = poller.register(fd, token, Interest { read: false, ..interest });
            if registered.is_err() {
                self.deregister(poller, token);
            }
            return registered;
        }
        Ok(())
    }

    fn reregister(self, poller: &mut dyn Poller, token: Token, interest: Interest) -> io::Result<()> {
        if let Some(fd) = self.receive {
            poller.reregister(fd, token, self.receive_interest(interest))?;
        }
        match self.transmit {
            Some(fd) if !self.is_shared() => {
                poller.reregister(fd, token, Interest { read: false, ..interest })
            }
            _ => Ok(()),
        }
    }

    fn deregister(self, poller: &mut dyn Poller, token: Token) {
        for fd in [self.receive, self.transmit].into_iter().flatten() {
            poller.deregister(fd, token);
        }
    }

    fn receive_interest(self, interest: Interest) -> Interest {
        Interest { read: interest.read, write: interest.write && self.is_shared() }
    }
}
