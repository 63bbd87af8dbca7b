//! Starts programs with one of four arrangements of their standard descriptors.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};

use super::after_fork::{self, ChildSide};
use super::fd::{above_stdio, open_fds};
use super::{create_socketpair, open_pty, set_nonblock};

/// The kind of a program's standard descriptors. In each case the program leads a new session and process group; it
/// has a controlling terminal only with `Tty` and `HybridTty`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChildStdio {
    /// One socket pair for standard input and output, a pipe for standard error.
    #[default]
    Socketpair,
    /// A pipe for each of standard input, output and error.
    Pipes,
    /// A pseudo-terminal for all three, which is the controlling terminal.
    Tty,
    /// A socket pair for standard input and output; standard error is a pseudo-terminal, which is the controlling
    /// terminal.
    HybridTty,
}

/// A program to start.
#[derive(Clone, Copy, Debug)]
pub struct ChildSpec<'a> {
    /// The program and its arguments. A program without a slash is searched in the `PATH` of its new
    /// environment.
    pub argv: &'a [OsString],
    /// Environment variables to set (`Some`) or remove (`None`); all others are inherited.
    pub env: &'a BTreeMap<OsString, Option<OsString>>,
    /// The kind of its standard descriptors.
    pub stdio: ChildStdio,
}

/// A started program and the parent's ends of its descriptors, all close-on-exec and non-blocking. The owner must
/// reap `pid`.
#[derive(Debug)]
pub struct Spawned {
    /// The process id.
    pub pid: i32,
    /// The program's standard output (for `Tty`: the master of the terminal).
    pub receive: OwnedFd,
    /// The program's standard input; `None` when `receive` carries both directions (a socket or a terminal),
    /// so that it is registered once.
    pub transmit: Option<OwnedFd>,
    /// The program's standard error. For `HybridTty` it is the master of the terminal, which can be written
    /// to as well. `None` for `Tty`.
    pub stderr: Option<OwnedFd>,
}

/// Why a program was not started. No process is left after an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The argument list is empty.
    #[error("no program to start")]
    EmptyArgv,
    /// An argument or variable contains a NUL byte, or the name of a variable contains `=`.
    #[error("argument or variable contains an invalid character: {0:?}")]
    BadText(OsString),
    /// A descriptor, a terminal or a process could not be created.
    #[error("cannot {what}")]
    Setup {
        /// The step that failed.
        what: &'static str,
        /// The error of the system call.
        source: io::Error,
    },
    /// The system cannot execute the program, for example because it does not exist or is not executable.
    #[error("cannot run {program:?}")]
    Exec {
        /// The program as given in `argv`.
        program: OsString,
        /// The error of the system call.
        source: io::Error,
    },
}

/// Starts a program. It gets a new session, default signal dispositions, an empty signal mask, only its three
/// standard descriptors, and the limit on descriptors that this process was started with.
/// [`kill_group`](super::kill_group) reaches it and the processes that it starts. Blocks until the program is
/// executed or has failed to, about as long as a fork.
///
/// # Errors
/// See [`SpawnError`].
pub fn spawn(spec: &ChildSpec<'_>) -> Result<Spawned, SpawnError> {
    let (child_ends, parent_ends) = match spec.stdio {
        ChildStdio::Socketpair => {
            let (parent, child) = create_socketpair().map_err(setup("make a socket pair"))?;
            let (stderr, error) = pipe()?;
            let input = child.try_clone().map_err(setup("duplicate a socket"))?;
            ([input, child, error], (parent, None, Some(stderr)))
        }
        ChildStdio::Pipes => {
            let (input, transmit) = pipe()?;
            let (receive, output) = pipe()?;
            let (stderr, error) = pipe()?;
            ([input, output, error], (receive, Some(transmit), Some(stderr)))
        }
        ChildStdio::Tty => {
            let (master, slave) = open_pty().map_err(setup("open a terminal"))?;
            let input = slave.try_clone().map_err(setup("duplicate a terminal"))?;
            let output = slave.try_clone().map_err(setup("duplicate a terminal"))?;
            ([input, output, slave], (master, None, None))
        }
        ChildStdio::HybridTty => {
            let (parent, child) = create_socketpair().map_err(setup("make a socket pair"))?;
            let (master, slave) = open_pty().map_err(setup("open a terminal"))?;
            let input = child.try_clone().map_err(setup("duplicate a socket"))?;
            ([input, child, slave], (parent, None, Some(master)))
        }
    };
    let (receive, transmit, stderr) = parent_ends;
    for fd in [Some(&receive), transmit.as_ref(), stderr.as_ref()].into_iter().flatten() {
        set_nonblock(fd).map_err(setup("make a descriptor non-blocking"))?;
    }
    let controlling_tty = matches!(spec.stdio, ChildStdio::Tty | ChildStdio::HybridTty);
    let pid = start(spec, child_ends, controlling_tty)?;
    Ok(Spawned { pid, receive, transmit, stderr })
}

