//! Where streams live between their callbacks.

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
    /// Part of the token: a slot that is used again answers to another one.
    generation: usize,
    entry: Option<Entry>,
}

/// One stream and what is watched for it.
pub(super) struct Entry {
    /// `None` while a callback has it.
    pub(super) stream: Option<Box<dyn Stream>>,
    /// What takes its place when the callback is over.
    pub(super) replacement: Option<Box<dyn Stream>>,
    pub(super) interest: Interest,
    fds: Fds,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Fds {
    receive: Option<RawFd>,
    transmit: Option<RawFd>,
}

/// The lower bits of a token are the place, the upper ones the generation.
const PLACE_BITS: u32 = usize::BITS / 8 * 5;
const PLACE_MASK: usize = (1 << PLACE_BITS) - 1;
const GENERATIONS: usize = 1 << (usize::BITS - PLACE_BITS);

impl Slots {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    /// Adds a stream and registers its descriptors; receiving is on when it has one to receive.
    pub(super) fn insert(&mut self, poller: &mut dyn Poller, stream: Box<dyn Stream>) -> io::Result<Token> {
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        let token = Token(self.slots[place].generation << PLACE_BITS | place);
        let fds = Fds::of(&*stream);
        let interest = Interest { read: fds.receive.is_some(), write: false };
        if let Err(err) = fds.register(poller, &*stream, token, interest) {
            self.free.push(place);
            return Err(err);
        }
        self.slots[place].entry = Some(Entry { stream: Some(stream), replacement: None, interest, fds });
        Ok(token)
    }

    pub(super) fn get_mut(&mut self, token: Token) -> Option<&mut Entry> {
        let slot = self.slots.get_mut(token.0 & PLACE_MASK)?;
        if slot.generation != token.0 >> PLACE_BITS {
            return None;
        }
        slot.entry.as_mut()
    }

    pub(super) fn contains(&self, token: Token) -> bool {
        self.slots
            .get(token.0 & PLACE_MASK)
            .is_some_and(|slot| slot.generation == token.0 >> PLACE_BITS && slot.entry.is_some())
    }

    /// Empties a slot; from now on its token is unknown. The descriptors are deregistered.
    pub(super) fn remove(&mut self, poller: &mut dyn Poller, token: Token) -> Option<Entry> {
        let entry = self.get_mut(token)?;
        entry.fds.deregister(poller, token);
        let place = token.0 & PLACE_MASK;
        let slot = &mut self.slots[place];
        slot.generation = (slot.generation + 1) % GENERATIONS;
        self.free.push(place);
        slot.entry.take()
    }

    /// The tokens of all streams.
    pub(super) fn tokens(&self) -> Vec<Token> {
        let occupied = self.slots.iter().enumerate().filter(|(_, slot)| slot.entry.is_some());
        occupied.map(|(place, slot)| Token(slot.generation << PLACE_BITS | place)).collect()
    }

    /// The names of the streams that a shutdown waits for.
    pub(super) fn holding(&self) -> impl Iterator<Item = &str> {
        let streams = self.slots.iter().filter_map(|slot| slot.entry.as_ref());
        streams
            .filter(|entry| entry.interest.read)
            .filter_map(|entry| entry.stream.as_ref())
            .filter(|stream| stream.keep_alive())
            .map(|stream| stream.name())
    }
}

impl Entry {
    /// Changes what is watched; a refusal of the kernel's is logged (the descriptor was closed too
    /// early, which is a fault of the stream's).
    pub(super) fn watch(&mut self, poller: &mut dyn Poller, token: Token, interest: Interest) {
        if interest == self.interest {
            return;
        }
        self.interest = interest;
        if let Err(err) = self.fds.reregister(poller, token, interest) {
            tracing::warn!(%err, ?token, ?interest, "cannot change what is watched");
        }
    }

    /// Tells the poller what is left of one direction.
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

    /// Puts a stream in, whose descriptors need not be those of the one before; it is in even if they
    /// cannot be watched.
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

    /// A descriptor can be registered once: if it serves both directions, so does its registration.
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
