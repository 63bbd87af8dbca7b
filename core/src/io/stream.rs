//! The callbacks of a stream ([`Stream`]), and what a callback may do ([`Reactor`]).

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use super::poller::{Residual, Token};

/// An object with descriptors whose readiness the loop reports through callbacks. All callbacks run on the
/// broker's thread, one at a time, while the stream is out of its slot: a callback may use every method of
/// the reactor, including disconnecting or replacing its own stream.
pub trait Stream: Send {
    /// The stream's name in logs.
    fn name(&self) -> &str;

    /// The descriptor to read from; may be the same as [`transmit_fd`](Self::transmit_fd). It must not
    /// change while the stream is registered, and must stay open until
    /// [`on_disconnect`](Self::on_disconnect).
    fn receive_fd(&self) -> Option<BorrowedFd<'_>>;

    /// The descriptor to write to, under the same conditions as [`receive_fd`](Self::receive_fd).
    fn transmit_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Whether a shutdown waits for this stream while it is receiving.
    fn keep_alive(&self) -> bool {
        true
    }

    /// Data can be read, or the peer has disconnected. The event may be spurious. Read once; remaining
    /// data is reported again.
    fn on_receive(&mut self, reactor: &mut dyn Reactor, token: Token);

    /// What the last [`on_receive`](Self::on_receive) left unread, such as [`super::Side::residual`] of
    /// the side that it read. Called right after it. A known state saves a system call per message; a
    /// wrong [`Residual::Drained`] delays the remaining data until more arrives.
    fn receive_residual(&self) -> Residual {
        Residual::Unknown
    }

    /// The descriptor can be written. Call [`Reactor::stop_transmit`] when nothing is left to write.
    fn on_transmit(&mut self, reactor: &mut dyn Reactor, token: Token) {
        reactor.stop_transmit(token);
    }

    /// The buffer space that the last [`on_transmit`](Self::on_transmit) left. [`Residual::Drained`] for a
    /// stream that continues to transmit only after [`super::Transmit::More`].
    fn transmit_residual(&self) -> Residual {
        Residual::Unknown
    }

    /// A shutdown has begun. The default implementation disconnects; override it to finish pending work
    /// first.
    fn on_shutdown(&mut self, reactor: &mut dyn Reactor, token: Token) {
        reactor.disconnect(token);
    }

    /// The last callback: the stream is already deregistered and will be dropped afterwards.
    fn on_disconnect(&mut self, reactor: &mut dyn Reactor, token: Token) {
        let _ = (reactor, token);
    }
}

/// Identifies a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId(pub(crate) u64);

/// A closure to run on the broker's thread.
pub type Task = Box<dyn FnOnce(&mut dyn Reactor) + Send>;

/// The loop has ended and accepts no more work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("broker has stopped")]
pub struct Stopped;

/// A handle of a broker that other threads may hold.
pub trait Defer: Send + Sync {
    /// Runs `task` on the broker's thread, after everything that was deferred before it. When called on
    /// that thread, the task runs after the current callback.
    ///
    /// # Errors
    /// [`Stopped`] when the loop has ended; the task is dropped.
    fn defer(&self, task: Task) -> Result<(), Stopped>;

    /// Whether this is the broker's thread, which must never block.
    fn is_broker_thread(&self) -> bool;

    /// Begins an orderly shutdown; later calls do nothing.
    fn shutdown(&self);
}

/// The loop as a callback sees it. A token whose stream has been disconnected is never an error, because
/// requests and disconnects may cross.
pub trait Reactor {
    /// Adds a stream. Receiving starts if it has a [`Stream::receive_fd`].
    ///
    /// # Errors
    /// The poller's error, or an error that wraps [`Stopped`] in the last phase of a shutdown;
    /// the stream is dropped without [`Stream::on_disconnect`].
    fn register(&mut self, stream: Box<dyn Stream>) -> io::Result<Token>;

    /// Resumes [`Stream::on_receive`].
    fn start_receive(&mut self, token: Token);

    /// Pauses [`Stream::on_receive`] until [`start_receive`](Self::start_receive).
    fn stop_receive(&mut self, token: Token);

    /// Starts to call [`Stream::on_transmit`] while the descriptor can be written.
    fn start_transmit(&mut self, token: Token);

    /// Stops calling [`Stream::on_transmit`].
    fn stop_transmit(&mut self, token: Token);

    /// Calls [`Stream::on_receive`] of a stream that receives, and [`Stream::on_transmit`] of one that
    /// transmits, in the next iteration, as if its descriptor were ready. A direction that is paused is
    /// called when it is resumed. For streams that have data or space that their descriptors do not show,
    /// or no descriptors.
    fn touch(&mut self, token: Token);

    /// Replaces a stream by another, under the same token and with the same interest; its descriptors may
    /// be the same or others. The old stream is dropped without [`Stream::on_disconnect`]. Returns whether
    /// `token` was registered.
    fn replace(&mut self, token: Token, stream: Box<dyn Stream>) -> bool;

    /// Disconnects a stream: it is deregistered immediately, and [`Stream::on_disconnect`] runs after the
    /// current callback. A second call does nothing.
    fn disconnect(&mut self, token: Token);

    /// Whether the stream is still registered.
    fn is_registered(&self, token: Token) -> bool;

    /// Runs `task` at `when` or shortly after. A shutdown does not wait for it.
    fn schedule(&mut self, when: Instant, task: Task) -> TimerId;

    /// Like [`schedule`](Self::schedule), but a shutdown waits for the task, within its grace period.
    fn schedule_keep_alive(&mut self, when: Instant, task: Task) -> TimerId;

    /// Cancels a timer; returns whether it was still pending.
    fn cancel(&mut self, timer: TimerId) -> bool;

    /// The time at which the current iteration of the loop started; constant within the iteration.
    fn now(&self) -> Instant;

    /// A handle of this broker for other threads.
    fn handle(&self) -> Arc<dyn Defer>;
}
