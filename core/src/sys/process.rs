//! Waiting for child processes, and sending signals to them.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{Uid, User};

/// How a process ended. Both fields are `None` if other code reaped it, so that its status is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExitStatus {
    /// The exit code, if it exited.
    pub code: Option<i32>,
    /// The number of the signal that killed it.
    pub signal: Option<i32>,
}

impl ExitStatus {
    /// Whether it exited with code 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exited with code {code}"),
            (None, Some(signal)) => match nix::sys::signal::Signal::try_from(signal) {
                Ok(known) => write!(f, "killed by {}", known.as_str()),
                Err(_) => write!(f, "killed by signal {signal}"),
            },
            (None, None) => f.write_str("ended with unknown status"),
        }
    }
}

/// Reaps the child `pid` if it has ended; `None` while it is running. A process that is not a child, or that other
/// code has reaped, counts as ended with unknown status.
///
/// # Errors
/// Other errors of `waitpid`.
pub fn wait_nohang(pid: i32) -> io::Result<Option<ExitStatus>> {
    loop {
        let mut raw = 0;
        // SAFETY: `raw` outlives the call. (nix does not support the real-time signals that may have
        // killed the child.)
        match unsafe { libc::waitpid(pid, &raw mut raw, libc::WNOHANG) } {
            0 => return Ok(None),
            -1 => match Errno::last() {
                Errno::EINTR => {}
                Errno::ECHILD => return Ok(Some(ExitStatus::default())),
                errno => return Err(errno.into()),
            },
            _ => return Ok(decode(raw)),
        }
    }
}

/// Decodes a wait status; `None` for a child that was only stopped.
fn decode(raw: i32) -> Option<ExitStatus> {
    if libc::WIFEXITED(raw) {
        Some(ExitStatus { code: Some(libc::WEXITSTATUS(raw)), signal: None })
    } else if libc::WIFSIGNALED(raw) {
        Some(ExitStatus { code: None, signal: Some(libc::WTERMSIG(raw)) })
    } else {
        None
    }
}

/// Sends a signal to a process. Only call it for a child that has not been reaped: until then its id is not
/// reused.
///
/// # Errors
/// `ESRCH` when the process does not exist, `EPERM` when it belongs to another user (a setuid program), `EINVAL`
/// for an id that is not positive.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    if pid <= 0 {
        return Err(Errno::EINVAL.into());
    }
    send(pid, signal)
}

/// Sends a signal to all processes of the group that `pid` leads: a program that [`spawn`](super::spawn) has
/// started, and the processes that it has started, except those that have left the group. As with [`kill`], only
/// call it for a child that has not been reaped.
///
/// # Errors
/// `ESRCH` when the group does not exist, `EPERM` when all of its processes belong to other users, `EINVAL` for an
/// id of 1 or less.
pub fn kill_group(pid: i32, signal: i32) -> io::Result<()> {
    // -1 would signal every process, and 0 this process's own group.
    if pid <= 1 {
        return Err(Errno::EINVAL.into());
    }
    send(-pid, signal)
}

fn send(target: i32, signal: i32) -> io::Result<()> {
    // SAFETY: kill(2) takes no pointers.
    let done = unsafe { libc::kill(target, signal) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Opens a descriptor that becomes readable when `pid` ends; close-on-exec. `None` where the kernel does not
/// support it (before Linux 5.3, other systems, some sandboxes).
pub fn pidfd_open(pid: i32) -> Option<OwnedFd> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // SAFETY: pidfd_open(2) takes no pointers.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let fd = i32::try_from(fd).ok().filter(|&fd| fd >= 0)?;
        // SAFETY: the kernel has just created this descriptor, so it has no other owner.
        Some(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) })
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = pid;
        None
    }
}

/// The login name of the user that this process runs as (its effective user id); `None` when the user database
/// has no entry, as in many containers.
///
/// # Errors
/// The error of the user database.
pub(crate) fn current_user_name() -> io::Result<Option<String>> {
    Ok(User::from_uid(Uid::effective())?.map(|user| user.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_user_has_a_name() {
        let user = User::from_uid(Uid::effective()).unwrap();
        assert_eq!(current_user_name().unwrap(), user.map(|user| user.name));
    }
}
