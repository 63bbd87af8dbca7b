//! How modules are delivered, and to which contexts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mitogen_core::ids::ContextId;

/// How modules are delivered.
#[derive(Clone, Debug)]
pub(crate) enum DeliveryMode {
    /// To the next hop, which caches and relays them: the mode of a master, for all contexts.
    HopByHop,
    /// Directly to the context, because intermediates may have other modules of the same names: the mode of
    /// a client, for the contexts that were started for it.
    Direct(ScopedContexts),
}

impl DeliveryMode {
    /// Whether modules are served to `context`.
    pub(super) fn serves(&self, context: ContextId) -> bool {
        match self {
            Self::HopByHop => true,
            Self::Direct(scoped) => scoped.lock().contains_key(&context),
        }
    }
}

/// The contexts that were started for a client. For a context that runs a program, the program until its
/// imports have been sent. Clones share the list.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScopedContexts(Arc<Mutex<HashMap<ContextId, Option<Bytes>>>>);

impl ScopedContexts {
    fn lock(&self) -> MutexGuard<'_, HashMap<ContextId, Option<Bytes>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a context that is about to be started.
    pub(crate) fn add(&self, context: ContextId, program: Option<Bytes>) {
        self.lock().insert(context, program);
    }

    /// Takes the program that the context runs; `None` on every call but the first.
    pub(super) fn take_program(&self, context: ContextId) -> Option<Bytes> {
        self.lock().get_mut(&context)?.take()
    }
}
