//! One place that decides which errors mean "try again" and which mean "gone".

use std::io;

use nix::errno::Errno;

/// Runs a read or write until it is not interrupted, and maps the errors that only say that the
/// other side is gone: `Ok(None)`. They are ECONNRESET and EPIPE, ENOTCONN (a socket half-closed by
/// us), and EIO, which is how a pty says that nobody has its other end open.
///
/// # Errors
/// All other errors, `WouldBlock` among them.
pub fn io_op<T>(mut op: impl FnMut() -> io::Result<T>) -> io::Result<Option<T>> {
    loop {
        match op() {
            Ok(value) => return Ok(Some(value)),
            Err(err) => match err.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EINTR) => {}
                Some(Errno::ECONNRESET | Errno::EPIPE | Errno::ENOTCONN | Errno::EIO) => return Ok(None),
                _ if matches!(
                    err.kind(),
                    io::ErrorKind::BrokenPipe
                        | io::ErrorKind::ConnectionReset
                        | io::ErrorKind::ConnectionAborted
                ) =>
                {
                    return Ok(None);
                }
                _ => return Err(err),
            },
        }
    }
}
