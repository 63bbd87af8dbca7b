//! The sending end of a receiver in this or another context.

use bytes::Bytes;
use serde::{Serialize, Serializer};

use super::error::CallError;
use crate::ids::{ContextId, Handle};
use crate::pickle::{self, Value};
use crate::router::{Router, SendError, WeakRouter};
use crate::wire::{Encoding, Message};

/// The reason in the dead message that ends a stream of messages in order.
pub(super) const CLOSED: &str = "Sender was explicitly closed";

/// Sends to one handle of one context. It can be an argument of a call: the other context gets a sender
/// to the same handle.
///
/// ```
/// # use mitogen_core as mitogen;
/// use mitogen::call::{CallError, Context, Receiver};
/// use mitogen::router::HandlerOptions;
///
/// /// Calls `log_watch.follow(path, sender)`, a Python function that calls `sender.send` for each line and
/// /// `sender.close` at the end, and prints the lines as they arrive.
/// fn follow(context: &Context, path: &str) -> Result<(), CallError> {
///     let lines = Receiver::<String>::new(context.router(), HandlerOptions::default());
///     context.call_no_reply("log_watch.follow", (path, lines.to_sender()))?;
///     for line in lines.iter() {
///         println!("{}: {}", context.name(), line?);
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Sender {
    router: WeakRouter,
    context: ContextId,
    handle: Handle,
}

impl Sender {
    pub(crate) fn new(router: WeakRouter, context: ContextId, handle: Handle) -> Self {
        Self { router, context, handle }
    }

    /// A sender to `handle` of `context`.
    pub fn to(router: &Router, context: ContextId, handle: Handle) -> Self {
        Self::new(router.downgrade(), context, handle)
    }

    /// The context and the handle that it sends to.
    pub fn target(&self) -> (ContextId, Handle) {
        (self.context, self.handle)
    }

    /// Sends a pickled value; waits while the link's queue is full.
    ///
    /// # Errors
    /// It cannot be encoded or sent.
    pub fn send<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), CallError> {
        let data = pickle::to_bytes(value).map_err(CallError::Encode)?;
        self.put(Encoding::Pickle, data)
    }

    /// Sends uninterpreted bytes, without a copy; waits while the link's queue is full.
    ///
    /// # Errors
    /// They cannot be sent.
    pub fn send_raw(&self, data: Bytes) -> Result<(), CallError> {
        self.put(Encoding::Raw, data)
    }

    /// Tells the receiver that nothing more will be sent.
    pub fn close(&self) {
        if let Some(router) = self.router.upgrade() {
            let _ = router.send(Message::dead(self.context, self.handle, CLOSED));
        }
    }

    fn put(&self, encoding: Encoding, data: Bytes) -> Result<(), CallError> {
        let router = self
            .router
            .upgrade()
            .ok_or_else(|| SendError::LinkLost("the local router has shut down".to_owned()))?;
        Ok(router.send_blocking(Message::new(self.context, self.handle, encoding, data), None)?)
    }
}

impl Serialize for Sender {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Value::Sender { context: self.context, handle: self.handle }.serialize(serializer)
    }
}
