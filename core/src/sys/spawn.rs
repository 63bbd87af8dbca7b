//! Starting a program in one of four wirings of its standard descriptors.

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

/// How a program's standard descriptors are wired. In each way it leads a session, and thus a
/// process group, of its own; without a terminal of ours, it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChildStdio {
    /// One socket pair for input and output; error is a pipe.
    #[default]
    Socketpair,
    /// A pipe each for input, output and error.
    Pipes,
    /// A pseudo-terminal for all three, controlling the program's session.
    Tty,
    /// A socket pair for input and output; error is a pseudo-terminal, controlling.
    HybridTty,
}

/// A program to start.
#[derive(Clone, Copy, Debug)]
pub struct ChildSpec<'a> {
    /// The program and its arguments. A program without a slash is looked for in the `PATH` that it
    /// will itself have.
    pub argv: &'a [OsString],
    /// Variables to set (`Some`) or remove (`None`); all others are ours.
    pub env: &'a BTreeMap<OsString, Option<OsString>>,
    /// The wiring.
    pub stdio: ChildStdio,
}

/// A started program and our ends of its descriptors, all close-on-exec and non-blocking. Whoever
/// holds it must reap `pid`.
#[derive(Debug)]
pub struct Spawned {
    /// Process id.
    pub pid: i32,
    /// What the program writes to its standard output (for `Tty`: the terminal's master end).
    pub receive: OwnedFd,
    /// What the program reads as its standard input; `None` when `receive` carries both directions
    /// (one socket, one terminal), so that it is registered once.
    pub transmit: Option<OwnedFd>,
    /// What the program writes to its standard error. For `HybridTty` it is the terminal's master
    /// end and can be written to as well. `None` for `Tty`.
    pub diag: Option<OwnedFd>,
}

/// Why a program was not started. No process is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The argument list is empty.
    #[error("no program to start")]
    EmptyArgv,
    /// An argument or variable has a NUL byte (or a variable's name has `=`), which cannot be passed on.
    #[error("argument or variable cannot be passed to a program: {0:?}")]
    BadText(OsString),
    /// Descriptors, a terminal or a process could not be had.
    #[error("cannot {what}")]
    Setup {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused to run the program: it is not there, or not ours to run.
    #[error("cannot run {program:?}")]
    Exec {
        /// The program as it was given.
        program: OsString,
        /// What the system said.
        source: io::Error,
    },
}

