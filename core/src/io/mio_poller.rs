//! The poller of Linux, the BSDs and macOS, over mio; the only file that knows mio.
//!
//! mio reports edges: a descriptor is told once and then not again until something changes. Our
//! users want levels, and want them cheap. So what was shown is remembered until the next poll. If
//! by then its user has said that nothing is left ([`Residual::Drained`]), the next edge is waited for;
//! if more is left, it is shown again without asking; if nobody knows, it is registered anew, which
//! makes the kernel look again and report what is still ready. A frame read short thus costs one
//! wait and one read, and a user that says nothing gets exact levels at the price of one call.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use mio::unix::SourceFd;
use nix::errno::Errno;

use super::poller::Table;
use super::{Event, Interest, Poller, Residual, Token, Waker};
use crate::sys;

/// What rings for this poller.
pub(super) type Ringer = mio::Waker;

/// A [`Poller`] over the system's own mechanism: epoll or kqueue.
#[derive(Debug)]
pub struct MioPoller {
    poll: mio::Poll,
    arrived: mio::Events,
    waker: Waker,
    table: Table<Row>,
    /// Descriptors to show at the next poll whatever the kernel says. Here and in `shown`, one that
    /// was deregistered or given out again meanwhile is passed over: its row tells.
    ready: Vec<RawFd>,
    /// Descriptors that the last poll has shown.
    shown: Vec<RawFd>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    interest: Interest,
    state: State,
    /// Directions to show at the next poll.
    ready: Interest,
    /// Directions that were shown, and of which nobody has said what is left.
    unsure: Interest,
    /// The other side has hung up, or there is an error. No edge may come after that, so "nothing is
    /// left" is not believed any more.
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The kernel watches it.
    Watched,
    /// Nothing is asked of it, so it is out of the kernel's set: epoll would report a hang-up even
    /// then.
    Idle,
    /// The kernel cannot watch it, because it is always ready.
    Always,
}

/// Events per system call; more ready descriptors are shown by the next call.
const BATCH: usize = 256;
/// The waker's key; descriptors are never negative.
const WAKER: mio::Token = mio::Token(usize::MAX);

impl MioPoller {
    /// An empty set.
    ///
    /// # Errors
    /// What the kernel reports, such as a full descriptor table.
    pub fn new() -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let waker = Waker::mio(Ringer::new(poll.registry(), WAKER)?);
        let arrived = mio::Events::with_capacity(BATCH);
        Ok(Self { poll, arrived, waker, table: Table::new(), ready: Vec::new(), shown: Vec::new() })
    }

    /// Makes the kernel watch `fd`, if it can.
    fn add(&self, fd: RawFd, interest: mio::Interest) -> io::Result<State> {
        match self.poll.registry().register(&mut SourceFd(&fd), key(fd), interest) {
            Ok(()) => Ok(State::Watched),
            // epoll says the first; the others are kqueue's, for devices without a filter.
            Err(err) => match err.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EPERM | Errno::EINVAL | Errno::ENODEV) => Ok(State::Always),
                _ => Err(err),
            },
        }
    }

    /// Each change makes the kernel look again, so the row starts afresh.
    fn set(&mut self, fd: RawFd, from: State, interest: Interest) -> io::Result<Row> {
        let registry = self.poll.registry();
        let state = match (from, asked(interest)) {
            (State::Always, _) => State::Always,
            (State::Idle, None) => State::Idle,
            (State::Idle, Some(asked)) => self.add(fd, asked)?,
            (State::Watched, None) => {
                registry.deregister(&mut SourceFd(&fd))?;
                State::Idle
            }
            (State::Watched, Some(asked)) => {
                registry.reregister(&mut SourceFd(&fd), key(fd), asked)?;
                State::Watched
            }
        };
        let ready = if state == State::Always { interest } else { Interest::NONE };
        if !ready.is_none() {
            self.ready.push(fd);
        }
        Ok(Row { interest, state, ready, unsure: Interest::NONE, ended: false })
    }

    /// Finds out about what the last poll has shown and nobody has spoken of since.
    fn look_again(&mut self) {
        for fd in self.shown.drain(..) {
            let Some((_, row)) = self.table.get_mut(fd) else { continue };
            if mem::take(&mut row.unsure).is_none() {
                continue;
            }
            match (row.state, asked(row.interest)) {
                (State::Always, _) => row.show(row.interest, fd, &mut self.ready),
                (State::Watched, Some(asked)) => {
                    let again = self.poll.registry().reregister(&mut SourceFd(&fd), key(fd), asked);
                    if let Err(err) = again {
                        // Its owner closed it too early, and the kernel has forgotten it.
                        tracing::debug!(%err, fd, "cannot watch a descriptor any more");
                    }
                }
                (State::Watched | State::Idle, _) => {}
            }
        }
    }
}

impl Poller for MioPoller {
    fn register(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> io::Result<()> {
        // kqueue would watch a file for growth.
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
            // It fails when the descriptor was closed too early; then the kernel has forgotten it.
            let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
        }
    }

    fn note_residual(&mut self, fd: RawFd, token: Token, direction: Interest, residual: Residual) {
        let Ok(row) = self.table.get_for(fd, token) else { return };
        let settled = row.unsure.and(direction);
        match residual {
            Residual::Drained if !row.ended => row.unsure = row.unsure.without(settled),
            Residual::Ready => {
                row.unsure = row.unsure.without(settled);
                row.show(settled, fd, &mut self.ready);
            }
            Residual::Drained | Residual::Unknown => {}
        }
    }

    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        self.look_again();
        let may_sleep = self.waker.fall_asleep() && self.ready.is_empty();
        let timeout = if may_sleep { timeout } else { Some(Duration::ZERO) };
        let got = self.poll.poll(&mut self.arrived, timeout);
        self.waker.awake();
        match got {
            Ok(()) => {}
            Err(err) if err.kind() == io::ErrorKind::Interrupted => self.arrived.clear(),
            Err(err) => return Err(err),
        }
        for event in &self.arrived {
            let Ok(fd) = RawFd::try_from(event.token().0) else { continue };
            let Some((_, row)) = self.table.get_mut(fd) else { continue };
            let (read_ended, write_ended) = (event.is_read_closed(), event.is_write_closed());
            row.ended |= read_ended || write_ended || event.is_error();
            let seen = Interest {
                read: event.is_readable() || read_ended || event.is_error(),
                write: event.is_writable() || write_ended || event.is_error(),
            };
            row.show(seen.and(row.interest), fd, &mut self.ready);
        }
        for &fd in &self.ready {
            let Some((token, row)) = self.table.get_mut(fd) else { continue };
            let ready = mem::take(&mut row.ready);
            if !ready.is_none() {
                row.unsure = row.unsure.or(ready);
                events.push(Event { token: *token, readable: ready.read, writable: ready.write });
                self.shown.push(fd);
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
    fn show(&mut self, directions: Interest, fd: RawFd, list: &mut Vec<RawFd>) {
        if self.ready.is_none() && !directions.is_none() {
            list.push(fd);
        }
        self.ready = self.ready.or(directions);
    }
}

/// The waker's own key is no descriptor's.
fn key(fd: RawFd) -> mio::Token {
    mio::Token(usize::try_from(fd).unwrap_or(usize::MAX - 1))
}

fn asked(interest: Interest) -> Option<mio::Interest> {
    match (interest.read, interest.write) {
        (false, false) => None,
        (true, false) => Some(mio::Interest::READABLE),
        (false, true) => Some(mio::Interest::WRITABLE),
        (true, true) => Some(mio::Interest::READABLE | mio::Interest::WRITABLE),
    }
}
