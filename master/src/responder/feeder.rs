//! Modules ahead of the calls that will import them, so that nobody has to ask.
//!
//! What the called module's import will need goes before the call; what only its functions import
//! goes behind it, so that the call does not wait for it.

use std::sync::Arc;

use bytes::Bytes;
use mitogen_core::ids::ContextId;
use mitogen_core::importer;
use mitogen_core::router::{CallHook, Router, SendError, WeakRouter};

use super::stats::Counters;
use super::store::{Packed, StockAnswer, Store};

/// Sends modules to whoever will need them. What has been seen to stands in the router's ledger.
pub(crate) struct Feeder {
    store: Arc<Store>,
    router: WeakRouter,
}

impl Feeder {
    /// A feeder for the tree of `router`.
    pub(crate) fn new(store: Arc<Store>, router: WeakRouter) -> Arc<Self> {
        Arc::new(Self { store, router })
    }

    /// The router, unless this is its I/O thread, which reads no file: modules of calls from there
    /// are asked for.
    fn router(&self) -> Option<Router> {
        self.router.upgrade().filter(|router| !router.broker().is_broker_thread())
    }
}

/// Sends `module` towards `context`, unless what is between has it.
pub(super) fn send(
    store: &Store,
    router: &Router,
    context: ContextId,
    module: &str,
) -> Result<(), SendError> {
    let counted = |packed: Packed| {
        let counters = &store.counters;
        Counters::add(&counters.sent, 1);
        Counters::add(&counters.sent_bytes, packed.payload.len());
        Counters::add(&counters.negative, usize::from(packed.negative));
        packed.payload
    };
    match store.stock_module(context, module) {
        Some(StockAnswer::ThereAlready) => Ok(()),
        Some(StockAnswer::Module(root, packed)) => {
            importer::deliver_past(router, root, context, module, || counted(packed)).map(drop)
        }
        None => importer::deliver(router, context, module, || counted(store.packed(module))).map(drop),
    }
}

/// Sends what importing `module` needs, and `module` itself last.
pub(super) fn send_with_needs(
    store: &Store,
    router: &Router,
    context: ContextId,
    module: &str,
) -> Result<(), SendError> {
    let related = store.related(module);
    for name in related.needed.iter().chain(&related.missing) {
        send(store, router, context, name)?;
    }
    send(store, router, context, module)
}

impl CallHook for Feeder {
    fn before(&self, context: ContextId, module: &str) -> bool {
        if self.store.is_elsewhere(module) {
            return false;
        }
        let Some(router) = self.router() else { return false };
        if !router.first_call(context, module) {
            return false;
        }
        // Where there is no way to the context, the call itself will say so.
        let _ = send_with_needs(&self.store, &router, context, module);
        !self.store.related(module).deferred.is_empty()
    }

    fn before_program(&self, context: ContextId, source: &Bytes) {
        let Some(router) = self.router() else { return };
        for name in self.store.imports_of(source) {
            if router.first_call(context, &name) {
                let _ = send_with_needs(&self.store, &router, context, &name);
            }
        }
    }

    fn after(&self, context: ContextId, module: &str) {
        let Some(router) = self.router() else { return };
        for name in &self.store.related(module).deferred {
            let _ = send(&self.store, &router, context, name);
        }
    }
}
