//! Answers to `GET_MODULE`: the modules of our own runtime, to children that run stock's core those
//! of their package; a clear no for all others.
//!
//! The answer is a `LOAD_MODULE` to whoever is next on the way to the asker.

use mitogen_core::connect::StockPeers;
use mitogen_core::importer::embedded_payload;
use mitogen_core::router::{Delivery, HandlerOptions, Router};
use mitogen_core::wire::{Encoding, Message, Standard};

use crate::stock;

/// Listens for questions.
pub(crate) fn listen(router: &Router, stock: StockPeers) {
    let weak = router.downgrade();
    router.add_handler(Some(Standard::GetModule.handle()), HandlerOptions::default(), move |delivery| {
        if let Some(router) = weak.upgrade() {
            answer(&router, &stock, &delivery);
        }
    });
}

fn answer(router: &Router, stock: &StockPeers, delivery: &Delivery) {
    let message = &delivery.message;
    if message.is_dead() {
        return;
    }
    let Ok(name) = std::str::from_utf8(&message.data) else {
        tracing::warn!(src = message.src_id.0, "a GET_MODULE for a name that is not text");
        return;
    };
    tracing::debug!(src = message.src_id.0, module = name, "asked for a module");
    let data = match stock.behind(message.src_id) {
        Some(package) => stock::module_payload(&package, name),
        None => embedded_payload(name),
    };
    let reply = Message::new(message.src_id, Standard::LoadModule, Encoding::Pickle, data);
    if let Err(error) = router.send(reply) {
        tracing::debug!(%error, "the asker of a module has gone");
    }
}
