//! Descriptors, processes and signals: functions over system calls.
//!
//! This is the only module of this crate with `unsafe` code. It knows nothing about streams, pollers or frames.
//! Its invariants:
//!
//! - every function may be called from any thread, unless it is marked `unsafe`;
//! - descriptors are owned (`OwnedFd`) or borrowed (`BorrowedFd`); a raw number is only used as a key;
//! - every descriptor is created close-on-exec;
//! - between `fork` and `exec` only async-signal-safe functions are called and nothing is allocated.
//!
//! Some functions have the names of Mitogen's internal API reference and are kept for callers that know them:
//! [`discard_until`], [`iter_read`], [`write_all`], [`set_block`], [`set_nonblock`], [`set_cloexec`],
//! [`create_socketpair`], [`close_nonstandard_fds`], [`create_child`], [`tty_create_child`],
//! [`hybrid_tty_create_child`].
#![allow(unsafe_code)]

mod after_fork;
mod blocking;
mod fd;
mod limits;
mod poll;
mod process;
mod pty;
mod signal;
mod spawn;

pub use blocking::{IterRead, discard_until, iter_read, write_all};
pub use fd::{close_nonstandard_fds, create_socketpair, is_socket, set_block, set_cloexec, set_nonblock};
pub(crate) use fd::{is_pipe, is_regular_file, read_spare, send_vectored, suppress_sigpipe};
pub use limits::raise_nofile_limit;
pub(crate) use poll::{PollFd, poll_fds};
pub(crate) use process::current_user_name;
pub use process::{ExitStatus, kill, kill_group, pidfd_open, wait_nohang};
pub use pty::open_pty;
pub(crate) use signal::{SignalSource, ignore_sigpipe};
pub use spawn::{
    ChildSpec, ChildStdio, SpawnError, Spawned, create_child, hybrid_tty_create_child, spawn,
    tty_create_child,
};