/// Like [`spawn`], with a socket pair, or with pipes if `spec` requests them. The API reference's `create_child`.
///
/// # Errors
/// See [`SpawnError`].
pub fn create_child(spec: &ChildSpec<'_>) -> Result<Spawned, SpawnError> {
    let stdio = if spec.stdio == ChildStdio::Pipes { ChildStdio::Pipes } else { ChildStdio::Socketpair };
    spawn(&ChildSpec { stdio, ..*spec })
}

/// Like [`spawn`], with [`ChildStdio::Tty`]. The API reference's `tty_create_child`.
///
/// # Errors
/// See [`SpawnError`].
pub fn tty_create_child(spec: &ChildSpec<'_>) -> Result<Spawned, SpawnError> {
    spawn(&ChildSpec { stdio: ChildStdio::Tty, ..*spec })
}

/// Like [`spawn`], with [`ChildStdio::HybridTty`]. The API reference's `hybrid_tty_create_child`.
///
/// # Errors
/// See [`SpawnError`].
pub fn hybrid_tty_create_child(spec: &ChildSpec<'_>) -> Result<Spawned, SpawnError> {
    spawn(&ChildSpec { stdio: ChildStdio::HybridTty, ..*spec })
}

fn setup(what: &'static str) -> impl FnOnce(io::Error) -> SpawnError {
    move |source| SpawnError::Setup { what, source }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), SpawnError> {
    let (reader, writer) = io::pipe().map_err(setup("make a pipe"))?;
    Ok((reader.into(), writer.into()))
}

fn start(spec: &ChildSpec<'_>, ends: [OwnedFd; 3], controlling_tty: bool) -> Result<i32, SpawnError> {
    let program = spec.argv.first().ok_or(SpawnError::EmptyArgv)?;
    let environment = environment(spec.env);
    let path = environment.get(OsStr::new("PATH")).map_or(OsStr::new(DEFAULT_PATH), OsString::as_os_str);
    let programs = candidates(program, path).map(c_text).collect::<Result<Vec<_>, _>>()?;
    let argv = spec.argv.iter().cloned().map(c_text).collect::<Result<Vec<_>, _>>()?;
    let envp = environment.iter().map(c_variable).collect::<Result<Vec<_>, _>>()?;

    let mut high = Vec::with_capacity(ends.len());
    for end in ends {
        high.push(above_stdio(end).map_err(setup("duplicate a descriptor"))?);
    }
    let (mut report, reporter) = io::pipe().map_err(setup("make a pipe"))?;
    let reporter = above_stdio(reporter.into()).map_err(setup("duplicate a descriptor"))?;

    let child = ChildSide {
        stdio: [high[0].as_raw_fd(), high[1].as_raw_fd(), high[2].as_raw_fd()],
        controlling_tty,
        argv: &pointers(&argv),
        envp: &pointers(&envp),
        programs: &programs.iter().map(|text| text.as_ptr()).collect::<Vec<_>>(),
        report: reporter.as_raw_fd(),
        highest_fd: highest_fd(),
        nofile: super::limits::started_with(),
    };
    let pid = fork_into(&child).map_err(setup("fork"))?;
    // Close the parent's copies of the child's ends; otherwise the report would never end.
    drop(high);
    drop(reporter);
    match read_report(&mut report) {
        None => Ok(pid),
        Some((stage, source)) => {
            // The child has reported and is about to exit, so this wait is short. It prevents a zombie.
            while waitpid(nix::unistd::Pid::from_raw(pid), None) == Err(Errno::EINTR) {}
            Err(if stage == after_fork::IN_EXEC {
                SpawnError::Exec { program: program.clone(), source }
            } else {
                SpawnError::Setup { what: "set up the child's descriptors", source }
            })
        }
    }
}

const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

fn fork_into(child: &ChildSide<'_>) -> io::Result<i32> {
    // A signal handler of the parent must not run in the child, where it would write to the parent's pipes.
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    // Falls back to fork where the system does not support or allow sharing the memory.
    let started = clone_into(child).or_else(|_| plain_fork_into(child));
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    started
}

