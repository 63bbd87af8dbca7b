//! Blocking helpers with deadlines, for code that has no loop yet (tests, the zygote, a child that
//! starts up). The descriptor must be non-blocking or a blocking one that nobody else reads.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use nix::errno::Errno;
use nix::libc;

use super::{PollFd, poll_fds, read_spare};

const CHUNK: usize = 131_072;

/// Reads `fd` until the text read ends with `needle` or holds it, and returns all that was read,
/// the needle and what came behind it included.
///
/// # Errors
/// `TimedOut` at the deadline, `UnexpectedEof` when the stream ends first, or what reading reports.
pub fn discard_until(fd: BorrowedFd<'_>, needle: &[u8], deadline: Option<Instant>) -> io::Result<Bytes> {
    let mut seen = BytesMut::new();
    for piece in iter_read(fd, deadline) {
        let from = seen.len().saturating_sub(needle.len());
        seen.extend_from_slice(&piece?);
        if needle.is_empty() || seen[from..].windows(needle.len()).any(|window| window == needle) {
            return Ok(seen.freeze());
        }
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "stream ended before the awaited text"))
}

/// Iterates over what arrives at `fd`, until the stream ends.
pub fn iter_read(fd: BorrowedFd<'_>, deadline: Option<Instant>) -> IterRead<'_> {
    IterRead { fd, deadline, done: false }
}

/// The iterator of [`iter_read`]. After an error (`TimedOut` at the deadline) it is at its end.
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
                    // The end of a pty, and of a connection whose peer died.
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
/// `TimedOut` at the deadline, or what writing reports (`BrokenPipe` when the reader is gone).
pub fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8], deadline: Option<Instant>) -> io::Result<()> {
    while !bytes.is_empty() {
        wait_ready(fd, libc::POLLOUT, deadline)?;
        // A pipe that can take one byte may block on more if it is a blocking one; PIPE_BUF bytes
        // always fit when it is reported writable.
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
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match poll_fds(&mut fds, left) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
}
