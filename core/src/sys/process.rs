//! Ends of child processes.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::libc;

/// How a process ended. Neither field is set when somebody else reaped it, so that nobody can know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExitStatus {
    /// The exit code, when it ended by itself.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
}

impl ExitStatus {
    /// Whether it ended by itself with code 0.
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
            (None, None) => f.write_str("ended in an unknown way"),
        }
    }
}

/// Reaps the child `pid` if it has ended; `None` while it runs. A child that is not ours, or that
/// somebody else reaped, counts as ended in an unknown way.
///
/// # Errors
/// What `waitpid` reports otherwise.
pub fn wait_nohang(pid: i32) -> io::Result<Option<ExitStatus>> {
    loop {
        let mut raw = 0;
        // SAFETY: `raw` outlives the call. (nix cannot name the real-time signals that may have
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

/// `None` for a child that was only stopped.
fn decode(raw: i32) -> Option<ExitStatus> {
    if libc::WIFEXITED(raw) {
        Some(ExitStatus { code: Some(libc::WEXITSTATUS(raw)), signal: None })
    } else if libc::WIFSIGNALED(raw) {
        Some(ExitStatus { code: None, signal: Some(libc::WTERMSIG(raw)) })
    } else {
        None
    }
}

/// Sends a signal to a process. Only call it for a child that has not been reaped: until then its
/// number cannot be given to another.
///
/// # Errors
/// `ESRCH` when there is none, `EPERM` when it is not ours (a setuid tool), `EINVAL` for a number
/// that does not name one process.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    if pid <= 0 {
        return Err(Errno::EINVAL.into());
    }
    send(pid, signal)
}

/// Sends a signal to all processes of the group that `pid` leads: a program that
/// [`spawn`](super::spawn) has started, and what it has started in turn, except what has moved to a
/// group of its own. Only call it for a child that has not been reaped, as [`kill`].
///
/// # Errors
/// `ESRCH` when there is no such group, `EPERM` when none of its processes is ours, `EINVAL` for a
/// number that no child of ours can have.
pub fn kill_group(pid: i32, signal: i32) -> io::Result<()> {
    // -1 would be everybody, and 0 our own group.
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

/// A descriptor that becomes readable when `pid` ends; `None` where the kernel has no such thing
/// (before Linux 5.3, other systems, some sandboxes). It is close-on-exec.
pub fn pidfd_open(pid: i32) -> Option<OwnedFd> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // SAFETY: pidfd_open(2) takes no pointers.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let fd = i32::try_from(fd).ok().filter(|&fd| fd >= 0)?;
        // SAFETY: the kernel has just returned this descriptor to us alone; it is close-on-exec.
        Some(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) })
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = pid;
        None
    }
}
