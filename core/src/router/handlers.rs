//! The handlers of a router, by handle.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use super::policy::Policy;
use super::table::LinkId;
use crate::ids::{ContextId, Handle, Identity};
use crate::wire::Message;

/// A message, as it is given to a handler.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message, with the authority that the router has verified or stamped.
    pub message: Message,
    /// The link it came in by; `None` for a message from this context.
    pub ingress: Option<LinkId>,
}

/// Whose messages a handler accepts.
#[derive(Clone, Copy, Debug, Default)]
pub struct HandlerOptions {
    /// Which senders are accepted. All by default.
    pub policy: Policy,
    /// The only context that may send, if set. When it is lost, the handler gets a dead message.
    pub respondent: Option<ContextId>,
}

pub(crate) type Once = Box<dyn FnOnce(Delivery) + Send>;
pub(crate) type Many = Arc<dyn Fn(Delivery) + Send + Sync>;

pub(crate) enum Sink {
    /// Removed before it runs.
    Once(Once),
    /// Stays until it is removed.
    Many(Many),
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Once(_) => "Once",
            Self::Many(_) => "Many",
        })
    }
}

impl Sink {
    pub(crate) fn run(self, delivery: Delivery) {
        match self {
            Self::Once(sink) => sink(delivery),
            Self::Many(sink) => sink(delivery),
        }
    }
}

#[derive(Debug)]
struct Entry {
    options: HandlerOptions,
    sink: Sink,
}

/// The reasons in dead messages, as in upstream Mitogen, whose peers compare prefixes of them.
const INVALID: &str = "invalid handle";
const REFUSED: &str = "refused by policy";
const UNEXPECTED: &str = "reply from unexpected context";

/// Half the bits of a dynamic handle's number, and a mask of as many.
const HALF_BITS: u32 = 15;
const HALF: u32 = (1 << HALF_BITS) - 1;

/// All handlers of one router.
#[derive(Debug, Default)]
pub(crate) struct Handlers {
    entries: HashMap<Handle, Entry>,
    keys: RandomState,
    counter: u32,
}

impl Handlers {
    /// A handle that has not been used before and cannot be guessed: so no context can send to a handle
    /// that it was not told, and a receiver that is dropped late cannot remove the handler of another.
    /// Below 2^31, because upstream Mitogen under Python 2 reads larger numbers as `long` and refuses them.
    fn fresh(&mut self) -> Handle {
        loop {
            let handle = Handle(Handle::FIRST_DYNAMIC.0 + self.shuffle(self.counter));
            self.counter = (self.counter + 1) % (1 << (2 * HALF_BITS));
            // Only after 2^30 handles can one come up again.
            if !self.entries.contains_key(&handle) {
                return handle;
            }
        }
    }

    /// A secret permutation of the numbers below 2^30: four rounds of a Feistel network over the keyed
    /// hash of `HashMap`.
    fn shuffle(&self, number: u32) -> u32 {
        let (mut left, mut right) = (number >> HALF_BITS, number & HALF);
        for round in 0..4u32 {
            let mixed = (self.keys.hash_one((round, right)) as u32) & HALF;
            (left, right) = (right, left ^ mixed);
        }
        left << HALF_BITS | right
    }

    /// Registers `sink` at `handle`, or at a new handle. The sink that it replaces is to be dropped when
    /// this is no longer locked, because that runs code of its owner.
    #[must_use = "the replaced sink is dropped outside the lock"]
    pub(crate) fn add(
        &mut self,
        handle: Option<Handle>,
        options: HandlerOptions,
        sink: Sink,
    ) -> (Handle, Option<Sink>) {
        let handle = handle.unwrap_or_else(|| self.fresh());
        let replaced = self.entries.insert(handle, Entry { options, sink });
        (handle, replaced.map(|entry| entry.sink))
    }

    /// Removes the sink at `handle` and gives it, to be dropped like a replaced one.
    #[must_use = "the sink is dropped outside the lock"]
    pub(crate) fn remove(&mut self, handle: Handle) -> Option<Sink> {
        self.entries.remove(&handle).map(|entry| entry.sink)
    }

