//! Readiness and buffering: descriptors that become ready, streams that are told, queues that drain.
//!
//! Lives here: pollers, sides (one direction of a stream), the [`Stream`] and [`Reactor`] traits, the
//! out-queue [`Writer`] and the timer heap. This room does not know what the bytes mean, and it has
//! no thread and no loop: that is the broker, one level up.
//!
//! Invariants: pollers are level-triggered towards their user; a descriptor is deregistered before
//! it is closed; nothing here ever blocks except [`Writer::send_blocking`].

mod mio_poller;
mod op;
mod poll;
mod poller;
mod side;
mod stream;
mod timers;
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
pub use poller::{Event, Interest, Poller, Residual, Token, default_poller};
pub use side::{FdSide, Side, sides};
pub use stream::{Defer, Reactor, Stopped, Stream, Task, TimerId};
pub(crate) use timers::Timers;
pub use waker::Waker;
pub use writer::{Disconnected, Transmit, WriteError, Writer};

/// The most that one read takes, in bytes, and thus the most that one ready stream may hold up the
/// others: 128 KiB.
pub const CHUNK_SIZE: usize = 131_072;
