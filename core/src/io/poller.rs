//! The [`Poller`] interface: which descriptors are ready.

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use super::Waker;

/// Identifies a registered stream. Tokens are not reused for a long time, so a stale one is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub usize);

/// What a descriptor is watched for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Watch for data to read, or end of file.
    pub read: bool,
    /// Watch for space to write.
    pub write: bool,
}

impl Interest {
    /// Watch nothing; the registration is kept.
    pub const NONE: Self = Self { read: false, write: false };
    /// Watch for reading.
    pub const READ: Self = Self { read: true, write: false };
    /// Watch for writing.
    pub const WRITE: Self = Self { read: false, write: true };
    /// Watch for both.
    pub const BOTH: Self = Self { read: true, write: true };

    /// Whether neither direction is watched.
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

/// What a read or a write left in the kernel: unread data, or free buffer space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Residual {
    /// Not known: the poller must ask the kernel.
    #[default]
    Unknown,
    /// The kernel processed less than requested, or returned `WouldBlock`: another call now would block.
    Drained,
    /// The kernel processed all that was requested: another call may succeed.
    Ready,
    /// The stream itself keeps data that it has not delivered, such as decrypted data: the loop touches it
    /// again, whatever the kernel says. See [`super::Reactor::touch`].
    Buffered,
}

/// A readiness event for one descriptor. Only requested directions are set. An error or a hang-up is
/// reported as readiness in each requested direction; the following read or write returns the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The token that the descriptor was registered with.
    pub token: Token,
    /// A read will not block.
    pub readable: bool,
    /// A write will not block.
    pub writable: bool,
}

/// A set of watched descriptors. The interface is level-triggered: data that was not read is reported
/// again by the next [`poll`](Self::poll). A caller that reports what it left unread with
/// [`note_residual`](Self::note_residual) may save a system call.
///
/// Each descriptor is registered once; a stream with two descriptors registers both with one token.
/// Descriptors that the kernel cannot watch (regular files, `/dev/null`) are always ready.
///
/// ```
/// use std::io::Write;
/// use std::os::fd::AsFd;
/// use std::time::Duration;
///
/// use mitogen_core::io::{Interest, Token, default_poller};
///
/// # fn main() -> std::io::Result<()> {
/// let (reader, mut writer) = std::io::pipe()?;
/// let mut poller = default_poller()?;
/// poller.register(reader.as_fd(), Token(1), Interest::READ)?;
/// writer.write_all(b"x")?;
///
/// let mut events = Vec::new();
/// poller.poll(&mut events, Some(Duration::from_secs(1)))?;
/// assert_eq!(events[0].token, Token(1));
/// assert!(events[0].readable);
/// # Ok(())
/// # }
/// ```
pub trait Poller: Send + fmt::Debug {
    /// Starts to watch `fd`, which must stay open until [`deregister`](Self::deregister).
    ///
    /// # Errors
    /// The error of the system call; `fd` is then not registered.
    fn register(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> io::Result<()>;

    /// Changes the interest of a registered descriptor.
    ///
    /// # Errors
    /// `NotFound` when `fd` is not registered with `token`, or the error of the system call.
    fn reregister(&mut self, fd: RawFd, token: Token, interest: Interest) -> io::Result<()>;

    /// Stops watching `fd` for `token`; does nothing if it is not registered with `token`. The
    /// descriptor may be closed afterwards.
    fn deregister(&mut self, fd: RawFd, token: Token);

    /// Reports what is left of a direction that the last [`poll`](Self::poll) reported for `fd`. After
    /// [`Residual::Drained`] it is reported again only after a change; after [`Residual::Ready`] the next
    /// poll reports it without asking the kernel, so the event may be spurious. This is only a hint: the
    /// default implementation, for pollers that are level-triggered themselves, ignores it.
    fn note_residual(&mut self, fd: RawFd, token: Token, direction: Interest, residual: Residual) {
        let _ = (fd, token, direction, residual);
    }

    /// Waits until a descriptor is ready, the waker is used, or `timeout` has passed (`None`: no
    /// timeout), and writes the ready descriptors to `events`, which is cleared first. It may return
    /// early without events. Events may be outdated: the caller must handle `WouldBlock` from the
    /// following read or write.
    ///
    /// # Errors
    /// The error of the system call. `EINTR` is not an error but an early return.
    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()>;

    /// The waker of this poller. A wake after the last return of [`poll`](Self::poll) makes the next
    /// call return immediately.
    fn waker(&self) -> Waker;
}

/// Registrations by descriptor number. Numbers are small and dense, so a lookup is an index.
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
