//! What the loop tells a stream, and what a stream may ask of the loop.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use super::{Residual, Token};

/// Something with descriptors that the loop tells of their readiness. All calls come from the
/// broker's thread, one at a time, while the stream is out of its slot: a callback may ask anything
/// of the reactor, even to disconnect or replace the stream that it belongs to.
pub trait Stream: Send {
    /// A name for logs.
    fn name(&self) -> &str;

    /// What is read; may be the same descriptor as [`transmit_fd`](Self::transmit_fd). It must not
    /// change while the stream is registered, and must stay open until
    /// [`on_disconnect`](Self::on_disconnect).
    fn receive_fd(&self) -> Option<BorrowedFd<'_>>;

    /// What is written; as for [`receive_fd`](Self::receive_fd).
    fn transmit_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Whether the shutdown of the loop waits for this stream as long as it receives.
    fn keep_alive(&self) -> bool {
        true
    }

    /// There is something to read, or the other side is gone; now and then it is told in vain. Read
    /// once: what is left is told again.
    fn on_receive(&mut self, reactor: &mut dyn Reactor, token: Token);

    /// What the last [`on_receive`](Self::on_receive) has left to read, such as [`super::Side::left`]
    /// of the side it read. It is asked right after it. A stream that knows saves a system call per
    /// message; one that claims [`Residual::Drained`] wrongly waits until something else comes.
    fn receive_residual(&self) -> Residual {
        Residual::Unknown
    }

    /// There is room to write. Ask [`Reactor::stop_transmit`] when nothing is left to be written.
    fn on_transmit(&mut self, reactor: &mut dyn Reactor, token: Token) {
        reactor.stop_transmit(token);
    }

    /// The same for the room that the last [`on_transmit`](Self::on_transmit) has left. For a stream
    /// that goes on transmitting only after [`super::Transmit::More`] it is [`Residual::Drained`].
    fn transmit_residual(&self) -> Residual {
        Residual::Unknown
    }

    /// The loop is going to end. A stream that has nothing to wind up disconnects, as this does.
    fn on_shutdown(&mut self, reactor: &mut dyn Reactor, token: Token) {
        reactor.disconnect(token);
    }

    /// The last call: the stream is deregistered already and will be dropped afterwards.
    fn on_disconnect(&mut self, reactor: &mut dyn Reactor, token: Token) {
        let _ = (reactor, token);
    }
}

/// Names a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId(pub(crate) u64);

/// Work for the broker's thread.
pub type Task = Box<dyn FnOnce(&mut dyn Reactor) + Send>;

/// The loop has ended and takes nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("broker has stopped")]
pub struct Stopped;

/// The part of a broker that other threads may hold.
pub trait Defer: Send + Sync {
    /// Runs `task` on the broker's thread, after everything deferred before it. It may be called on
    /// that thread too; the task then runs after the current callback.
    ///
    /// # Errors
    /// [`Stopped`] when the loop has ended; the task is dropped.
    fn defer(&self, task: Task) -> Result<(), Stopped>;

    /// Whether this is the broker's thread, which must never block.
    fn is_broker_thread(&self) -> bool;

    /// Begins an orderly shutdown; later calls do nothing.
    fn shutdown(&self);
}

/// What a callback may ask of the loop. An unknown token (its stream is gone) is never an error:
/// requests cross with disconnects.
pub trait Reactor {
    /// Adds a stream; receiving starts when it has a [`Stream::receive_fd`].
    ///
    /// # Errors
    /// What the poller reports, or an error that wraps [`Stopped`] in the last phase of a shutdown;
    /// the stream is dropped without [`Stream::on_disconnect`].
    fn register(&mut self, stream: Box<dyn Stream>) -> io::Result<Token>;

    /// Tells the stream again when there is something to read.
    fn start_receive(&mut self, token: Token);

    /// Does not tell the stream of anything to read, until started again.
    fn stop_receive(&mut self, token: Token);

    /// Tells the stream when there is room to write.
    fn start_transmit(&mut self, token: Token);

    /// Does not tell the stream of room to write any more.
    fn stop_transmit(&mut self, token: Token);

    /// Puts another stream in the place of one, with the same descriptors (or duplicates, or
    /// others) and what is watched unchanged. The old stream is dropped without
    /// [`Stream::on_disconnect`]: it has handed everything over. Returns whether there was one.
    fn replace(&mut self, token: Token, stream: Box<dyn Stream>) -> bool;

    /// Ends a stream: it is deregistered at once and gets [`Stream::on_disconnect`] when the current
    /// callback is over. A second call does nothing.
    fn disconnect(&mut self, token: Token);

    /// Whether the stream is still there.
    fn is_registered(&self, token: Token) -> bool;

    /// Runs `task` at `when` or soon after. A shutdown does not wait for it.
    fn schedule(&mut self, when: Instant, task: Task) -> TimerId;

    /// Like [`schedule`](Self::schedule), but a shutdown waits for it (within its grace period).
    fn schedule_keep_alive(&mut self, when: Instant, task: Task) -> TimerId;

    /// Forgets a timer; returns whether it was still to come.
    fn cancel(&mut self, timer: TimerId) -> bool;

    /// When the current round of the loop began to work: the clock of everything in it.
    fn now(&self) -> Instant;

    /// The part of the broker that may be kept and used from other threads.
    fn handle(&self) -> Arc<dyn Defer>;
}
