//! Sending modules ahead of the calls that will import them, which saves the round trip of a request.
//!
//! What the import of the called module needs is sent before the call. What only its functions import is
//! sent after the call, so that the call does not wait for it.

use std::sync::Arc;

use bytes::Bytes;
use mitogen_core::ids::ContextId;
use mitogen_core::importer::{self, Preloader, SentCache};
use mitogen_core::router::{Router, SendError, WeakRouter};

use super::delivery_mode::DeliveryMode;
use super::stats::Counters;
use super::store::{Packed, RuntimeAnswer, Store};

/// Sends modules to the contexts that will need them. The router's `SentCache` records what was sent.
pub(crate) struct ModulePreloader {
    store: Arc<Store>,
    router: WeakRouter,
    mode: DeliveryMode,
}

impl ModulePreloader {
    /// Creates a preloader that sends modules through `router`.
    pub(crate) fn new(store: Arc<Store>, router: WeakRouter, mode: DeliveryMode) -> Arc<Self> {
        Arc::new(Self { store, router, mode })
    }

    /// The router; `None` on its I/O thread, which must not read files. Modules for calls from there are not
    /// preloaded but sent when the child requests them.
    fn router(&self) -> Option<Router> {
        self.router.upgrade().filter(|router| !router.broker().is_broker_thread())
    }
}

/// Sends `module` to `context`, unless it was sent before.
pub(super) fn send(
    store: &Store,
    router: &Router,
    mode: &DeliveryMode,
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
    let own = match store.runtime_module(router, context, module) {
        Some(RuntimeAnswer::Preinstalled) => return Ok(()),
        Some(RuntimeAnswer::Private(root, packed)) => {
            return importer::deliver_direct(router, root, context, module, || counted(packed)).map(drop);
        }
        Some(RuntimeAnswer::Shared(packed)) => Some(packed),
        None => None,
    };
    let payload = || counted(own.unwrap_or_else(|| store.packed(module)));
    match mode {
        DeliveryMode::HopByHop => importer::deliver(router, context, module, payload).map(drop),
        DeliveryMode::Direct(_) => {
            importer::deliver_direct(router, context, context, module, payload).map(drop)
        }
    }
}

/// Sends what importing `module` needs, and `module` itself last.
pub(super) fn send_with_needs(
    store: &Store,
    router: &Router,
    mode: &DeliveryMode,
    context: ContextId,
    module: &str,
) -> Result<(), SendError> {
    let related = store.related(module);
    for name in related.needed.iter().chain(&related.missing) {
        send(store, router, mode, context, name)?;
    }
    send(store, router, mode, context, module)
}

/// Sends the modules that the program imports when it runs.
pub(super) fn send_imports(
    store: &Store,
    router: &Router,
    mode: &DeliveryMode,
    context: ContextId,
    program: &Bytes,
) -> Result<(), SendError> {
    for name in store.imports_of(program) {
        if SentCache::of(router).first_call(context, &name) {
            send_with_needs(store, router, mode, context, &name)?;
        }
    }
    Ok(())
}

impl Preloader for ModulePreloader {
    fn before_call(&self, context: ContextId, module: &str) -> bool {
        if self.store.is_elsewhere(module) || !self.mode.serves(context) {
            return false;
        }
        let Some(router) = self.router() else { return false };
        if !SentCache::of(&router).first_call(context, module) {
            return false;
        }
        // If there is no route to the context, the call itself fails with that error.
        let _ = send_with_needs(&self.store, &router, &self.mode, context, module);
        !self.store.related(module).deferred.is_empty()
    }

    fn before_script(&self, context: ContextId, copy: ContextId, source: &Bytes) {
        let Some(router) = self.router() else { return };
        match &self.mode {
            DeliveryMode::HopByHop => {
                let _ = send_imports(&self.store, &router, &self.mode, context, source);
            }
            // The context does not exist yet: its imports are sent with the reply to its first request.
            DeliveryMode::Direct(scoped) => scoped.add(copy, Some(source.clone())),
        }
    }

    fn after_call(&self, context: ContextId, module: &str) {
        let Some(router) = self.router() else { return };
        for name in &self.store.related(module).deferred {
            let _ = send(&self.store, &router, &self.mode, context, name);
        }
    }
}
