//! The poller of Linux, the BSDs and macOS, over mio; the only file that uses mio.
//!
//! mio is edge-triggered: it reports a descriptor once and not again until its state changes. The
//! [`Poller`] interface is level-triggered, and should stay cheap. So this poller remembers which
//! descriptors it reported until the next poll. If the caller has noted [`Residual::Drained`] by then, the
//! poller waits for the next edge. After [`Residual::Ready`] it reports the descriptor again without a
//! system call. Otherwise it reregisters the descriptor, which makes the kernel report its current state. A
//! frame that is read with a short read therefore costs one wait and one read, and a caller that never
//! notes anything gets exact levels at the price of one additional system call.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use mio::unix::SourceFd;
use nix::errno::Errno;

use super::poller::{Event, Interest, Poller, Residual, Table, Token};
use super::waker::{WakeBackend, Waker};
use crate::sys;

/// A [`Poller`] over epoll or kqueue.
#[derive(Debug)]
pub struct MioPoller {
    poll: mio::Poll,
    kernel_events: mio::Events,
    waker: Waker,
    table: Table<Row>,
    /// Descriptors that the next poll reports without asking the kernel. Entries here and in `reported`
    /// whose descriptor was deregistered or reused meanwhile are skipped, according to their row.
    ready: Vec<RawFd>,
    /// Descriptors that the last poll reported.
    reported: Vec<RawFd>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    interest: Interest,
    state: State,
    /// Directions to report at the next poll.
    ready: Interest,
    /// Directions that were reported and for which no residual state was noted since.
    unknown: Interest,
    /// The peer has hung up, or there is an error. No further edge may follow, so `Drained` is ignored
    /// from then on.
    hung_up: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Registered with the kernel.
    Watched,
    /// The interest is empty, so it is not registered: epoll would report a hang-up even then.
    Idle,
    /// The kernel cannot watch it; it is always ready.
    Always,
}

/// Events per system call; further ready descriptors are reported by the next call.
const BATCH: usize = 256;
/// The waker's key; it is never the key of a descriptor.
const WAKER: mio::Token = mio::Token(usize::MAX);

impl WakeBackend for mio::Waker {
    fn wake(&self) {
        // It fails only when the kernel is out of memory; the loop then wakes for its next descriptor or
        // timer.
        let _ = mio::Waker::wake(self);
    }
}

impl MioPoller {
    /// Creates an empty set.
    ///
    /// # Errors
    /// The error of the system call, such as `EMFILE`.
    pub fn new() -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let waker = Waker::new(mio::Waker::new(poll.registry(), WAKER)?);
        let kernel_events = mio::Events::with_capacity(BATCH);
        Ok(Self { poll, kernel_events, waker, table: Table::new(), ready: Vec::new(), reported: Vec::new() })
    }

    /// Registers `fd` with the kernel, if the kernel can watch it.
    fn add(&self, fd: RawFd, interest: mio::Interest) -> io::Result<State> {
        match self.poll.registry().register(&mut SourceFd(&fd), key(fd), interest) {
            Ok(()) => Ok(State::Watched),
            // The first is epoll's error; the others are kqueue's, for devices without a filter.
            Err(err) => match err.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EPERM | Errno::EINVAL | Errno::ENODEV) => Ok(State::Always),
                _ => Err(err),
            },
        }
    }

    /// Changes the kernel's registration. The kernel then reports the current state, so the row starts
    /// without any remembered state.
    fn set(&mut self, fd: RawFd, from: State, interest: Interest) -> io::Result<Row> {
        let registry = self.poll.registry();
        let state = match (from, mio_interest(interest)) {
            (State::Always, _) => State::Always,
            (State::Idle, None) => State::Idle,
            (State::Idle, Some(wanted)) => self.add(fd, wanted)?,
            (State::Watched, None) => {
                registry.deregister(&mut SourceFd(&fd))?;
                State::Idle
            }
            (State::Watched, Some(wanted)) => {
                registry.reregister(&mut SourceFd(&fd), key(fd), wanted)?;
                State::Watched
            }
        };
        let ready = if state == State::Always { interest } else { Interest::NONE };
        if !ready.is_none() {
            self.ready.push(fd);
        }
        Ok(Row { interest, state, ready, unknown: Interest::NONE, hung_up: false })
    }

    /// Reregisters the descriptors that the last poll reported and whose residual state is not known.
    fn refresh_unknown(&mut self) {
        for fd in self.reported.drain(..) {
            let Some((_, row)) = self.table.get_mut(fd) else { continue };
            if mem::take(&mut row.unknown).is_none() {
                continue;
            }
            match (row.state, mio_interest(row.interest)) {
                (State::Always, _) => row.report(row.interest, fd, &mut self.ready),
                (State::Watched, Some(wanted)) => {
                    let again = self.poll.registry().reregister(&mut SourceFd(&fd), key(fd), wanted);
                    if let Err(err) = again {
                        // The owner closed it without deregistering, which removed it from the kernel's set.
                        tracing::debug!(%err, fd, "cannot reregister a descriptor");
                    }
                }
                (State::Watched | State::Idle, _) => {}
            }
        }
    }
}

