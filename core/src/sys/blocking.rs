//! Blocking I/O with deadlines, for code without a loop, such as tests or a process that is starting. The descriptor
//! must be non-blocking, or not used by other readers or writers.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use nix::errno::Errno;
use nix::libc;

use super::{PollFd, poll_fds, read_spare};

const CHUNK: usize = 131_072;

/// Reads `fd` until the data contains `needle`, and returns all data that was read, including the needle and what
/// follows it.
///
/// # Errors
/// `TimedOut` at the deadline, `UnexpectedEof` when the stream ends first, or the error of `read`.
pub fn discard_until(fd: BorrowedFd<'_>, needle: &[u8], deadline: Option<Instant>) -> io::Result<Bytes> {
    let mut seen = BytesMut::new();
    for piece in iter_read(fd, deadline) {
        let from = seen.len().saturating_sub(needle.len());
        seen.extend_from_slice(&piece?);
        if needle.is_empty() || seen[from..].windows(needle.len()).any(|window| window == needle) {
            return Ok(seen.freeze());
        }
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "stream ended before the expected text"))
}

/// Iterates over the data that arrives at `fd` until the stream ends, in chunks of at most 128 KiB.
pub fn iter_read(fd: BorrowedFd<'_>, deadline: Option<Instant>) -> IterRead<'_> {
    IterRead { fd, deadline, done: false }
}

/// The iterator of [`iter_read`]. It ends after an error, such as `TimedOut` at the deadline.
#[derive(Debug)]
pub struct IterRead<'a> {
    fd: BorrowedFd<'a>,
    deadline: Option<Instant>,
    done: bool,
}

impl IterRead<'_> {
    fn read(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            wait_ready(self.fd, libc::POLLIN, self.deadline)?;
            let mut buf = BytesMut::with_capacity(CHUNK);
            match read_spare(self.fd, &mut buf, CHUNK) {
                Ok(0) => return Ok(None),
                Ok(_) => return Ok(Some(buf.freeze())),
                Err(err) => match err.raw_os_error().map(Errno::from_raw) {
                    Some(Errno::EINTR | Errno::EAGAIN) => {}
                    // The end of a pty, and of a connection whose peer has disconnected.
                    Some(Errno::EIO | Errno::ECONNRESET) => return Ok(None),
                    _ => return Err(err),
                },
            }
        }
    }
}

impl Iterator for IterRead<'_> {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.read().transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

/// Writes all of `bytes`.
///
/// # Errors
/// `TimedOut` at the deadline, or the error of `write` (`BrokenPipe` when the reader has closed its end).
pub fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8], deadline: Option<Instant>) -> io::Result<()> {
    while !bytes.is_empty() {
        wait_ready(fd, libc::POLLOUT, deadline)?;
        // A blocking pipe that is writable may block on a large write; PIPE_BUF bytes always fit.
        match nix::unistd::write(fd, &bytes[..bytes.len().min(libc::PIPE_BUF)]) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

fn wait_ready(fd: BorrowedFd<'_>, events: libc::c_short, deadline: Option<Instant>) -> io::Result<()> {
    let mut fds = [PollFd { fd: fd.as_raw_fd(), events, revents: 0 }];
    loop {
        let remaining = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match poll_fds(&mut fds, remaining) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
}
