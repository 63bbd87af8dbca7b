//! The code that runs in a new process between `fork` and `exec`.
//!
//! After `fork`, the process has one thread and a copy of the memory, in which locks may be held by threads that do
//! not exist any more. After `clone` with `CLONE_VM`, it shares the memory with its parent, whose other threads
//! continue to run. Therefore this code does not allocate, lock or panic, calls only async-signal-safe functions,
//! and writes only to local variables. All data is prepared before the fork.

use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, rlim_t, setrlimit};

/// The data that the child needs. The pointers refer to vectors that the parent keeps during the fork.
pub(super) struct ChildSide<'a> {
    /// The descriptors for standard input, output and error; each number is above 2.
    pub(super) stdio: [RawFd; 3],
    /// Whether standard error is a terminal to make the controlling terminal of the child's session.
    pub(super) controlling_tty: bool,
    /// Null-terminated.
    pub(super) argv: &'a [*const libc::c_char],
    /// Null-terminated.
    pub(super) envp: &'a [*const libc::c_char],
    /// Paths of the program to try, in order.
    pub(super) programs: &'a [*const libc::c_char],
    /// The pipe to report a failure on; close-on-exec.
    pub(super) report: RawFd,
    /// No descriptor above this number is open, as far as the parent could tell.
    pub(super) highest_fd: RawFd,
    /// The `RLIMIT_NOFILE` to restore, soft and hard.
    pub(super) nofile: Option<(rlim_t, rlim_t)>,
}

/// The step that a reported failure belongs to.
pub(super) const IN_SETUP: u8 = 0;
pub(super) const IN_EXEC: u8 = 1;

/// Executes the program in the forked process, or reports the failure and exits.
///
/// # Safety
/// Call it only in a freshly forked child, with all signals blocked, and with pointer lists that
/// end in null and point to C strings.
pub(super) unsafe fn become_program(child: &ChildSide<'_>) -> ! {
    let (stage, errno) = match set_up(child) {
        // SAFETY: the caller guarantees that the pointer lists are valid.
        Ok(()) => (IN_EXEC, unsafe { exec_first(child) }),
        Err(errno) => (IN_SETUP, errno),
    };
    let mut message = [0; 5];
    message[0] = stage;
    message[1..].copy_from_slice(&(errno as i32).to_ne_bytes());
    // SAFETY: write(2) of a local array; five bytes are written to an empty pipe completely.
    unsafe { libc::write(child.report, message.as_ptr().cast(), message.len()) };
    // SAFETY: _exit(2) runs no exit handlers of the parent.
    unsafe { libc::_exit(127) }
}

fn set_up(child: &ChildSide<'_>) -> Result<(), Errno> {
    reset_dispositions();
    // With its own session, the program does not receive the Ctrl-C of this process's terminal, cannot prompt on
    // that terminal, and can be signalled as one group with the processes that it starts.
    nix::unistd::setsid()?;
    if child.controlling_tty {
        // SAFETY: TIOCSCTTY takes an int; the descriptor is the child's terminal.
        Errno::result(unsafe { libc::ioctl(child.stdio[2], libc::TIOCSCTTY as _, 0) })?;
    }
    for (target, &source) in (0..).zip(&child.stdio) {
        // SAFETY: dup2(2) takes numbers; the copy is not close-on-exec.
        Errno::result(unsafe { libc::dup2(source, target) })?;
    }
    set_cloexec_on_others(child.highest_fd);
    if let Some((soft, hard)) = child.nofile {
        // Failing to restore the limit is not a reason to fail the start.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
    }
    let none = nix::sys::signal::SigSet::empty();
    nix::sys::signal::sigprocmask(nix::sys::signal::SigmaskHow::SIG_SETMASK, Some(&none), None)
}

/// A signal handler of the parent must not run in the child, and the program would inherit an ignored signal
/// (Rust ignores SIGPIPE).
fn reset_dispositions() {
    for signal in 1..=HIGHEST_SIGNAL {
        // SAFETY: restoring the default installs no handler; signals whose disposition cannot be changed
        // give EINVAL, which is ignored.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const HIGHEST_SIGNAL: i32 = 64;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const HIGHEST_SIGNAL: i32 = 31;

/// Marks all other descriptors close-on-exec, because libraries may have opened some without the flag. They are
/// not closed, because the failure report needs one.
fn set_cloexec_on_others(highest: RawFd) {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: close_range(2) takes plain numbers and closes nothing with this flag.
        let done =
            unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        if done == 0 {
            return;
        }
    }
    set_cloexec_one_by_one(highest);
}

fn set_cloexec_one_by_one(highest: RawFd) {
    for fd in 3..=highest {
        // SAFETY: fcntl(2) with numbers; a number that is not open gives EBADF.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// Whether [`set_cloexec_on_others`] can use `close_range`, so that `highest_fd` is not needed.
pub(super) fn has_close_range() -> bool {
    #[cfg(target_os = "linux")]
    {
        let none = libc::c_uint::MAX;
        // SAFETY: close_range(2) takes plain numbers, and no descriptor can have this number.
        (unsafe { libc::syscall(libc::SYS_close_range, none, none, libc::CLOSE_RANGE_CLOEXEC) }) == 0
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// Tries the programs like `execvp`: paths that do not exist are skipped, and so are paths without permission,
/// but then EACCES is the error to report.
///
/// # Safety
/// As [`become_program`].
unsafe fn exec_first(child: &ChildSide<'_>) -> Errno {
    let mut result = Errno::ENOENT;
    for &program in child.programs {
        // SAFETY: the lists end in null and point to C strings, by this function's contract.
        unsafe { libc::execve(program, child.argv.as_ptr(), child.envp.as_ptr()) };
        match Errno::last() {
            Errno::ENOENT | Errno::ENOTDIR => {}
            Errno::EACCES => result = Errno::EACCES,
            other => return other,
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use nix::fcntl::{FcntlArg, fcntl};

    use super::*;

    #[test]
    fn descriptors_are_marked_one_by_one_without_close_range() {
        let inheritable = std::fs::File::open("/dev/null").unwrap();
        crate::sys::set_cloexec(&inheritable, false).unwrap();
        // This marks all descriptors of the test program, which should be close-on-exec anyway.
        set_cloexec_one_by_one(inheritable.as_raw_fd());
        assert_eq!(fcntl(&inheritable, FcntlArg::F_GETFD).unwrap(), libc::FD_CLOEXEC);
    }
}
