//! Modules ahead of the calls that will import them, so that nobody has to ask.
//!
//! What the called module's import will need goes before the call; what only its functions import
//! goes behind it, so that the call does not wait for it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mitogen_core::ids::ContextId;
use mitogen_core::importer;
use mitogen_core::router::{CallHook, Router, SendError, WeakRouter};

use super::stats::Counters;
use super::store::{StockAnswer, Store};

/// Sends modules to whoever will need them.
pub(crate) struct Feeder {
    store: Arc<Store>,
    router: WeakRouter,
    /// What has been seen to, by context: the way of nearly every call.
    fed: Mutex<HashMap<ContextId, HashSet<Box<str>>>>,
}

impl Feeder {
    /// A feeder for the tree of `router`.
    pub(crate) fn new(store: Arc<Store>, router: WeakRouter) -> Arc<Self> {
        Arc::new(Self { store, router, fed: Mutex::default() })
    }

    fn fed(&self) -> MutexGuard<'_, HashMap<ContextId, HashSet<Box<str>>>> {
        self.fed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `module` was not seen to for `context` yet; true once.
    fn is_new(&self, router: &Router, context: ContextId, module: &str) -> bool {
        let mut fed = self.fed();
        if fed.get(&context).is_some_and(|modules| modules.contains(module)) {
            return false;
        }
        let first = !fed.contains_key(&context);
        fed.entry(context).or_default().insert(module.into());
        drop(fed);
        if first && let Some(hook) = router.call_hook().map(Arc::downgrade) {
            router.on_disconnect(context, move |_| {
                if let Some(hook) = hook.upgrade() {
                    hook.forget(context);
                }
            });
        }
        true
    }
}

/// Sends `module` towards `context`, unless what is between has it.
pub(super) fn send(
    store: &Store,
    router: &Router,
    context: ContextId,
    module: &str,
) -> Result<(), SendError> {
    let packed = match store.stock_module(context, module) {
        Some(StockAnswer::ThereAlready) => return Ok(()),
        Some(StockAnswer::Module(packed)) => Some(packed),
        None => None,
    };
    importer::deliver(router, context, module, || {
        let packed = packed.unwrap_or_else(|| store.packed(module));
        let counters = &store.counters;
        Counters::add(&counters.sent, 1);
        Counters::add(&counters.sent_bytes, packed.payload.len());
        Counters::add(&counters.negative, usize::from(packed.negative));
        packed.payload
    })
    .map(drop)
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
        let Some(router) = self.router.upgrade() else { return false };
        if !self.is_new(&router, context, module) {
            return false;
        }
        // Where there is no way to the context, the call itself will say so.
        let _ = send_with_needs(&self.store, &router, context, module);
        !self.store.related(module).deferred.is_empty()
    }

    fn before_program(&self, context: ContextId, source: &Bytes) {
        let Some(router) = self.router.upgrade() else { return };
        for name in self.store.imports_of(source) {
            if self.is_new(&router, context, &name) {
                let _ = send_with_needs(&self.store, &router, context, &name);
            }
        }
    }

    fn after(&self, context: ContextId, module: &str) {
        let Some(router) = self.router.upgrade() else { return };
        for name in &self.store.related(module).deferred {
            let _ = send(&self.store, &router, context, name);
        }
    }

    fn forget(&self, context: ContextId) {
        self.fed().remove(&context);
    }
}
