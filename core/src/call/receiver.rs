//! A queue of the messages that are sent to a handle.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use super::error::CallError;
use super::reply::{FromMessage, Reply};
use super::sender::{CLOSED, Sender};
use crate::ids::{ContextId, Handle};
use crate::router::{HandlerOptions, Router, WeakRouter};
use crate::sync::{Latch, LatchError};
use crate::wire::Message;

/// Messages to one handle, decoded as `T` by the thread that takes them.
///
/// It is also a `Future` of the next one, on any executor. Dropping it frees the handle: later
/// messages are answered with `invalid handle`, and a call's reply is dropped, which cancels the
/// wait and not the call.
///
/// ```
/// # use mitogen_core as mitogen;
/// # use mitogen_core::{ids::Identity, node::{Node, NodeOptions}};
/// # let node = Node::start(Identity::master(), &NodeOptions::default())?;
/// # let router = node.router(); // of a master: `master.router()`
/// use mitogen::call::Receiver;
/// use mitogen::router::HandlerOptions;
///
/// let numbers = Receiver::<u32>::new(router, HandlerOptions::default());
/// let sender = numbers.to_sender(); // usually an argument of a call
/// sender.send(&1)?;
/// sender.send(&2)?;
/// sender.close();
/// // The iteration ends when the sender is closed.
/// assert_eq!(numbers.iter().collect::<Result<Vec<_>, _>>()?, [1, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Receiver<T = Message> {
    router: WeakRouter,
    me: ContextId,
    handle: Handle,
    latch: Latch<Message>,
    /// [`Receiver::close`] was called.
    closed: AtomicBool,
    kind: PhantomData<fn() -> T>,
}

/// What a receiver's handler owns. The queue is closed when the router drops the handler: after the reply
/// of a call, when the respondent is lost, or when the broker ends. No thread then waits for a message that
/// cannot come.
struct Inlet(Latch<Message>);

impl Inlet {
    fn put(&self, message: Message) {
        // The latch is closed when the receiver is being dropped.
        let _ = self.0.put(message);
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("handle", &self.handle).finish_non_exhaustive()
    }
}

impl<T> Receiver<T> {
    /// Receives at a new handle of `router`.
    pub fn new(router: &Router, options: HandlerOptions) -> Self {
        Self::at(router, None, options)
    }

    /// Receives at `handle`, or at a new one.
    pub fn at(router: &Router, handle: Option<Handle>, options: HandlerOptions) -> Self {
        let latch = Latch::new();
        let inlet = Inlet(latch.clone());
        let handle = router.add_handler(handle, options, move |delivery| inlet.put(delivery.message));
        Self::with(router, handle, latch)
    }

    /// Receives one message at a new handle.
    pub(crate) fn once(router: &Router, options: HandlerOptions) -> Self {
        let latch = Latch::new();
        let inlet = Inlet(latch.clone());
        let handle = router.add_once(options, move |delivery| inlet.put(delivery.message));
        Self::with(router, handle, latch)
    }

    fn with(router: &Router, handle: Handle, latch: Latch<Message>) -> Self {
        let (me, closed) = (router.identity().id, AtomicBool::new(false));
        Self { router: router.downgrade(), me, handle, latch, closed, kind: PhantomData }
    }

    /// The handle that others send to.
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// The sending end, which can be sent to another context.
    pub fn to_sender(&self) -> Sender {
        Sender::new(self.router.clone(), self.me, self.handle)
    }

    /// Accepts no more messages; those in the queue can still be taken.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        if let Some(router) = self.router.upgrade() {
            router.remove_handler(self.handle);
        }
        self.latch.close();
    }

    /// The number of messages in the queue.
    pub fn len(&self) -> usize {
        self.latch.len()
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.latch.is_empty()
    }

    /// Whether no more messages will arrive; there may be some in the queue.
    pub fn is_closed(&self) -> bool {
        self.latch.is_closed()
    }

    /// Calls `listener` after each arrival: how [`super::Select`] watches many receivers.
    pub(crate) fn set_listener(&self, listener: Option<Arc<dyn Fn() + Send + Sync>>) {
        self.latch.set_listener(listener);
    }
}

impl<T: FromMessage> Receiver<T> {
    /// The next message, waiting as long as it takes.
    ///
    /// # Errors
    /// It is dead, carries an exception, is not a `T`, or the receiver is closed: also because the one
    /// reply of a call was taken, or because the respondent was lost.
    pub fn get(&self) -> Result<T, CallError> {
        self.read(self.latch.get())
    }

    /// The next message, waiting for `timeout` at most.
    ///
    /// # Errors
    /// As [`Receiver::get`], and [`CallError::TimedOut`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, CallError> {
        self.read(self.latch.get_timeout(timeout))
    }

    /// The next message, waiting until `deadline` at most.
    ///
    /// # Errors
    /// As [`Receiver::get`], and [`CallError::TimedOut`].
    pub fn get_deadline(&self, deadline: Instant) -> Result<T, CallError> {
        self.read(self.latch.get_deadline(deadline))
    }

    /// The next message, if there is one in the queue.
    ///
    /// # Errors
    /// As [`Receiver::get`].
    pub fn try_get(&self) -> Result<Option<T>, CallError> {
        match self.latch.try_get() {
            Ok(None) => Ok(None),
            Ok(Some(message)) => self.read(Ok(message)).map(Some),
            Err(error) => self.read(Err(error)).map(Some),
        }
    }

    /// All messages until the sender or this receiver is closed explicitly, which ends the iteration
    /// without an error. Every other end, such as the loss of the respondent, is an error.
    pub fn iter(&self) -> impl Iterator<Item = Result<T, CallError>> {
        let mut ended = false;
        std::iter::from_fn(move || {
            if ended {
                return None;
            }
            match self.get() {
                Err(CallError::Closed) if self.closed.load(Ordering::Relaxed) => None,
                Err(CallError::Dead { reason, .. }) if reason == CLOSED => None,
                item => {
                    // No more messages can come, although neither end was closed.
                    ended = matches!(item, Err(CallError::Closed));
                    Some(item)
                }
            }
        })
    }

    fn read(&self, taken: Result<Message, LatchError>) -> Result<T, CallError> {
        match taken {
            Ok(message) => Reply::new(message, self.me).decode(),
            Err(LatchError::TimedOut) => Err(CallError::TimedOut),
            Err(LatchError::Closed) => Err(CallError::Closed),
        }
    }
}

impl<T: FromMessage> Future for Receiver<T> {
    type Output = Result<T, CallError>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        self.latch.poll_get(cx).map(|taken| self.read(taken))
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.close();
    }
}

/// A connection in both directions: a local receiver, and a sender to a receiver of the other context.
#[derive(Debug)]
pub struct Channel<T = Message> {
    /// Receives what the other context sends.
    pub receiver: Receiver<T>,
    /// Sends to the other context.
    pub sender: Sender,
}
