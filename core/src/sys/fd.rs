//! Descriptor flags and simple operations on descriptors.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use bytes::{BufMut, BytesMut};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::libc;
use nix::sys::socket::{MsgFlags, SockaddrStorage, sendmsg, setsockopt, sockopt};

/// Sets or clears the close-on-exec flag.
///
/// # Errors
/// The error of `fcntl`.
pub fn set_cloexec(fd: impl AsFd, on: bool) -> io::Result<()> {
    let flags = FdFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFD)?);
    let wanted = if on { flags | FdFlag::FD_CLOEXEC } else { flags - FdFlag::FD_CLOEXEC };
    if wanted != flags {
        fcntl(&fd, FcntlArg::F_SETFD(wanted))?;
    }
    Ok(())
}

/// Makes the descriptor non-blocking. The flag belongs to the open file description, so duplicates of the
/// descriptor change as well.
///
/// # Errors
/// The error of `fcntl`.
pub fn set_nonblock(fd: impl AsFd) -> io::Result<()> {
    change_status(fd.as_fd(), |flags| flags | OFlag::O_NONBLOCK)
}

/// Makes the descriptor blocking, the opposite of [`set_nonblock`].
///
/// # Errors
/// The error of `fcntl`.
pub fn set_block(fd: impl AsFd) -> io::Result<()> {
    change_status(fd.as_fd(), |flags| flags - OFlag::O_NONBLOCK)
}

fn change_status(fd: BorrowedFd<'_>, change: impl FnOnce(OFlag) -> OFlag) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    let wanted = change(flags);
    if wanted != flags {
        fcntl(fd, FcntlArg::F_SETFL(wanted))?;
    }
    Ok(())
}

/// Creates a connected pair of stream sockets. Both are close-on-exec and blocking, and have buffers of 128 KiB where
/// the system allows it: with the default of some systems (8 KiB), every few frames would cost a process switch.
///
/// # Errors
/// The error of `socketpair`, such as `EMFILE`.
pub fn create_socketpair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (a, b) = UnixStream::pair()?;
    for end in [&a, &b] {
        // Best effort: a smaller buffer is only slower.
        let _ = setsockopt(end, sockopt::SndBuf, &SOCKET_BUFFER);
        let _ = setsockopt(end, sockopt::RcvBuf, &SOCKET_BUFFER);
    }
    Ok((a.into(), b.into()))
}

const SOCKET_BUFFER: usize = 131_072;

/// Whether `fd` is a socket; `false` if that cannot be determined.
pub fn is_socket(fd: impl AsFd) -> bool {
    is_of_type(fd, libc::S_IFSOCK)
}

/// Whether `fd` is an end of a pipe; `false` if that cannot be determined.
pub(crate) fn is_pipe(fd: impl AsFd) -> bool {
    is_of_type(fd, libc::S_IFIFO)
}

/// Whether `fd` is a regular file; `false` if that cannot be determined.
pub(crate) fn is_regular_file(fd: impl AsFd) -> bool {
    is_of_type(fd, libc::S_IFREG)
}

fn is_of_type(fd: impl AsFd, kind: libc::mode_t) -> bool {
    nix::sys::stat::fstat(fd).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == kind)
}

/// Closes every descriptor above the three standard ones.
///
/// # Safety
/// No code in this process may own such a descriptor, or the owners must never be used or dropped. This is meant for
/// a process that was just forked, before it starts a thread.
///
/// # Errors
/// The error of listing the open descriptors, where they cannot be closed by range.
pub unsafe fn close_nonstandard_fds() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: close_range(2) takes plain numbers; the caller guarantees that no owner uses them.
        let done = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
        if done == 0 {
            return Ok(());
        }
    }
    for fd in open_fds()?.into_iter().filter(|&fd| fd > 2) {
        // SAFETY: close(2) on a number. The descriptor of the listing itself is already closed and gives EBADF,
        // which is ignored. The caller guarantees that no owner uses the others.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

/// The numbers of all open descriptors of this process.
pub(super) fn open_fds() -> io::Result<Vec<RawFd>> {
    let mut fds = Vec::new();
    for entry in std::fs::read_dir("/dev/fd")? {
        if let Some(fd) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
            fds.push(fd);
        }
    }
    Ok(fds)
}

