//! The poller of Linux.
//!
//! Level-triggered epoll, not edges: with edges the loop would have to read until EAGAIN or to keep
//! its own list of what may still be readable; here the kernel keeps that list, and a frame costs
//! one `epoll_wait` and one `read`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP};

use super::poller::Table;
use super::{Event, Interest, Poller, Token, Waker};
use crate::sys::{Epoll, EpollEvent};

/// A [`Poller`] over epoll.
#[derive(Debug)]
pub struct EpollPoller {
    epoll: Epoll,
    waker: Waker,
    table: Table<Row>,
    ready: Vec<EpollEvent>,
    /// How many descriptors of [`State::Always`] want an event.
    always_ready: Vec<RawFd>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    interest: Interest,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The kernel watches it.
    Watched,
    /// Nothing is asked of it, so it is out of the kernel's set: epoll would report a hang-up even
    /// then, again and again.
    Idle,
    /// The kernel refuses to watch it, because it is always ready.
    Always,
}

/// Events per system call; more ready descriptors are shown by the next call.
const BATCH: usize = 256;
/// The waker's key; descriptors are never negative.
const WAKER: u64 = u64::MAX;

impl EpollPoller {
    /// An empty set.
    ///
    /// # Errors
    /// What the kernel reports, such as a full descriptor table.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let waker = Waker::eventfd()?;
        epoll.add(waker.fd(), (EPOLLIN | EPOLLET) as u32, WAKER)?;
        Ok(Self {
            epoll,
            waker,
            table: Table::new(),
            ready: vec![EpollEvent { events: 0, u64: 0 }; BATCH],
            always_ready: Vec::new(),
        })
    }

    fn set(&mut self, fd: RawFd, token: Token, interest: Interest, from: State) -> io::Result<()> {
        let state = match (from, interest.is_none()) {
            (State::Always, idle) => {
                self.always_ready.retain(|&other| other != fd);
                if !idle {
                    self.always_ready.push(fd);
                }
                State::Always
            }
            (State::Idle, true) => State::Idle,
            (State::Watched, true) => {
                self.epoll.delete(fd)?;
                State::Idle
            }
            (State::Idle, false) => {
                self.epoll.add_again(fd, flags(interest), fd as u64)?;
                State::Watched
            }
            (State::Watched, false) => {
                self.epoll.modify(fd, flags(interest), fd as u64)?;
                State::Watched
            }
        };
        *self.table.get_for(fd, token)? = Row { interest, state };
        Ok(())
    }
}

impl Poller for EpollPoller {
    fn register(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> io::Result<()> {
        // Added even when nothing is asked yet, to learn whether it can be watched at all.
        let state = match self.epoll.add(fd, flags(interest), fd.as_raw_fd() as u64) {
            Ok(()) => State::Watched,
            Err(err) if err.raw_os_error() == Some(Errno::EPERM as i32) => State::Always,
            Err(err) => return Err(err),
        };
        let fd = fd.as_raw_fd();
        self.table.insert(fd, token, Row { interest, state });
        if state == State::Always || interest.is_none() {
            self.set(fd, token, interest, state)?;
        }
        Ok(())
    }

    fn reregister(&mut self, fd: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        let row = *self.table.get_for(fd, token)?;
        if row.interest == interest {
            return Ok(());
        }
        self.set(fd, token, interest, row.state)
    }

    fn deregister(&mut self, fd: RawFd, token: Token) {
        match self.table.remove(fd, token).map(|row| row.state) {
            // It fails when the descriptor was closed too early; then the kernel has forgotten it.
            Some(State::Watched) => drop(self.epoll.delete(fd)),
            Some(State::Always) => self.always_ready.retain(|&other| other != fd),
            Some(State::Idle) | None => {}
        }
    }

    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        let may_sleep = self.waker.fall_asleep() && self.always_ready.is_empty();
        let timeout = if may_sleep { timeout } else { Some(Duration::ZERO) };
        let got = self.epoll.wait(&mut self.ready, timeout);
        self.waker.awake();
        let got = match got {
            Ok(got) => got,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => 0,
            Err(err) => return Err(err),
        };
        for ready in &self.ready[..got] {
            let (key, bits) = (ready.u64, ready.events as i32);
            if key == WAKER {
                continue;
            }
            let Ok(fd) = RawFd::try_from(key) else { continue };
            let Some(&(token, Row { interest, .. })) = self.table.get(fd) else { continue };
            let ended = bits & (EPOLLERR | EPOLLHUP) != 0;
            let readable = interest.read && (ended || bits & (EPOLLIN | EPOLLRDHUP | EPOLLPRI) != 0);
            let writable = interest.write && (ended || bits & EPOLLOUT != 0);
            events.push(Event { token, readable, writable });
        }
        for &fd in &self.always_ready {
            if let Some(&(token, Row { interest, .. })) = self.table.get(fd) {
                events.push(Event { token, readable: interest.read, writable: interest.write });
            }
        }
        Ok(())
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

fn flags(interest: Interest) -> u32 {
    let read = if interest.read { EPOLLIN | EPOLLRDHUP } else { 0 };
    let write = if interest.write { EPOLLOUT } else { 0 };
    (read | write) as u32
}
