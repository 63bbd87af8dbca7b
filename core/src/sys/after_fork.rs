//! What runs in a new process between `fork` and `exec`.
//!
//! The process has one thread, a copy of the memory, and possibly locks held by threads that do not
//! exist any more; or it has no copy but the memory itself, in which those threads go on. So: no
//! allocation, no locks, no panics, only async-signal-safe calls, and nothing written but locals. All
//! data was prepared before the fork.

use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, rlim_t, setrlimit};

/// What the child needs; the pointers point into vectors that the parent holds across the fork.
pub(super) struct ChildSide<'a> {
    /// Standard input, output and error; each number is above 2.
    pub(super) stdio: [RawFd; 3],
    /// Whether standard error is a terminal that shall control the child's session.
    pub(super) controlling_tty: bool,
    /// Null-terminated.
    pub(super) argv: &'a [*const libc::c_char],
    /// Null-terminated.
    pub(super) envp: &'a [*const libc::c_char],
    /// Paths of the program to try, in order.
    pub(super) programs: &'a [*const libc::c_char],
    /// Where a failure is reported; close-on-exec.
    pub(super) report: RawFd,
    /// No descriptor above this number is open, as far as the parent could tell.
    pub(super) highest_fd: RawFd,
    /// Limits to give back.
    pub(super) nofile: Option<(rlim_t, rlim_t)>,
}

/// The part of the work that a reported failure belongs to.
pub(super) const IN_SETUP: u8 = 0;
pub(super) const IN_EXEC: u8 = 1;

/// Turns the forked process into the program, or reports why not and ends it.
///
/// # Safety
/// Call it only in a freshly forked child, with all signals blocked, and with pointer lists that
/// end in null and point to C strings.
pub(super) unsafe fn become_program(child: &ChildSide<'_>) -> ! {
    let (stage, errno) = match set_up(child) {
        // SAFETY: the caller vouches for the pointer lists.
        Ok(()) => (IN_EXEC, unsafe { exec_first(child) }),
        Err(errno) => (IN_SETUP, errno),
    };
    let mut message = [0; 5];
    message[0] = stage;
    message[1..].copy_from_slice(&(errno as i32).to_ne_bytes());
    // SAFETY: write(2) of a local array; five bytes into an empty pipe are written whole.
    unsafe { libc::write(child.report, message.as_ptr().cast(), message.len()) };
    // SAFETY: _exit(2) runs no handlers of the parent's.
    unsafe { libc::_exit(127) }
}

fn set_up(child: &ChildSide<'_>) -> Result<(), Errno> {
    reset_dispositions();
    // A terminal's Ctrl-C is then for us alone, nothing can prompt behind our back on a terminal of
    // ours, and what the program starts can be signalled with it, as one group.
    nix::unistd::setsid()?;
    if child.controlling_tty {
        // SAFETY: TIOCSCTTY takes an int; the descriptor is our terminal.
        Errno::result(unsafe { libc::ioctl(child.stdio[2], libc::TIOCSCTTY as _, 0) })?;
    }
    for (target, &source) in (0..).zip(&child.stdio) {
        // SAFETY: dup2(2) takes numbers; the copy is not close-on-exec.
        Errno::result(unsafe { libc::dup2(source, target) })?;
    }
    hide_others(child.highest_fd);
    if let Some((soft, hard)) = child.nofile {
        // A program with a higher limit than it was given is a nuisance, not a failure.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
    }
    let none = nix::sys::signal::SigSet::empty();
    nix::sys::signal::sigprocmask(nix::sys::signal::SigmaskHow::SIG_SETMASK, Some(&none), None)
}

/// A handler of the parent's must not run in the child, and an ignored signal (Rust ignores
/// SIGPIPE) would be inherited by the program.
fn reset_dispositions() {
    for signal in 1..=HIGHEST_SIGNAL {
        // SAFETY: restoring the default runs no code of ours; numbers that cannot be changed give
        // EINVAL, which is what we want.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const HIGHEST_SIGNAL: i32 = 64;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const HIGHEST_SIGNAL: i32 = 31;

/// Marks all others close-on-exec, those of careless libraries included. They stay open until then,
/// because the failure report needs one.
fn hide_others(highest: RawFd) {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: close_range(2) takes plain numbers and closes nothing with this flag.
        let done =
            unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        if done == 0 {
            return;
        }
    }
    hide_one_by_one(highest);
}

fn hide_one_by_one(highest: RawFd) {
    for fd in 3..=highest {
        // SAFETY: fcntl(2) with numbers; one that is not open gives EBADF.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// Whether [`hide_others`] can work by range, so that `highest_fd` is of no interest.
pub(super) fn has_close_range() -> bool {
    #[cfg(target_os = "linux")]
    {
        let none = libc::c_uint::MAX;
        // SAFETY: close_range(2) takes plain numbers, and no descriptor can have this one.
        (unsafe { libc::syscall(libc::SYS_close_range, none, none, libc::CLOSE_RANGE_CLOEXEC) }) == 0
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// Tries the programs as `execvp` would: a path that is not there is passed over, and so is one
/// that we may not run, but that is then the error to report.
///
/// # Safety
/// As [`become_program`].
unsafe fn exec_first(child: &ChildSide<'_>) -> Errno {
    let mut worst = Errno::ENOENT;
    for &program in child.programs {
        // SAFETY: the lists end in null and point to C strings, by this function's contract.
        unsafe { libc::execve(program, child.argv.as_ptr(), child.envp.as_ptr()) };
        match Errno::last() {
            Errno::ENOENT | Errno::ENOTDIR => {}
            Errno::EACCES => worst = Errno::EACCES,
            other => return other,
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use nix::fcntl::{FcntlArg, fcntl};

    use super::*;

    #[test]
    fn descriptors_are_hidden_one_by_one_where_there_is_no_range() {
        let careless = std::fs::File::open("/dev/null").unwrap();
        crate::sys::set_cloexec(&careless, false).unwrap();
        // It hides those of this whole test program, which is what they should be anyway.
        hide_one_by_one(careless.as_raw_fd());
        assert_eq!(fcntl(&careless, FcntlArg::F_GETFD).unwrap(), libc::FD_CLOEXEC);
    }
}
