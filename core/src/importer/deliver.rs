//! Sending one module to one context, through intermediates.

use bytes::Bytes;

use super::sent_cache::SentCache;
use crate::ids::ContextId;
use crate::router::{Router, SendError};
use crate::wire::{Encoding, Message, WellKnownHandle};

/// Sends the module `name`, whose `LOAD_MODULE` payload is `payload`, towards `context`: to the next hop,
/// unless it was sent to it before, and with a request to forward it (`FORWARD_MODULE`) if the context is
/// not the next hop. Gives whether anything was sent.
///
/// Never blocks; what the kernel does not take is queued.
///
/// # Errors
/// There is no route to the context.
pub fn deliver(
    router: &Router,
    context: ContextId,
    name: &str,
    payload: impl FnOnce() -> Bytes,
) -> Result<bool, SendError> {
    let peer =
        router.next_hop(context).ok_or(SendError::NoRoute { dst: context, me: router.identity().id })?;
    if router.identity().parent() == Some(peer) {
        // What is sent to the parent's side is left to the contexts there: they are nearer.
        return Ok(false);
    }
    send_and_forward(router, peer, SentCache::of(router).first_over_link(peer, name), context, name, payload)
}

/// Like [`deliver`], for a module that intermediates before `root` must not keep as one of their own: it
/// goes to `root` as an ordinary message, and from there to `context`, which is `root` or below it.
///
/// # Errors
/// There is no route to `root`.
pub fn deliver_direct(
    router: &Router,
    root: ContextId,
    context: ContextId,
    name: &str,
    payload: impl FnOnce() -> Bytes,
) -> Result<bool, SendError> {
    match router.next_hop(root) {
        Some(peer) if peer != root => {
            let first = SentCache::of(router).first_to_context(root, name);
            send_and_forward(router, root, first, context, name, payload)
        }
        _ => deliver(router, context, name, payload),
    }
}

/// Sends the module to `to`, if it is the `first` time, and asks `to` to forward it to `context`.
fn send_and_forward(
    router: &Router,
    to: ContextId,
    first: bool,
    context: ContextId,
    name: &str,
    payload: impl FnOnce() -> Bytes,
) -> Result<bool, SendError> {
    let mut sent = false;
    if first {
        router.send(Message::new(to, WellKnownHandle::LoadModule, Encoding::Pickle, payload()))?;
        sent = true;
    }
    if to != context && SentCache::of(router).first_to_context(context, name) {
        let data = Bytes::from(format!("{context}\0{name}"));
        router.send(Message::new(to, WellKnownHandle::ForwardModule, Encoding::Legacy, data))?;
        sent = true;
    }
    Ok(sent)
}
