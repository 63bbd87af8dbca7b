//! Readiness and buffering: pollers, streams, timers and send queues.
//!
//! This module contains the pollers, [`Side`] (one direction of a stream), the [`Stream`] and [`Reactor`]
//! traits, the send queue [`Writer`] and the timer heap. It does not interpret the data and has no thread
//! and no loop; those belong to [`crate::broker`].
//!
//! Invariants: pollers are level-triggered for their caller; a descriptor is deregistered before it is
//! closed; nothing in this module blocks except [`Writer::send_blocking`].

mod mio_poller;
mod op;
mod poll;
mod poller;
mod side;
mod stream;
mod timers;
mod touch;
mod waker;
mod writer;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub use mio_poller::MioPoller as EpollPoller;
#[cfg(any(
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd"
))]
pub use mio_poller::MioPoller as KqueuePoller;
pub use op::io_op;
pub use poll::PollPoller;
pub use poller::{Event, Interest, Poller, Residual, Token};
pub use side::{CHUNK_SIZE, FdSide, Side, sides};
pub use stream::{Defer, Reactor, Stopped, Stream, Task, TimerId};
pub(crate) use timers::Timers;
pub use touch::Touch;
pub use waker::Waker;
pub use writer::{Disconnected, Transmit, WriteError, Writer};

/// The best poller of this system: epoll or kqueue.
///
/// # Errors
/// The error of the system call, such as `EMFILE`.
pub fn default_poller() -> std::io::Result<Box<dyn Poller>> {
    Ok(Box::new(mio_poller::MioPoller::new()?))
}
