//! Waking a poller from another thread, at the price of a system call only when it sleeps.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::mio_poller::Ringer;
use crate::sync::Alarm;
use crate::sys;

/// Wakes one poller; clones wake the same. Wakes are coalesced: between two returns of the poll any
/// number of them costs one system call, and none at all while the loop is awake.
#[derive(Clone, Debug)]
pub struct Waker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    alarm: Alarm,
    bell: Bell,
}

#[derive(Debug)]
enum Bell {
    /// What its poller waits for by itself.
    Mio(Ringer),
    Pipe {
        reader: PipeReader,
        writer: PipeWriter,
    },
}

impl Waker {
    /// A waker of the poller that `ringer` belongs to.
    pub(super) fn mio(ringer: Ringer) -> Self {
        Self::new(Bell::Mio(ringer))
    }

    /// A waker that rings by a pipe: the poller watches what [`pipe_end`](Self::pipe_end) gives, and
    /// reads it empty at each ring.
    pub(super) fn pipe() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        sys::set_nonblock(&reader)?;
        sys::set_nonblock(&writer)?;
        Ok(Self::new(Bell::Pipe { reader, writer }))
    }

    fn new(bell: Bell) -> Self {
        Self { shared: Arc::new(Shared { alarm: Alarm::new(), bell }) }
    }

    /// Makes the poller's current or next wait return at once.
    pub fn wake(&self) {
        if self.shared.alarm.call() {
            match &self.shared.bell {
                // It fails only for want of memory in the kernel; the loop then wakes for its next
                // descriptor or timer.
                Bell::Mio(ringer) => drop(ringer.wake()),
                // A full pipe wakes as well as one more byte would.
                Bell::Pipe { writer, .. } => drop((&mut &*writer).write(&[1])),
            }
        }
    }

    /// The loop is going to sleep: returns whether it may. The caller must call
    /// [`awake`](Self::awake) afterwards in either case.
    pub(super) fn fall_asleep(&self) -> bool {
        self.shared.alarm.fall_asleep()
    }

    /// The loop has woken. Everything that a caller did before its wake is visible from here on.
    pub(super) fn awake(&self) {
        self.shared.alarm.awake();
    }

    /// Takes the ring out of the pipe, if there is one.
    pub(super) fn silence(&self) {
        if let Bell::Pipe { reader, .. } = &self.shared.bell {
            let mut bytes = [0; 16];
            let _ = nix::unistd::read(reader, &mut bytes);
        }
    }

    /// The end of the pipe to be watched, if there is one.
    pub(super) fn pipe_end(&self) -> Option<BorrowedFd<'_>> {
        match &self.shared.bell {
            Bell::Mio(_) => None,
            Bell::Pipe { reader, .. } => Some(reader.as_fd()),
        }
    }
}