/// Starts a program as its [`ChildSpec::stdio`] says. It gets a session of its own, default signal
/// dispositions, an empty signal mask, no descriptor but its three, and the limit on descriptors
/// that this process was started with. [`super::kill_group`] reaches it and what it starts. Blocks
/// until the program runs or is refused, which is a matter of a fork.
///
/// # Errors
/// See [`SpawnError`].
pub fn spawn(spec: &ChildSpec<'_>) -> Result<Spawned, SpawnError> {
    let (ends, ours) = match spec.stdio {
        ChildStdio::Socketpair => {
            let (parent, child) = create_socketpair().map_err(setup("make a socket pair"))?;
            let (diag, error) = pipe()?;
            let input = child.try_clone().map_err(setup("duplicate a socket"))?;
            ([input, child, error], (parent, None, Some(diag)))
        }
        ChildStdio::Pipes => {
            let (input, transmit) = pipe()?;
            let (receive, output) = pipe()?;
            let (diag, error) = pipe()?;
            ([input, output, error], (receive, Some(transmit), Some(diag)))
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
    let (receive, transmit, diag) = ours;
    for fd in [Some(&receive), transmit.as_ref(), diag.as_ref()].into_iter().flatten() {
        set_nonblock(fd).map_err(setup("make a descriptor non-blocking"))?;
    }
    let controlling_tty = matches!(spec.stdio, ChildStdio::Tty | ChildStdio::HybridTty);
    let pid = start(spec, ends, controlling_tty)?;
    Ok(Spawned { pid, receive, transmit, diag })
}

/// [`spawn`] with a socket pair, or with pipes if the spec asks for them.
///
/// # Errors
/// See [`SpawnError`].
pub fn create_child(spec: &ChildSpec<'_>) -> Result<Spawned, SpawnError> {
    let stdio = if spec.stdio == ChildStdio::Pipes { ChildStdio::Pipes } else { ChildStdio::Socketpair };
    spawn(&ChildSpec { stdio, ..*spec })
}

/// [`spawn`] with a terminal for everything.
///
/// # Errors
/// See [`SpawnError`].
pub fn tty_create_child(spec: &ChildSpec<'_>) -> Result<Spawned, SpawnError> {
    spawn(&ChildSpec { stdio: ChildStdio::Tty, ..*spec })
}

/// [`spawn`] with a socket pair, and a terminal as standard error.
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
    // Our copies of the child's ends must go, or we would never see the end of the report.
    drop(high);
    drop(reporter);
    match read_report(&mut report) {
        None => Ok(pid),
        Some((stage, source)) => {
            // The child has reported and is at its exit: this wait is short, and leaves no zombie.
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
    // A handler of ours must not run in the child, where it would write to our own pipes.
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    // Where the system has or allows no child in borrowed memory, it gets a copy.
    let started = borrow_into(child).or_else(|_| copy_into(child));
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    started
}

/// Starts the child in our own memory, on a stack of its own, while this thread stands still until the
/// program runs: what a copy costs grows with our memory, and it is the I/O thread that pays.
#[cfg(target_os = "linux")]
fn borrow_into(child: &ChildSide<'_>) -> io::Result<i32> {
    use std::ffi::{c_int, c_void};
    /// Bytes; several times what the few calls need, in a build without optimisation too.
    const STACK: usize = 1 << 16;
    extern "C" fn run(child: *mut c_void) -> c_int {
        // SAFETY: it is the reference that `clone` was given below, and its owner stands still.
        let child = unsafe { &*child.cast::<ChildSide<'_>>() };
        // SAFETY: this is the fresh child with all signals blocked; the lists end in null and point into
        // vectors of the thread that stands still.
        unsafe { after_fork::become_program(child) }
    }
    // Of the widest type, for the alignment that stacks need everywhere.
    let mut stack = vec![0_u128; STACK / size_of::<u128>()];
    let top = stack.as_mut_ptr_range().end;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: `top` ends a block of ours that nobody else uses and that is freed after the child has left
    // it (CLONE_VFORK). The child makes async-signal-safe calls only, see `after_fork`: in our memory it
    // writes to that stack and to this thread's errno, of which nobody reads before the next call. Its
    // descriptors, signal dispositions and limits are its own.
    let pid = unsafe { libc::clone(run, top.cast(), flags, ptr::from_ref(child).cast_mut().cast()) };
    if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) }
}

#[cfg(not(target_os = "linux"))]
fn borrow_into(_: &ChildSide<'_>) -> io::Result<i32> {
    Err(io::ErrorKind::Unsupported.into())
}

fn copy_into(child: &ChildSide<'_>) -> io::Result<i32> {
    // SAFETY: the child makes async-signal-safe calls only, see `after_fork`.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child.as_raw()),
        // SAFETY: this is the fresh child with all signals blocked; `child`'s lists end in null and
        // point into vectors that outlive this call.
        ForkResult::Child => unsafe { after_fork::become_program(child) },
    }
}

/// What the child says before it fails; `None` when it became the program and the pipe closed.
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

/// The paths that the program may be at.
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
    // A name may start with `=` on odd systems, but cannot contain one further on.
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

/// The highest number that may be open, with room for what other threads open meanwhile. Listing
/// them is dear with thousands open, so it is done only where the child cannot do without.
fn highest_fd() -> RawFd {
    const ROOM: RawFd = 256;
    if after_fork::has_close_range() {
        return 0;
    }
    open_fds().ok().and_then(|fds| fds.into_iter().max()).unwrap_or(65_536) + ROOM
}