/// Starts the child with shared memory and its own stack, and suspends this thread until the program is executed.
/// Copying the memory would block the I/O thread for a time that grows with the size of this process.
#[cfg(target_os = "linux")]
fn clone_into(child: &ChildSide<'_>) -> io::Result<i32> {
    use std::ffi::{c_int, c_void};
    /// The size of the stack in bytes; several times what the child needs, also in a debug build.
    const STACK: usize = 1 << 16;
    extern "C" fn run(child: *mut c_void) -> c_int {
        // SAFETY: it is the reference that was passed to `clone` below, and its owner is suspended.
        let child = unsafe { &*child.cast::<ChildSide<'_>>() };
        // SAFETY: this is the new child with all signals blocked; the lists end in null and point into vectors
        // of the suspended thread.
        unsafe { after_fork::become_program(child) }
    }
    // The element type gives the alignment that a stack needs on every platform.
    let mut stack = vec![0_u128; STACK / size_of::<u128>()];
    let top = stack.as_mut_ptr_range().end;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: `top` is the end of a block that no other code uses and that is freed after the child has stopped
    // using it (CLONE_VFORK). The child calls only async-signal-safe functions, see `after_fork`: in the shared
    // memory it writes to that stack and to this thread's errno, which is not read before the next call. Its
    // descriptors, signal dispositions and limits are not shared.
    let pid = unsafe { libc::clone(run, top.cast(), flags, ptr::from_ref(child).cast_mut().cast()) };
    if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) }
}

#[cfg(not(target_os = "linux"))]
fn clone_into(_: &ChildSide<'_>) -> io::Result<i32> {
    Err(io::ErrorKind::Unsupported.into())
}

fn plain_fork_into(child: &ChildSide<'_>) -> io::Result<i32> {
    // SAFETY: the child calls only async-signal-safe functions, see `after_fork`.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child.as_raw()),
        // SAFETY: this is the new child with all signals blocked; `child`'s lists end in null and
        // point into vectors that outlive this call.
        ForkResult::Child => unsafe { after_fork::become_program(child) },
    }
}

/// Reads the failure that the child reports; `None` when it has executed the program, which closes the pipe.
fn read_report(report: &mut PipeReader) -> Option<(u8, io::Error)> {
    let mut message = [0; 5];
    report.read_exact(&mut message).ok()?;
    let [stage, errno @ ..] = message;
    Some((stage, io::Error::from_raw_os_error(i32::from_ne_bytes(errno))))
}

fn environment(changes: &BTreeMap<OsString, Option<OsString>>) -> BTreeMap<OsString, OsString> {
    let mut all: BTreeMap<_, _> = std::env::vars_os().collect();
    for (name, value) in changes {
        match value {
            Some(value) => all.insert(name.clone(), value.clone()),
            None => all.remove(name),
        };
    }
    all
}

/// The paths to try for the program.
fn candidates(program: &OsStr, path: &OsStr) -> impl Iterator<Item = OsString> {
    let searched = !program.as_bytes().contains(&b'/');
    let literal = (!searched).then(|| program.to_owned());
    let dirs: Vec<OsString> = if searched && !program.is_empty() {
        path.as_bytes()
            .split(|&byte| byte == b':')
            .map(|dir| if dir.is_empty() { b".".as_slice() } else { dir })
            .map(|dir| Path::new(OsStr::from_bytes(dir)).join(program).into_os_string())
            .collect()
    } else {
        Vec::new()
    };
    literal.into_iter().chain(dirs)
}

fn c_text(text: OsString) -> Result<CString, SpawnError> {
    CString::new(text.into_vec()).map_err(|err| SpawnError::BadText(OsString::from_vec(err.into_vec())))
}

fn c_variable((name, value): (&OsString, &OsString)) -> Result<CString, SpawnError> {
    // On some systems a name may start with `=`, but it cannot contain another one.
    if name.is_empty() || name.as_bytes()[1..].contains(&b'=') {
        return Err(SpawnError::BadText(name.clone()));
    }
    let mut text = name.clone();
    text.push("=");
    text.push(value);
    c_text(text)
}

fn pointers(texts: &[CString]) -> Vec<*const libc::c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// The highest descriptor that may be open, with a margin for those that other threads open meanwhile. Listing the
/// descriptors is slow when thousands are open, so it is done only if the child cannot use `close_range`.
fn highest_fd() -> RawFd {
    const MARGIN: RawFd = 256;
    if after_fork::has_close_range() {
        return 0;
    }
    open_fds().ok().and_then(|fds| fds.into_iter().max()).unwrap_or(65_536) + MARGIN
}