impl Poller for MioPoller {
    fn register(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> io::Result<()> {
        // kqueue would wait for a file to grow.
        let from = if sys::is_regular_file(fd) { State::Always } else { State::Idle };
        let row = self.set(fd.as_raw_fd(), from, interest)?;
        self.table.insert(fd.as_raw_fd(), token, row);
        Ok(())
    }

    fn reregister(&mut self, fd: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        let row = *self.table.get_for(fd, token)?;
        if row.interest != interest {
            let row = self.set(fd, row.state, interest)?;
            *self.table.get_for(fd, token)? = row;
        }
        Ok(())
    }

    fn deregister(&mut self, fd: RawFd, token: Token) {
        if self.table.remove(fd, token).is_some_and(|row| row.state == State::Watched) {
            // It fails when the descriptor was closed without deregistering; the kernel then has removed it.
            let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
        }
    }

    fn note_residual(&mut self, fd: RawFd, token: Token, direction: Interest, residual: Residual) {
        let Ok(row) = self.table.get_for(fd, token) else { return };
        let known = row.unknown.and(direction);
        match residual {
            Residual::Drained if !row.hung_up => row.unknown = row.unknown.without(known),
            Residual::Ready => {
                row.unknown = row.unknown.without(known);
                row.report(known, fd, &mut self.ready);
            }
            Residual::Drained | Residual::Unknown | Residual::Buffered => {}
        }
    }

    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        self.refresh_unknown();
        let may_sleep = self.waker.begin_wait() && self.ready.is_empty();
        let timeout = if may_sleep { timeout } else { Some(Duration::ZERO) };
        let got = self.poll.poll(&mut self.kernel_events, timeout);
        self.waker.end_wait();
        match got {
            Ok(()) => {}
            Err(err) if err.kind() == io::ErrorKind::Interrupted => self.kernel_events.clear(),
            Err(err) => return Err(err),
        }
        for event in &self.kernel_events {
            let Ok(fd) = RawFd::try_from(event.token().0) else { continue };
            let Some((_, row)) = self.table.get_mut(fd) else { continue };
            let (read_ended, write_ended) = (event.is_read_closed(), event.is_write_closed());
            row.hung_up |= read_ended || write_ended || event.is_error();
            let seen = Interest {
                read: event.is_readable() || read_ended || event.is_error(),
                write: event.is_writable() || write_ended || event.is_error(),
            };
            row.report(seen.and(row.interest), fd, &mut self.ready);
        }
        for &fd in &self.ready {
            let Some((token, row)) = self.table.get_mut(fd) else { continue };
            let ready = mem::take(&mut row.ready);
            if !ready.is_none() {
                row.unknown = row.unknown.or(ready);
                events.push(Event { token: *token, readable: ready.read, writable: ready.write });
                self.reported.push(fd);
            }
        }
        self.ready.clear();
        Ok(())
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

impl Row {
    fn report(&mut self, directions: Interest, fd: RawFd, list: &mut Vec<RawFd>) {
        if self.ready.is_none() && !directions.is_none() {
            list.push(fd);
        }
        self.ready = self.ready.or(directions);
    }
}

/// The key of a descriptor; never the waker's.
fn key(fd: RawFd) -> mio::Token {
    mio::Token(usize::try_from(fd).unwrap_or(usize::MAX - 1))
}

fn mio_interest(interest: Interest) -> Option<mio::Interest> {
    match (interest.read, interest.write) {
        (false, false) => None,
        (true, false) => Some(mio::Interest::READABLE),
        (false, true) => Some(mio::Interest::WRITABLE),
        (true, true) => Some(mio::Interest::READABLE | mio::Interest::WRITABLE),
    }
}
