//! Sending a module to a context, through those between.

use bytes::Bytes;

use super::message::embedded_payload;
use super::sent_cache::SentCache;
use crate::child;
use crate::ids::ContextId;
use crate::router::{Router, SendError};
use crate::wire::{Encoding, Message, WellKnownHandle};

/// Sends the module `name`, whose `LOAD_MODULE` payload is `payload`, towards `context`: to the
/// neighbour on the way, unless it has it, and with word to pass it on (`FORWARD_MODULE`) if the
/// context is not that neighbour. Gives whether anything was sent.
///
/// Never blocks; what the kernel does not take is queued.
///
/// # Errors
/// There is no way to the context.
pub fn deliver(
    router: &Router,
    context: ContextId,
    name: &str,
    payload: impl FnOnce() -> Bytes,
) -> Result<bool, SendError> {
    let peer =
        router.next_hop(context).ok_or(SendError::NoRoute { dst: context, me: router.identity().id })?;
    if router.identity().parent() == Some(peer) {
        // Those above serve whoever is below them better than we, who would send through them.
        return Ok(false);
    }
    hand(router, peer, SentCache::of(router).first_over_link(peer, name), context, name, payload)
}

/// The same for a module that those between us and `root` must not mistake for one of theirs: it goes
/// to `root` as an ordinary message, and from there on to `context`, which is `root` or below it.
///
/// # Errors
/// There is no way to `root`.
pub fn deliver_past(
    router: &Router,
    root: ContextId,
    context: ContextId,
    name: &str,
    payload: impl FnOnce() -> Bytes,
) -> Result<bool, SendError> {
    match router.next_hop(root) {
        Some(peer) if peer != root => {
            let first = SentCache::of(router).first_to_context(root, name);
            hand(router, root, first, context, name, payload)
        }
        _ => deliver(router, context, name, payload),
    }
}

/// Gives the module to `to`, if it is the `first` time, and tells `to` to see it through to `context`.
fn hand(
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

/// Sends a module of our own runtime, and those that it imports, to `context`, unasked.
///
/// # Errors
/// There is no way to the context.
pub fn push_module(router: &Router, context: ContextId, name: &str) -> Result<(), SendError> {
    // What it imports goes first, so that its import asks for nothing.
    for related in child::embedded_related(name) {
        push_module(router, context, related)?;
    }
    deliver(router, context, name, || embedded_payload(name))?;
    Ok(())
}