    /// The sink for `message`, or the reason of the dead message that its sender gets.
    ///
    /// `peer` is the other end of the ingress link; `is_on_path` tells whether the source is on
    /// the path to a respondent, and so may report its loss.
    pub(crate) fn sink_for(
        &mut self,
        identity: &Identity,
        message: &Message,
        peer: Option<ContextId>,
        is_on_path: impl FnOnce(ContextId) -> bool,
    ) -> Result<Sink, &'static str> {
        let entry = self.entries.get(&message.handle).ok_or(INVALID)?;
        if let Some(respondent) = entry.options.respondent
            && message.src_id != respondent
            && message.src_id != identity.id
            // Upstream Mitogen accepts dead messages of every context here, so that any context can cancel
            // the calls of any other. Only contexts on the path to the respondent can know that it is lost.
            && !(message.is_dead() && is_on_path(respondent))
        {
            return Err(UNEXPECTED);
        }
        if !entry.options.policy.allows(identity, message, peer) {
            return Err(REFUSED);
        }
        if let Sink::Many(sink) = &entry.sink {
            return Ok(Sink::Many(Arc::clone(sink)));
        }
        self.entries.remove(&message.handle).map(|entry| entry.sink).ok_or(INVALID)
    }

    /// Removes and gives every handler that waits for `respondent`.
    pub(crate) fn take_waiting_for(&mut self, respondent: ContextId) -> Vec<(Handle, Sink)> {
        self.entries
            .extract_if(|_, entry| entry.options.respondent == Some(respondent))
            .map(|(handle, entry)| (handle, entry.sink))
            .collect()
    }

    /// Removes and gives every handler.
    pub(crate) fn take_all(&mut self) -> Vec<(Handle, Sink)> {
        self.entries.drain().map(|(handle, entry)| (handle, entry.sink)).collect()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Encoding;

    fn sink() -> Sink {
        Sink::Once(Box::new(|_| ()))
    }

    fn message(src: u32, handle: Handle) -> Message {
        Message {
            src_id: ContextId(src),
            auth_id: ContextId(src),
            ..Message::new(ContextId(0), handle, Encoding::Pickle, &b"\x80\x02N."[..])
        }
    }

    #[test]
    fn respondents_are_checked_and_dead_messages_too() {
        let identity = Identity::master();
        let mut handlers = Handlers::default();
        let options = HandlerOptions { respondent: Some(ContextId(3)), ..HandlerOptions::default() };
        let (handle, _) = handlers.add(None, options, sink());
        let speaks = |_| false;
        assert_eq!(handlers.sink_for(&identity, &message(4, handle), None, speaks).unwrap_err(), UNEXPECTED);
        let forged = Message { src_id: ContextId(4), ..Message::dead(ContextId(0), handle, "gone") };
        assert_eq!(handlers.sink_for(&identity, &forged, None, speaks).unwrap_err(), UNEXPECTED);
        assert!(handlers.sink_for(&identity, &forged, None, |id| id == ContextId(3)).is_ok());
        assert_eq!(handlers.sink_for(&identity, &message(3, handle), None, speaks).unwrap_err(), INVALID);
    }

    #[test]
    fn policies_refuse() {
        let identity = Identity { id: ContextId(5), parents: vec![ContextId(0)] };
        let mut handlers = Handlers::default();
        let options = HandlerOptions { policy: Policy::ParentAuthority, respondent: None };
        let (handle, _) = handlers.add(Some(Handle(101)), options, sink());
        assert_eq!(handlers.sink_for(&identity, &message(6, handle), None, |_| true).unwrap_err(), REFUSED);
        assert!(handlers.sink_for(&identity, &message(0, handle), None, |_| true).is_ok());
    }

    #[test]
    fn a_freed_handle_is_not_given_out_again() {
        let mut handlers = Handlers::default();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..200_000 {
            let (handle, _) = handlers.add(None, HandlerOptions::default(), sink());
            assert!(seen.insert(handle), "{handle} came up twice");
            assert!(handlers.remove(handle).is_some());
        }
    }

    #[test]
    fn handles_are_unpredictable_and_unique() {
        let mut handlers = Handlers::default();
        let handles: Vec<Handle> =
            (0..2000).map(|_| handlers.add(None, HandlerOptions::default(), sink()).0).collect();
        assert_eq!(handlers.len(), handles.len());
        assert!(handles.iter().all(|handle| (1000..1 << 31).contains(&handle.0)));
        let steps: std::collections::HashSet<u32> =
            handles.windows(2).map(|pair| pair[1].0.wrapping_sub(pair[0].0)).collect();
        assert!(steps.len() > 1900, "the distance between handles must not repeat");
    }
}
