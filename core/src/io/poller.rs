//! What the loop asks of the kernel: which descriptors are ready.

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use super::Waker;

/// Names a stream to the loop. Tokens are not reused for a long time, so a stale one is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub usize);

/// What a descriptor is watched for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Watch for bytes to read, or the end of them.
    pub read: bool,
    /// Watch for room to write.
    pub write: bool,
}

impl Interest {
    /// Watch nothing (the registration stays).
    pub const NONE: Self = Self { read: false, write: false };
    /// Watch for reading.
    pub const READ: Self = Self { read: true, write: false };
    /// Watch for writing.
    pub const WRITE: Self = Self { read: false, write: true };
    /// Watch for both.
    pub const BOTH: Self = Self { read: true, write: true };

    /// Whether nothing is watched.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self { read: self.read && other.read, write: self.write && other.write }
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self { read: self.read || other.read, write: self.write || other.write }
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self { read: self.read && !other.read, write: self.write && !other.write }
    }
}

/// What is known to be left in the kernel after a read or a write: bytes, or room for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Residual {
    /// Nothing is known: the kernel has to be asked.
    #[default]
    Unknown,
    /// The kernel did less than it was asked for, or refused: it would do nothing more now.
    Drained,
    /// The kernel did all that it was asked for: it might do more.
    Ready,
}

/// A descriptor is ready. Only directions that were asked for are set; an error or a hang-up is
/// shown as readiness in each of them, because reading or writing is what tells more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// As registered.
    pub token: Token,
    /// Reading will not block.
    pub readable: bool,
    /// Writing will not block.
    pub writable: bool,
}

/// A set of watched descriptors. Towards its user it is level-triggered: what is not read is shown
/// again at the next [`poll`](Self::poll). A user that says what it left behind, by
/// [`note_residual`](Self::note_residual), may save a system call.
///
/// A descriptor is registered once; a stream with two descriptors registers both with one token.
/// Descriptors that the kernel cannot watch (regular files, `/dev/null`) count as always ready.
pub trait Poller: Send + fmt::Debug {
    /// Starts to watch `fd`. It must stay open until [`deregister`](Self::deregister).
    ///
    /// # Errors
    /// What the kernel reports; `fd` is then not registered.
    fn register(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> io::Result<()>;

    /// Changes what a registered descriptor is watched for.
    ///
    /// # Errors
    /// `NotFound` when `token` has no registration for `fd`, or what the kernel reports.
    fn reregister(&mut self, fd: RawFd, token: Token, interest: Interest) -> io::Result<()>;

    /// Stops watching `fd` for `token`; nothing happens when it is not watched for `token` (any
    /// more). After this the descriptor may be closed.
    fn deregister(&mut self, fd: RawFd, token: Token);

    /// Says what is left of a direction that the last [`poll`](Self::poll) has shown for `fd`. After
    /// [`Residual::Drained`] it is shown again only when something has changed; after [`Residual::Ready`] it is
    /// shown at the next poll without asking the kernel, thus perhaps in vain. It is only a hint: a
    /// poller that knows levels by itself passes it over, as this does.
    fn note_residual(&mut self, fd: RawFd, token: Token, direction: Interest, residual: Residual) {
        let _ = (fd, token, direction, residual);
    }

    /// Waits until something is ready, the waker is used, or `timeout` (`None`: for ever) is over,
    /// and puts what is ready into `events`, which is cleared first. It may return early with no
    /// events, and what it shows may have ceased to be true: a read or write must be ready to be told
    /// `WouldBlock`.
    ///
    /// # Errors
    /// What the kernel reports; an interruption is not an error but an early return.
    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()>;

    /// The waker, of which there is one per poller. A wake since the last return of
    /// [`poll`](Self::poll) makes the next one return at once.
    fn waker(&self) -> Waker;
}

/// The best poller of this system.
///
/// # Errors
/// What the kernel reports, such as a full descriptor table.
pub fn default_poller() -> io::Result<Box<dyn Poller>> {
    Ok(Box::new(super::mio_poller::MioPoller::new()?))
}

/// Registrations by descriptor number, which is small and dense: a look-up is an index.
#[derive(Debug)]
pub(super) struct Table<T> {
    rows: Vec<Option<(Token, T)>>,
}

impl<T> Table<T> {
    pub(super) fn new() -> Self {
        Self { rows: Vec::new() }
    }

    pub(super) fn insert(&mut self, fd: RawFd, token: Token, row: T) -> Option<T> {
        let index = usize::try_from(fd).unwrap_or_default();
        if index >= self.rows.len() {
            self.rows.resize_with(index + 1, || None);
        }
        self.rows[index].replace((token, row)).map(|(_, row)| row)
    }

    pub(super) fn get(&self, fd: RawFd) -> Option<&(Token, T)> {
        self.rows.get(usize::try_from(fd).ok()?)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, fd: RawFd) -> Option<&mut (Token, T)> {
        self.rows.get_mut(usize::try_from(fd).ok()?)?.as_mut()
    }

    pub(super) fn get_for(&mut self, fd: RawFd, token: Token) -> io::Result<&mut T> {
        match usize::try_from(fd).ok().and_then(|index| self.rows.get_mut(index)) {
            Some(Some((owner, row))) if *owner == token => Ok(row),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn remove(&mut self, fd: RawFd, token: Token) -> Option<T> {
        self.get_for(fd, token).ok()?;
        self.rows[usize::try_from(fd).ok()?].take().map(|(_, row)| row)
    }
}
