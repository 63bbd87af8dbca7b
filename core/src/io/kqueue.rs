//! The poller of the BSDs and macOS.
//!
//! Level-triggered kqueue: a filter without `EV_CLEAR` is reported as long as its condition holds.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{time_t, timespec};
use nix::sys::event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue};

use super::poller::Table;
use super::{Event, Interest, Poller, Token, Waker};

/// A [`Poller`] over kqueue.
#[derive(Debug)]
pub struct KqueuePoller {
    kqueue: Kqueue,
    waker: Waker,
    table: Table<Row>,
    ready: Vec<KEvent>,
    always_ready: Vec<RawFd>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    interest: Interest,
    /// The kernel refuses to watch it (a device without a filter), so it counts as always ready.
    always: bool,
}

/// Events per system call; more ready descriptors are shown by the next call.
const BATCH: usize = 256;

impl KqueuePoller {
    /// An empty set.
    ///
    /// # Errors
    /// What the kernel reports, such as a full descriptor table.
    pub fn new() -> io::Result<Self> {
        let kqueue = Kqueue::new()?;
        let waker = Waker::pipe()?;
        let blank = change(0, EventFilter::EVFILT_READ, EvFlags::empty());
        let poller =
            Self { kqueue, waker, table: Table::new(), ready: vec![blank; BATCH], always_ready: Vec::new() };
        poller.apply(poller.waker.fd().as_raw_fd(), EventFilter::EVFILT_READ, true)?;
        Ok(poller)
    }

    fn apply(&self, fd: RawFd, filter: EventFilter, on: bool) -> nix::Result<()> {
        let flags = if on { EvFlags::EV_ADD } else { EvFlags::EV_DELETE };
        self.kqueue.kevent(&[change(fd, filter, flags)], &mut [], Some(NOW)).map(drop)
    }

    fn set(&mut self, fd: RawFd, from: Interest, to: Interest) -> nix::Result<()> {
        if from.read != to.read {
            self.apply(fd, EventFilter::EVFILT_READ, to.read)?;
        }
        if from.write != to.write {
            self.apply(fd, EventFilter::EVFILT_WRITE, to.write)?;
        }
        Ok(())
    }
}

const NOW: timespec = timespec { tv_sec: 0, tv_nsec: 0 };

fn change(fd: RawFd, filter: EventFilter, flags: EvFlags) -> KEvent {
    KEvent::new(fd as usize, filter, flags, FilterFlag::empty(), 0, 0)
}

impl Poller for KqueuePoller {
    fn register(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> io::Result<()> {
        let fd = fd.as_raw_fd();
        self.always_ready.retain(|&other| other != fd);
        let always = match self.set(fd, Interest::NONE, interest) {
            Ok(()) => false,
            Err(Errno::EINVAL | Errno::ENODEV | Errno::EPERM) => {
                self.always_ready.push(fd);
                true
            }
            Err(errno) => return Err(errno.into()),
        };
        self.table.insert(fd, token, Row { interest, always });
        Ok(())
    }

    fn reregister(&mut self, fd: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        let row = *self.table.get_for(fd, token)?;
        let mut always = row.always;
        if !always {
            match self.set(fd, row.interest, interest) {
                Ok(()) => {}
                Err(Errno::EINVAL | Errno::ENODEV | Errno::EPERM) => {
                    self.always_ready.push(fd);
                    always = true;
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        *self.table.get_for(fd, token)? = Row { interest, always };
        Ok(())
    }

    fn deregister(&mut self, fd: RawFd, token: Token) {
        if let Some(row) = self.table.remove(fd, token) {
            if row.always {
                self.always_ready.retain(|&other| other != fd);
            } else {
                // It fails when the descriptor was closed too early; then the kernel has forgotten it.
                let _ = self.set(fd, row.interest, Interest::NONE);
            }
        }
    }

    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        let idle = !self
            .always_ready
            .iter()
            .any(|&fd| self.table.get(fd).is_some_and(|(_, row)| !row.interest.is_none()));
        let may_sleep = self.waker.fall_asleep() && idle;
        let timeout = if may_sleep { timeout } else { Some(Duration::ZERO) };
        let timeout = timeout.map(|timeout| timespec {
            tv_sec: time_t::try_from(timeout.as_secs()).unwrap_or(time_t::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let got = self.kqueue.kevent(&[], &mut self.ready, timeout);
        self.waker.awake();
        let got = match got {
            Ok(got) => got,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        let waker = self.waker.fd().as_raw_fd();
        for ready in &self.ready[..got] {
            let Ok(fd) = RawFd::try_from(ready.ident()) else { continue };
            if fd == waker {
                self.waker.silence();
                continue;
            }
            let Some(&(token, _)) = self.table.get(fd) else { continue };
            let readable = matches!(ready.filter(), Ok(EventFilter::EVFILT_READ));
            events.push(Event { token, readable, writable: !readable });
        }
        for &fd in &self.always_ready {
            if let Some(&(token, Row { interest, .. })) = self.table.get(fd)
                && !interest.is_none()
            {
                events.push(Event { token, readable: interest.read, writable: interest.write });
            }
        }
        Ok(())
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }
}
