//! One direction of a stream: [`Side`], and its implementation over a descriptor, [`FdSide`].

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use bytes::BytesMut;

use super::op::io_op;
use super::poller::Residual;
use super::touch::Touch;
use crate::sys;

/// The most that one read takes, in bytes (128 KiB). It bounds how long one ready stream can delay the
/// others.
pub const CHUNK_SIZE: usize = 131_072;

/// One direction of a stream. Reads and writes never block; they fail with `WouldBlock` instead.
pub trait Side: Send + fmt::Debug {
    /// The descriptor that a poller watches; `None` after [`close`](Self::close), and for a side without
    /// a descriptor, which must be touched whenever it can be read or written: see [`bind`](Self::bind).
    fn fd(&self) -> Option<BorrowedFd<'_>>;

    /// Reads once. Returns 0 when the peer has disconnected, whether the system reports that as end of
    /// file or as an error.
    ///
    /// # Errors
    /// `WouldBlock`, or the error of the system call.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// Reads once, at most [`CHUNK_SIZE`] bytes, and appends them to `buf`, which grows as needed.
    /// Returns 0 when the peer has disconnected.
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

    /// What the last read left unread in the kernel.
    fn residual(&self) -> Residual {
        Residual::Unknown
    }

    /// Writes as much as the kernel accepts and returns the number of bytes. `None` means that the peer
    /// has disconnected.
    ///
    /// # Errors
    /// `WouldBlock` when the kernel accepts nothing, or the error of the system call.
    fn write(&mut self, buf: &[u8]) -> io::Result<Option<usize>>;

    /// Writes several buffers with one system call. The default implementation writes the first one
    /// that is not empty.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        match bufs.iter().find(|buf| !buf.is_empty()) {
            Some(buf) => self.write(buf),
            None => Ok(Some(0)),
        }
    }

    /// Closes the descriptor. It must be deregistered first.
    fn close(&mut self);

    /// The descriptor of [`fd`](Self::fd) with shared ownership, for a stream that watches a side that its
    /// [`Writer`](super::Writer) owns. The default implementation duplicates it.
    fn shared_fd(&self) -> Option<Arc<OwnedFd>> {
        self.fd()?.try_clone_to_owned().ok().map(Arc::new)
    }

    /// Takes the handle with which the side wakes its stream when data or space becomes available that the
    /// descriptor does not show. Called before the stream is registered. The default implementation
    /// ignores it.
    fn bind(&mut self, touch: &Touch) {
        let _ = touch;
    }

    /// Whether the broker's shutdown waits until this side is disconnected.
    fn keep_alive(&self) -> bool {
        true
    }
}

/// A [`Side`] over a descriptor. The two sides of one socket share it; it is closed with the last one.
#[derive(Debug)]
pub struct FdSide {
    fd: Option<Arc<OwnedFd>>,
    socket: bool,
    /// Whether a short read means that no data is left. True for sockets and pipes; a terminal returns
    /// its data line by line.
    short_read_drains: bool,
    residual: Residual,
    keep_alive: bool,
    /// Bytes to request: doubled when a read fills the buffer, halved after many small reads.
    read_size: usize,
    small_reads: u8,
}

/// The smallest read buffer, in bytes; enough for a stream of small messages.
const MIN_READ_SIZE: usize = 8_192;
/// The number of consecutive small reads after which the buffer shrinks.
const SHRINK_AFTER: u8 = 32;

impl FdSide {
    /// Takes ownership of `fd` and makes it non-blocking.
    ///
    /// # Errors
    /// The error of `fcntl`.
    pub fn new(fd: impl Into<OwnedFd>) -> io::Result<Self> {
        Self::from_arc(Arc::new(fd.into()))
    }

    /// Like [`new`](Self::new), for a descriptor that other owners share.
    ///
    /// # Errors
    /// The error of `fcntl`.
    pub fn from_arc(fd: Arc<OwnedFd>) -> io::Result<Self> {
        sys::set_nonblock(&fd)?;
        let socket = sys::is_socket(&fd);
        if socket {
            sys::suppress_sigpipe(fd.as_fd());
        }
        let short_read_drains = socket || sys::is_pipe(&fd);
        let fd = Some(fd);
        let (residual, keep_alive, read_size) = (Residual::Unknown, true, MIN_READ_SIZE);
        Ok(Self { fd, socket, short_read_drains, residual, keep_alive, read_size, small_reads: 0 })
    }

    /// Creates the two sides of one bidirectional descriptor, such as a socket.
    ///
    /// # Errors
    /// The error of `fcntl`.
    pub fn pair(fd: impl Into<OwnedFd>) -> io::Result<(Self, Self)> {
        let one = Self::new(fd)?;
        let other = one.share();
        Ok((one, other))
    }

    /// Creates another side of the same descriptor. The descriptor is shared, not duplicated: both sides
    /// have one registration.
    pub fn share(&self) -> Self {
        let (residual, read_size) = (Residual::Unknown, MIN_READ_SIZE);
        Self { fd: self.fd.clone(), residual, read_size, small_reads: 0, ..*self }
    }

    /// Sets whether the broker's shutdown waits until this side is disconnected (default: true).
    #[must_use]
    pub fn with_keep_alive(mut self, keep_alive: bool) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    fn open(&self) -> io::Result<BorrowedFd<'_>> {
        // A closed side behaves like one whose peer has disconnected.
        self.fd.as_ref().map(|fd| fd.as_fd()).ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    /// Derives the residual state from the result of a read of at most `offered` bytes.
    fn note_residual(&mut self, read: &io::Result<Option<usize>>, offered: usize) {
        self.residual = match read {
            Ok(Some(got)) if *got == offered => Residual::Ready,
            Ok(Some(_)) if self.short_read_drains => Residual::Drained,
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

    fn shared_fd(&self) -> Option<Arc<OwnedFd>> {
        self.fd.clone()
    }

    fn keep_alive(&self) -> bool {
        self.keep_alive
    }
}

/// Creates the receiving and the transmitting side of a child's link. `transmit` is `None` when one
/// descriptor carries both directions.
///
/// # Errors
/// The error of `fcntl`.
pub fn sides(receive: OwnedFd, transmit: Option<OwnedFd>) -> io::Result<(FdSide, FdSide)> {
    match transmit {
        None => FdSide::pair(receive),
        Some(transmit) => Ok((FdSide::new(receive)?, FdSide::new(transmit)?)),
    }
}
