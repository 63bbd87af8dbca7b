//! Descriptors, processes and signals: plain functions over the kernel's.
//!
//! This is the one room of the crate with `unsafe`; nothing here knows streams, pollers or frames.
//! The contract of the room:
//!
//! - every public function is safe to call from any thread, unless it is marked `unsafe`;
//! - descriptors are owned (`OwnedFd`) or borrowed (`BorrowedFd`); a raw number is only ever a key;
//! - every descriptor made here is close-on-exec from its first moment;
//! - after `fork` and before `exec` only async-signal-safe calls are made and nothing is allocated.
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
mod user;

pub use blocking::{IterRead, discard_until, iter_read, write_all};
pub use fd::{close_nonstandard_fds, create_socketpair, is_socket, set_block, set_cloexec, set_nonblock};
pub(crate) use fd::{is_pipe, is_regular_file, read_spare, send_vectored, suppress_sigpipe};
pub use limits::raise_nofile_limit;
pub(crate) use poll::{PollFd, poll_fds};
pub use process::{ExitStatus, kill, kill_group, pidfd_open, wait_nohang};
pub use pty::open_pty;
pub use signal::{SignalSource, ignore_sigpipe};
pub use spawn::{
    ChildSpec, ChildStdio, SpawnError, Spawned, create_child, hybrid_tty_create_child, spawn,
    tty_create_child,
};
pub use user::{User, current_user, user_by_name};
