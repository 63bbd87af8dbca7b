//! The handlers that only the root of a tree has: log records that contexts forward, and blocks of ids for
//! contexts that have children.

use mitogen_core::ids::ContextId;
use mitogen_core::logging::{ForwardedLog, emit};
use mitogen_core::pickle;
use mitogen_core::router::{Delivery, HandlerOptions, Router};
use mitogen_core::wire::{Encoding, Message, WellKnownHandle};

/// How many ids a context gets at once, as in upstream Mitogen.
const ID_BLOCK: u32 = 1000;

/// Registers the handlers for `FORWARD_LOG` and `ALLOCATE_ID`.
pub(crate) fn register(router: &Router) {
    let weak = router.downgrade();
    router.add_handler(
        Some(WellKnownHandle::ForwardLog.handle()),
        HandlerOptions::default(),
        move |delivery| {
            if let Some(router) = weak.upgrade() {
                forward_log(&router, &delivery);
            }
        },
    );
    let weak = router.downgrade();
    router.add_handler(
        Some(WellKnownHandle::AllocateId.handle()),
        HandlerOptions::default(),
        move |delivery| {
            if let Some(router) = weak.upgrade() {
                allocate_ids(&router, &delivery.message);
            }
        },
    );
}

fn forward_log(router: &Router, delivery: &Delivery) {
    let message = &delivery.message;
    if message.is_dead() {
        return;
    }
    match ForwardedLog::parse(&message.data) {
        Some(log) => emit(&log, message.src_id, router.directory().name_of(message.src_id).as_deref()),
        None => tracing::warn!(src = message.src_id.0, "a FORWARD_LOG message is not logger, level and text"),
    }
}

fn allocate_ids(router: &Router, message: &Message) {
    if !message.wants_reply() {
        return;
    }
    let Some(ContextId(first)) = router.ids().allocate_block(ID_BLOCK) else {
        tracing::error!(
            src = message.src_id.0,
            "half of all context ids have been given out in blocks; no more are given"
        );
        let dead = Message::dead(message.src_id, message.reply_to, "no more ids");
        if let Err(error) = router.send(dead) {
            tracing::debug!(%error, "the context that asked for a block of ids is gone");
        }
        return;
    };
    match pickle::to_bytes(&(first, first + ID_BLOCK)) {
        Ok(data) => {
            let reply = Message::new(message.src_id, message.reply_to, Encoding::Pickle, data);
            if let Err(error) = router.send(reply) {
                tracing::debug!(%error, "the context that asked for a block of ids is gone");
            }
        }
        Err(error) => tracing::error!(%error, "two integers could not be encoded"),
    }
}
