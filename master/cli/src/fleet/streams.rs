//! Unbuffered standard streams of this process, which behave as blocking even if their file is non-blocking.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Standard output.
#[derive(Debug)]
pub(super) struct Stdout(File);

impl Stdout {
    /// Duplicates the descriptor.
    ///
    /// # Errors
    /// The process has too many open descriptors.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
    }
}

impl Write for Stdout {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        write(&mut self.0, data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard error. It accepts and discards data after its reader has closed it.
#[derive(Debug)]
pub(super) struct Stderr(File);

impl Stderr {
    /// Duplicates the descriptor.
    ///
    /// # Errors
    /// The process has too many open descriptors.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(File::from(io::stderr().as_fd().try_clone_to_owned()?)))
    }
}

impl Write for Stderr {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match write(&mut self.0, data) {
            // The loss of messages must not end the run.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(data.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(file: &mut File, data: &[u8]) -> io::Result<usize> {
    loop {
        match file.write(data) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait(file.as_fd(), PollFlags::POLLOUT)?;
            }
            written => return written,
        }
    }
}

/// Reads as from a blocking descriptor. Another process that shares the terminal or pipe may have made it
/// non-blocking: that is a property of the open file, not of our descriptor.
pub(super) fn read(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait(file.as_fd(), PollFlags::POLLIN)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            count => return count,
        }
    }
}

fn wait(fd: BorrowedFd<'_>, flags: PollFlags) -> io::Result<()> {
    match poll(&mut [PollFd::new(fd, flags)], PollTimeout::NONE) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
