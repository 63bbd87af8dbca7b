//! One direction of a stream, over a descriptor or over something in this process.

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use bytes::BytesMut;

use super::{CHUNK_SIZE, Residual, io_op};
use crate::sys;

/// One direction of a stream. Reads and writes never block: `WouldBlock` is an error that says so.
pub trait Side: Send + fmt::Debug {
    /// What a poller watches; `None` after [`close`](Self::close).
    fn fd(&self) -> Option<BorrowedFd<'_>>;

    /// Reads once. 0 means that the other side is gone, however the system says it.
    ///
    /// # Errors
    /// `WouldBlock`, or what the system reports.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// Reads once and appends to `buf`, which is grown as needed; at most
    /// [`CHUNK_SIZE`] bytes. 0 means that the other side is gone.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn read_buf(&mut self, buf: &mut BytesMut) -> io::Result<usize> {
        let old = buf.len();
        buf.resize(old + CHUNK_SIZE, 0);
        let got = self.read(&mut buf[old..]);
        buf.truncate(old + *got.as_ref().unwrap_or(&0));
        got
    }

    /// What the last read has left to be read.
    fn residual(&self) -> Residual {
        Residual::Unknown
    }

    /// Writes as much as fits. `None` means that the other side is gone.
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits, or what the system reports.
    fn write(&mut self, buf: &[u8]) -> io::Result<Option<usize>>;

    /// [`write`](Self::write) for several pieces in one system call.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        match bufs.iter().find(|buf| !buf.is_empty()) {
            Some(buf) => self.write(buf),
            None => Ok(Some(0)),
        }
    }

    /// Gives the descriptor up. Deregister it first.
    fn close(&mut self);

    /// Whether the shutdown of the loop waits for this side.
    fn keep_alive(&self) -> bool {
        true
    }
}

/// A [`Side`] over a descriptor. Two sides of one socket share it: it is closed with the last one.
#[derive(Debug)]
pub struct FdSide {
    fd: Option<Arc<OwnedFd>>,
    socket: bool,
    /// Whether less than was asked for means that there is no more. It does for sockets and pipes;
    /// a terminal hands out what it has in portions.
    short_is_all: bool,
    residual: Residual,
    keep_alive: bool,
    /// How much to ask for, in bytes: doubled when a read fills it, halved when reads stay far below.
    read_size: usize,
    small_reads: u8,
}

/// A stream of small messages gets by with this much buffer, in bytes.
const MIN_READ_SIZE: usize = 8_192;
/// So many small reads in a row make the buffer shrink.
const SHRINK_AFTER: u8 = 32;

impl FdSide {
    /// Takes over `fd` and makes it non-blocking.
    ///
    /// # Errors
    /// What `fcntl` reports.
    pub fn new(fd: impl Into<OwnedFd>) -> io::Result<Self> {
        Self::from_arc(Arc::new(fd.into()))
    }

    /// The same for a descriptor that others hold too.
    ///
    /// # Errors
    /// What `fcntl` reports.
    pub fn from_arc(fd: Arc<OwnedFd>) -> io::Result<Self> {
        sys::set_nonblock(&fd)?;
        let socket = sys::is_socket(&fd);
        if socket {
            sys::suppress_sigpipe(fd.as_fd());
        }
        let short_is_all = socket || sys::is_pipe(&fd);
        let fd = Some(fd);
        let (residual, keep_alive, read_size) = (Residual::Unknown, true, MIN_READ_SIZE);
        Ok(Self { fd, socket, short_is_all, residual, keep_alive, read_size, small_reads: 0 })
    }

    /// Two sides of one descriptor, such as a socket.
    ///
    /// # Errors
    /// What `fcntl` reports.
    pub fn pair(fd: impl Into<OwnedFd>) -> io::Result<(Self, Self)> {
        let one = Self::new(fd)?;
        let other = one.share();
        Ok((one, other))
    }

    /// Another side of the same descriptor (not a duplicate of it: no system call, and one
    /// registration for both).
    pub fn share(&self) -> Self {
        let (residual, read_size) = (Residual::Unknown, MIN_READ_SIZE);
        Self { fd: self.fd.clone(), residual, read_size, small_reads: 0, ..*self }
    }

    /// Says whether the shutdown of the loop waits for this side.
    #[must_use]
    pub fn with_keep_alive(mut self, keep_alive: bool) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    fn open(&self) -> io::Result<BorrowedFd<'_>> {
        // Reading or writing a closed side is like doing so with a peer that is gone.
        self.fd.as_ref().map(|fd| fd.as_fd()).ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    /// What a read of at most `offered` bytes says of those that are left.
    fn note_residual(&mut self, read: &io::Result<Option<usize>>, offered: usize) {
        self.residual = match read {
            Ok(Some(got)) if *got == offered => Residual::Ready,
            Ok(Some(_)) if self.short_is_all => Residual::Drained,
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => Residual::Drained,
            _ => Residual::Unknown,
        };
    }

    fn adjust_read_size(&mut self, got: usize, offered: usize) {
        if got == offered {
            self.read_size = (self.read_size * 2).min(CHUNK_SIZE);
            self.small_reads = 0;
        } else if got < self.read_size / 4 && self.read_size > MIN_READ_SIZE {
            self.small_reads += 1;
            if self.small_reads == SHRINK_AFTER {
                self.read_size /= 2;
                self.small_reads = 0;
            }
        } else {
            self.small_reads = 0;
        }
    }
}

impl Side for FdSide {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(|fd| fd.as_fd())
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let got = io_op(|| Ok(nix::unistd::read(self.open()?, buf)?));
        self.note_residual(&got, buf.len());
        Ok(got?.unwrap_or(0))
    }

    fn read_buf(&mut self, buf: &mut BytesMut) -> io::Result<usize> {
        let spare = buf.capacity() - buf.len();
        if spare < self.read_size / 2 {
            buf.reserve(self.read_size);
        }
        let offered = (buf.capacity() - buf.len()).min(CHUNK_SIZE);
        let got = io_op(|| sys::read_spare(self.open()?, buf, CHUNK_SIZE));
        self.note_residual(&got, offered);
        let got = got?.unwrap_or(0);
        self.adjust_read_size(got, offered);
        Ok(got)
    }

    fn residual(&self) -> Residual {
        self.residual
    }

    fn write(&mut self, buf: &[u8]) -> io::Result<Option<usize>> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        io_op(|| {
            let fd = self.open()?;
            if self.socket {
                return sys::send_vectored(fd, bufs);
            }
            Ok(match bufs {
                [one] => nix::unistd::write(fd, one)?,
                several => nix::sys::uio::writev(fd, several)?,
            })
        })
    }

    fn close(&mut self) {
        self.fd = None;
    }

    fn keep_alive(&self) -> bool {
        self.keep_alive
    }
}

/// The two sides of a started program's link: of one descriptor when `transmit` is `None`.
///
/// # Errors
/// What `fcntl` reports.
pub fn sides(receive: OwnedFd, transmit: Option<OwnedFd>) -> io::Result<(FdSide, FdSide)> {
    match transmit {
        None => FdSide::pair(receive),
        Some(transmit) => Ok((FdSide::new(receive)?, FdSide::new(transmit)?)),
    }
}
