//! The poller of every system: `poll(2)`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use nix::libc::{POLLIN, POLLOUT};

use super::poller::Table;
use super::{Event, Interest, Poller, Token, Waker};
use crate::sys::{PollFd, poll_fds};

/// A [`Poller`] over `poll(2)`. The kernel walks the whole set each time, so it is for systems (and
/// tests) without anything better.
#[derive(Debug)]
pub struct PollPoller {
    waker: Waker,
    /// Where in `watched` a descriptor stands; `None` while nothing is asked of it.
    table: Table<Option<usize>>,
    /// The kernel's records; the first is the waker. Kept across calls, so that a poll allocates
    /// nothing.
    watched: Vec<PollFd>,
}

impl PollPoller {
    /// An empty set.
    ///
    /// # Errors
    /// What the kernel reports, such as a full descriptor table.
    pub fn new() -> io::Result<Self> {
        let waker = Waker::pipe()?;
        // A number below zero would be passed over by the kernel.
        let bell = waker.pipe_end().map_or(-1, |fd| fd.as_raw_fd());
        let first = PollFd { fd: bell, events: POLLIN, revents: 0 };
        Ok(Self { waker, table: Table::new(), watched: vec![first] })
    }

    fn forget(&mut self, place: usize) {
        self.watched.swap_remove(place);
        if let Some(moved) = self.watched.get(place)
            && let Some(&(token, _)) = self.table.get(moved.fd)
            && let Ok(row) = self.table.get_for(moved.fd, token)
        {
            *row = Some(place);
        }
    }
}

impl Poller for PollPoller {
    fn register(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> io::Result<()> {
        let fd = fd.as_raw_fd();
        if let Some(Some(stale)) = self.table.insert(fd, token, None) {
            // Its owner closed it without telling us, and the number was given out again.
            self.forget(stale);
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
            (Some(place), true) => {
                *row = None;
                self.forget(place);
            }
            (Some(place), false) => self.watched[place].events = events,
        }
        Ok(())
    }

    fn deregister(&mut self, fd: RawFd, token: Token) {
        if let Some(Some(place)) = self.table.remove(fd, token) {
            self.forget(place);
        }
    }

    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        let timeout = if self.waker.fall_asleep() { timeout } else { Some(Duration::ZERO) };
        let got = poll_fds(&mut self.watched, timeout);
        self.waker.awake();
        let mut left = match got {
            Ok(got) => got,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(err) => return Err(err),
        };
        if self.watched[0].revents != 0 {
            self.waker.silence();
            left -= 1;
        }
        for watched in &self.watched[1..] {
            if left == 0 {
                break;
            }
            if watched.revents == 0 {
                continue;
            }
            left -= 1;
            let Some(&(token, _)) = self.table.get(watched.fd) else { continue };
            let ended = watched.revents & !(POLLIN | POLLOUT) != 0;
            let asked = |bit| watched.events & bit != 0 && (ended || watched.revents & bit != 0);
            events.push(Event { token, readable: asked(POLLIN), writable: asked(POLLOUT) });
        }
        Ok(())
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }
}
