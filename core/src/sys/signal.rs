//! Delivers signals as bytes on a pipe.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::set_nonblock;

/// For each signal number, the descriptor that the handler writes to, or -1.
static TARGETS: [AtomicI32; 65] = [const { AtomicI32::new(-1) }; 65];
/// The number of running handlers; a pipe is closed only when it is zero.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Catches signals and writes each as one byte, its number, to a pipe. Dropping it restores the previous
/// dispositions.
#[derive(Debug)]
pub(crate) struct SignalSource {
    reader: PipeReader,
    // Kept open for the handlers.
    _writer: PipeWriter,
    previous: Vec<(Signal, SigAction)>,
}

impl SignalSource {
    /// Starts to catch `signals` (numbers, such as `libc::SIGTERM`).
    ///
    /// # Errors
    /// `EBUSY` when another source catches one of them (a process has one handler for each signal), `EINVAL`
    /// for a number that cannot be caught.
    pub(crate) fn new(signals: &[i32]) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        set_nonblock(&reader)?;
        set_nonblock(&writer)?;
        let fd = writer.as_raw_fd();
        let mut source = Self { reader, _writer: writer, previous: Vec::new() };
        for &number in signals {
            let signal = Signal::try_from(number)?;
            let target = &TARGETS[number as usize];
            if target.compare_exchange(-1, fd, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                return Err(Errno::EBUSY.into());
            }
            let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::SA_RESTART, SigSet::empty());
            // SAFETY: the handler calls only async-signal-safe functions and preserves errno.
            match unsafe { sigaction(signal, &action) } {
                Ok(previous) => source.previous.push((signal, previous)),
                Err(errno) => {
                    target.store(-1, Ordering::SeqCst);
                    return Err(errno.into());
                }
            }
        }
        Ok(source)
    }

    /// The number of the next caught signal, or `None` if none is pending. Never blocks.
    ///
    /// # Errors
    /// The error of reading the pipe.
    pub(crate) fn next_signal(&mut self) -> io::Result<Option<i32>> {
        let mut byte = [0];
        loop {
            return match nix::unistd::read(&self.reader, &mut byte) {
                Ok(1) => Ok(Some(i32::from(byte[0]))),
                Ok(_) | Err(Errno::EAGAIN) => Ok(None),
                Err(Errno::EINTR) => continue,
                Err(errno) => Err(errno.into()),
            };
        }
    }
}

impl AsFd for SignalSource {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl Drop for SignalSource {
    fn drop(&mut self) {
        for (signal, previous) in self.previous.drain(..).rev() {
            // SAFETY: this disposition was active before.
            let _ = unsafe { sigaction(signal, &previous) };
            TARGETS[signal as usize].store(-1, Ordering::SeqCst);
        }
        // A handler that started before the lines above may still use the number of the pipe.
        while RUNNING.load(Ordering::SeqCst) != 0 {
            std::thread::yield_now();
        }
    }
}

extern "C" fn on_signal(number: libc::c_int) {
    RUNNING.fetch_add(1, Ordering::SeqCst);
    let errno = Errno::last_raw();
    let fd = TARGETS.get(number as usize).map_or(-1, |target| target.load(Ordering::SeqCst));
    if fd >= 0 {
        let byte = number as u8;
        // SAFETY: write(2) is async-signal-safe, `byte` outlives the call, and RUNNING keeps the descriptor
        // open. A full pipe drops the signal, as the kernel merges pending signals.
        let _ = unsafe { libc::write(fd, (&raw const byte).cast(), 1) };
    }
    Errno::set_raw(errno);
    RUNNING.fetch_sub(1, Ordering::SeqCst);
}

/// Ignores SIGPIPE if its disposition is the default, so that a write to a closed pipe is an error and does not end
/// the process. Rust programs ignore it already; a host program in another language may not.
pub(crate) fn ignore_sigpipe() {
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: ignoring a signal installs no handler.
    if let Ok(previous) = unsafe { sigaction(Signal::SIGPIPE, &ignore) }
        && !matches!(previous.handler(), SigHandler::SigDfl | SigHandler::SigIgn)
    {
        // SAFETY: this disposition was active before; the host program needs its handler.
        let _ = unsafe { sigaction(Signal::SIGPIPE, &previous) };
    }
}
