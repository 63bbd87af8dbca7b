//! Classifies I/O errors: which mean "retry" and which mean "disconnected".

use std::io;

use nix::errno::Errno;

/// Runs a read or write, retries it after `EINTR`, and returns `Ok(None)` for the errors that mean that
/// the peer has disconnected: `ECONNRESET`, `EPIPE`, `ENOTCONN` (a socket that this process half-closed)
/// and `EIO` (a pty whose other end is not open in any process).
///
/// # Errors
/// All other errors, including `WouldBlock`.
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
