//! Flags and small operations on descriptors.

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
/// What `fcntl` reports.
pub fn set_cloexec(fd: impl AsFd, on: bool) -> io::Result<()> {
    let flags = FdFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFD)?);
    let wanted = if on { flags | FdFlag::FD_CLOEXEC } else { flags - FdFlag::FD_CLOEXEC };
    if wanted != flags {
        fcntl(&fd, FcntlArg::F_SETFD(wanted))?;
    }
    Ok(())
}

/// Makes the descriptor non-blocking. The flag belongs to the open file description: every
/// duplicate of it changes too.
///
/// # Errors
/// What `fcntl` reports.
pub fn set_nonblock(fd: impl AsFd) -> io::Result<()> {
    change_status(fd.as_fd(), |flags| flags | OFlag::O_NONBLOCK)
}

/// Makes the descriptor blocking, the opposite of [`set_nonblock`].
///
/// # Errors
/// What `fcntl` reports.
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

/// A connected pair of stream sockets, both close-on-exec and blocking, with their buffers raised
/// to 128 KiB where the system lets us: the default of some systems (8 KiB) would cost a switch
/// between processes every few frames.
///
/// # Errors
/// What `socketpair` reports, such as a full descriptor table.
pub fn create_socketpair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (a, b) = UnixStream::pair()?;
    for end in [&a, &b] {
        // Only a hint: a smaller buffer is slower but right.
        let _ = setsockopt(end, sockopt::SndBuf, &SOCKET_BUFFER);
        let _ = setsockopt(end, sockopt::RcvBuf, &SOCKET_BUFFER);
    }
    Ok((a.into(), b.into()))
}

const SOCKET_BUFFER: usize = 131_072;

/// Whether `fd` is a socket; `false` when it cannot be told.
pub fn is_socket(fd: impl AsFd) -> bool {
    is_of_type(fd, libc::S_IFSOCK)
}

/// Whether `fd` is an end of a pipe; `false` when it cannot be told.
pub(crate) fn is_pipe(fd: impl AsFd) -> bool {
    is_of_type(fd, libc::S_IFIFO)
}

/// Whether `fd` is a regular file; `false` when it cannot be told.
pub(crate) fn is_regular_file(fd: impl AsFd) -> bool {
    is_of_type(fd, libc::S_IFREG)
}

fn is_of_type(fd: impl AsFd, kind: libc::mode_t) -> bool {
    nix::sys::stat::fstat(fd).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == kind)
}

/// Closes every descriptor above the three standard ones.
///
/// # Safety
/// The caller must know that nothing in this process owns such a descriptor any more, or that all
/// owners will never be used or dropped: this is for a process that has just been forked or is
/// being taken over, before any thread is started.
///
/// # Errors
/// When the open descriptors can neither be closed by range nor listed.
pub unsafe fn close_nonstandard_fds() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: close_range(2) takes plain numbers; that no owner is hurt is this function's contract.
        let done = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
        if done == 0 {
            return Ok(());
        }
    }
    for fd in open_fds()?.into_iter().filter(|&fd| fd > 2) {
        // SAFETY: close(2) on a number; the descriptor of the listing itself is closed already and
        // gives EBADF, which is what we want. That no owner is hurt is this function's contract.
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

/// Moves a descriptor above the three standard numbers, which a child is about to fill.
pub(super) fn above_stdio(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    let high = fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(3))?;
    // SAFETY: fcntl(F_DUPFD_CLOEXEC) has just returned this number to us alone.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(high) })
}

/// Reads once into the spare capacity of `buf`, at most `limit` bytes, without clearing it first.
pub(crate) fn read_spare(fd: BorrowedFd<'_>, buf: &mut BytesMut, limit: usize) -> io::Result<usize> {
    let spare = buf.spare_capacity_mut();
    let room = spare.len().min(limit);
    // SAFETY: the pointer and length describe spare capacity owned by `buf`, which read(2) may fill.
    let got = unsafe { libc::read(fd.as_raw_fd(), spare.as_mut_ptr().cast(), room) };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: read(2) has initialised the first `got` bytes of the spare capacity, and got <= room.
    unsafe { buf.advance_mut(got) };
    Ok(got)
}

/// One `sendmsg` that never blocks and never raises SIGPIPE.
pub(crate) fn send_vectored(fd: BorrowedFd<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    Ok(sendmsg::<SockaddrStorage>(fd.as_raw_fd(), slices, &[], SEND_FLAGS, None)?)
}

#[cfg(any(target_os = "macos", target_os = "ios"))]
const SEND_FLAGS: MsgFlags = MsgFlags::MSG_DONTWAIT; // SIGPIPE is turned off per socket there
#[cfg(not(any(target_os = "macos", target_os = "ios")))]
const SEND_FLAGS: MsgFlags = MsgFlags::MSG_DONTWAIT.union(MsgFlags::MSG_NOSIGNAL);

/// Turns SIGPIPE off for a socket where that is a property of the socket; elsewhere it is a flag
/// of each send.
pub(crate) fn suppress_sigpipe(fd: BorrowedFd<'_>) {
    #[cfg(any(target_os = "macos", target_os = "ios"))]
    {
        let on: libc::c_int = 1;
        let len = size_of_val(&on) as libc::socklen_t;
        // SAFETY: the option value is an int that lives across the call, and its size is given.
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
    fn all_but_the_standard_descriptors_are_closed() {
        let (one, two) = create_socketpair().unwrap();
        // SAFETY: the child makes only system calls, and ends by _exit.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                // SAFETY: nothing in this child uses or drops a descriptor any more.
                let closed = unsafe { close_nonstandard_fds() }.is_ok();
                // SAFETY: fcntl(2) with numbers.
                let gone = |fd: &OwnedFd| unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) } == -1;
                // SAFETY: as above.
                let kept = unsafe { libc::fcntl(2, libc::F_GETFD) } != -1;
                let right = closed && gone(&one) && gone(&two) && kept;
                // SAFETY: _exit(2) runs no destructors.
                unsafe { libc::_exit(i32::from(!right)) }
            }
            ForkResult::Parent { child } => {
                assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
            }
        }
    }

    #[test]
    fn a_descriptor_is_moved_above_the_standard_ones_only_if_it_is_one() {
        let (fd, _other) = create_socketpair().unwrap();
        let number = fd.as_raw_fd();
        assert_eq!(above_stdio(fd).unwrap().as_raw_fd(), number);
    }
}
