//! `poll(2)`, with raw descriptor numbers as keys.

use std::io;
use std::time::Duration;

use nix::libc;

/// The kernel's record. A number that is not open gives `POLLNVAL`, so this is safe.
pub(crate) type PollFd = libc::pollfd;

/// Waits until one of `fds` is ready or the timeout has passed (`None`: no timeout). Returns the number of ready
/// descriptors.
pub(crate) fn poll_fds(fds: &mut [PollFd], timeout: Option<Duration>) -> io::Result<usize> {
    let count = libc::nfds_t::try_from(fds.len()).map_err(io::Error::other)?;
    // SAFETY: the pointer and length describe `fds`, whose `revents` the kernel may fill.
    let got = unsafe { libc::poll(fds.as_mut_ptr(), count, millis(timeout)) };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

/// The timeout in milliseconds, rounded up so that the wait does not end before its deadline.
fn millis(timeout: Option<Duration>) -> libc::c_int {
    timeout.map_or(-1, |timeout| {
        let rounded = timeout.as_nanos().div_ceil(1_000_000);
        libc::c_int::try_from(rounded).unwrap_or(libc::c_int::MAX)
    })
}
