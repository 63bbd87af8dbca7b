//! The portable poller, over `poll(2)`.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use nix::libc::{POLLIN, POLLOUT};

use super::poller::{Event, Interest, Poller, Table, Token};
use super::waker::{WakeBackend, Waker};
use crate::sys::{self, PollFd, poll_fds};

/// A [`Poller`] over `poll(2)`. The kernel scans the whole set on each call, so it is only for tests and
/// for systems without epoll or kqueue.
#[derive(Debug)]
pub struct PollPoller {
    waker: Waker,
    /// The waker writes to the other end of this pipe.
    wake_pipe: PipeReader,
    /// The index of each descriptor in `watched`; `None` while its interest is empty.
    table: Table<Option<usize>>,
    /// The records passed to the kernel; the first is the waker's. Kept between calls, so that a poll
    /// does not allocate.
    watched: Vec<PollFd>,
}

/// The write end of the poller's wake pipe.
#[derive(Debug)]
struct PipeWake(PipeWriter);

impl WakeBackend for PipeWake {
    fn wake(&self) {
        // The write fails only when the pipe is full, and then the poller wakes anyway.
        let _ = (&self.0).write(&[1]);
    }
}

impl PollPoller {
    /// Creates an empty set.
    ///
    /// # Errors
    /// The error of the system call, such as `EMFILE`.
    pub fn new() -> io::Result<Self> {
        let (wake_pipe, writer) = io::pipe()?;
        sys::set_nonblock(&wake_pipe)?;
        sys::set_nonblock(&writer)?;
        let first = PollFd { fd: wake_pipe.as_raw_fd(), events: POLLIN, revents: 0 };
        let waker = Waker::new(PipeWake(writer));
        Ok(Self { waker, wake_pipe, table: Table::new(), watched: vec![first] })
    }

    /// Removes a record and updates the index of the one that takes its position.
    fn remove_record(&mut self, index: usize) {
        self.watched.swap_remove(index);
        if let Some(moved) = self.watched.get(index)
            && let Some(&(token, _)) = self.table.get(moved.fd)
            && let Ok(row) = self.table.get_for(moved.fd, token)
        {
            *row = Some(index);
        }
    }

    /// Empties the wake pipe.
    fn drain_wake_pipe(&self) {
        let mut bytes = [0; 16];
        let _ = nix::unistd::read(&self.wake_pipe, &mut bytes);
    }
}

impl Poller for PollPoller {
    fn register(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> io::Result<()> {
        let fd = fd.as_raw_fd();
        if let Some(Some(stale)) = self.table.insert(fd, token, None) {
            // The owner closed it without deregistering, and the number was reused.
            self.remove_record(stale);
        }
        self.reregister(fd, token, interest)
    }

    fn reregister(&mut self, fd: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        let row = self.table.get_for(fd, token)?;
        let events = if interest.read { POLLIN } else { 0 } | if interest.write { POLLOUT } else { 0 };
        match (*row, interest.is_none()) {
            (None, true) => {}
            (None, false) => {
                *row = Some(self.watched.len());
                self.watched.push(PollFd { fd, events, revents: 0 });
            }
            (Some(index), true) => {
                *row = None;
                self.remove_record(index);
            }
            (Some(index), false) => self.watched[index].events = events,
        }
        Ok(())
    }

    fn deregister(&mut self, fd: RawFd, token: Token) {
        if let Some(Some(index)) = self.table.remove(fd, token) {
            self.remove_record(index);
        }
    }

    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        let timeout = if self.waker.begin_wait() { timeout } else { Some(Duration::ZERO) };
        let got = poll_fds(&mut self.watched, timeout);
        self.waker.end_wait();
        let mut remaining = match got {
            Ok(got) => got,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(err) => return Err(err),
        };
        if self.watched[0].revents != 0 {
            self.drain_wake_pipe();
            remaining -= 1;
        }
        for watched in &self.watched[1..] {
            if remaining == 0 {
                break;
            }
            if watched.revents == 0 {
                continue;
            }
            remaining -= 1;
            let Some(&(token, _)) = self.table.get(watched.fd) else { continue };
            let ended = watched.revents & !(POLLIN | POLLOUT) != 0;
            let requested = |bit| watched.events & bit != 0 && (ended || watched.revents & bit != 0);
            events.push(Event { token, readable: requested(POLLIN), writable: requested(POLLOUT) });
        }
        Ok(())
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }
}