/// Moves a descriptor above the three standard numbers, which the child replaces.
pub(super) fn above_stdio(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    let high = fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(3))?;
    // SAFETY: fcntl(F_DUPFD_CLOEXEC) has just created this descriptor, so it has no other owner.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(high) })
}

/// Reads once into the spare capacity of `buf`, at most `limit` bytes, without clearing it first.
pub(crate) fn read_spare(fd: BorrowedFd<'_>, buf: &mut BytesMut, limit: usize) -> io::Result<usize> {
    let spare = buf.spare_capacity_mut();
    let len = spare.len().min(limit);
    // SAFETY: the pointer and length describe spare capacity owned by `buf`, which read(2) may fill.
    let got = unsafe { libc::read(fd.as_raw_fd(), spare.as_mut_ptr().cast(), len) };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: read(2) has initialised the first `got` bytes of the spare capacity, and got <= len.
    unsafe { buf.advance_mut(got) };
    Ok(got)
}

/// Calls `sendmsg` without blocking and without raising SIGPIPE.
pub(crate) fn send_vectored(fd: BorrowedFd<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    Ok(sendmsg::<SockaddrStorage>(fd.as_raw_fd(), slices, &[], SEND_FLAGS, None)?)
}

#[cfg(any(target_os = "macos", target_os = "ios"))]
const SEND_FLAGS: MsgFlags = MsgFlags::MSG_DONTWAIT; // SIGPIPE is disabled per socket on these systems
#[cfg(not(any(target_os = "macos", target_os = "ios")))]
const SEND_FLAGS: MsgFlags = MsgFlags::MSG_DONTWAIT.union(MsgFlags::MSG_NOSIGNAL);

/// Disables SIGPIPE for a socket on systems where that is a socket option. On other systems it is a flag of each
/// send.
pub(crate) fn suppress_sigpipe(fd: BorrowedFd<'_>) {
    #[cfg(any(target_os = "macos", target_os = "ios"))]
    {
        let on: libc::c_int = 1;
        let len = size_of_val(&on) as libc::socklen_t;
        // SAFETY: the option value is an int that outlives the call, and its size is passed.
        unsafe {
            libc::setsockopt(
                fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_NOSIGPIPE,
                (&raw const on).cast(),
                len,
            )
        };
    }
    #[cfg(not(any(target_os = "macos", target_os = "ios")))]
    let _ = fd;
}

#[cfg(test)]
mod tests {
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, fork};

    use super::*;

    #[test]
    fn close_nonstandard_fds_keeps_the_standard_descriptors() {
        let (one, two) = create_socketpair().unwrap();
        // SAFETY: the child makes only system calls, and ends by _exit.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                // SAFETY: this child neither uses nor drops a descriptor any more.
                let closed = unsafe { close_nonstandard_fds() }.is_ok();
                // SAFETY: fcntl(2) with numbers.
                let is_closed = |fd: &OwnedFd| unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) } == -1;
                // SAFETY: as above.
                let kept = unsafe { libc::fcntl(2, libc::F_GETFD) } != -1;
                let success = closed && is_closed(&one) && is_closed(&two) && kept;
                // SAFETY: _exit(2) runs no destructors.
                unsafe { libc::_exit(i32::from(!success)) }
            }
            ForkResult::Parent { child } => {
                assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
            }
        }
    }

    #[test]
    fn above_stdio_keeps_a_descriptor_that_is_already_above() {
        let (fd, _other) = create_socketpair().unwrap();
        let number = fd.as_raw_fd();
        assert_eq!(above_stdio(fd).unwrap().as_raw_fd(), number);
    }
}
