//! Waking a poller from another thread, at the price of a system call only when it sleeps.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::sys;

/// Wakes one poller; clones wake the same. Wakes are coalesced: between two returns of the poll any
/// number of them costs one system call, and none at all while the loop is awake.
#[derive(Clone, Debug)]
pub struct Waker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: AtomicU8,
    bell: Bell,
}

#[derive(Debug)]
enum Bell {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Event(sys::EventFd),
    Pipe {
        reader: PipeReader,
        writer: PipeWriter,
    },
}

/// The loop is at work; it will look at its queue before it sleeps.
const AWAKE: u8 = 0;
/// The loop is in the kernel, or about to be.
const ASLEEP: u8 = 1;
/// Somebody has called since the loop last woke.
const CALLED: u8 = 2;

impl Waker {
    /// A waker that rings by eventfd. It is watched edge-triggered and never read.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn eventfd() -> io::Result<Self> {
        Ok(Self::new(Bell::Event(sys::EventFd::new()?)))
    }

    /// A waker that rings by a pipe, read empty at each ring.
    pub(super) fn pipe() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        sys::set_nonblock(&reader)?;
        sys::set_nonblock(&writer)?;
        Ok(Self::new(Bell::Pipe { reader, writer }))
    }

    fn new(bell: Bell) -> Self {
        Self { shared: Arc::new(Shared { state: AtomicU8::new(AWAKE), bell }) }
    }

    /// Makes the poller's current or next wait return at once.
    pub fn wake(&self) {
        if self.shared.state.swap(CALLED, Ordering::SeqCst) == ASLEEP {
            match &self.shared.bell {
                #[cfg(any(target_os = "linux", target_os = "android"))]
                Bell::Event(event) => event.notify(),
                // A full pipe wakes as well as one more byte would.
                Bell::Pipe { writer, .. } => drop((&mut &*writer).write(&[1])),
            }
        }
    }

    /// The loop is going to sleep: returns whether it may. The caller must call
    /// [`awake`](Self::awake) afterwards in either case.
    pub(super) fn fall_asleep(&self) -> bool {
        self.shared.state.compare_exchange(AWAKE, ASLEEP, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The loop has woken. Everything that a caller did before its wake is visible from here on.
    pub(super) fn awake(&self) {
        self.shared.state.swap(AWAKE, Ordering::SeqCst);
    }

    /// Takes the ring out of the pipe; nothing for an eventfd.
    pub(super) fn silence(&self) {
        #[allow(irrefutable_let_patterns, reason = "there is only the pipe on some systems")]
        if let Bell::Pipe { reader, .. } = &self.shared.bell {
            let mut bytes = [0; 16];
            let _ = nix::unistd::read(reader, &mut bytes);
        }
    }

    /// What the poller watches.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match &self.shared.bell {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Bell::Event(event) => event.as_fd(),
            Bell::Pipe { reader, .. } => reader.as_fd(),
        }
    }
}
