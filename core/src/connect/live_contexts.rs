//! The contexts that one connector has started and that are connected, for `mitogen tree`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::connect_handle::ConnectHandle;
use crate::ids::ContextId;

/// A connected context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextInfo {
    /// Its id.
    pub id: ContextId,
    /// Its name.
    pub name: String,
    /// The context that started it.
    pub via: ContextId,
    /// The transport's name.
    pub method: String,
    /// When it connected.
    pub since: SystemTime,
}

/// The list of one connector. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct LiveContexts(Arc<Mutex<BTreeMap<ContextId, ContextInfo>>>);

impl LiveContexts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ContextId, ContextInfo>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists the context while it is connected.
    pub(super) fn follow(&self, connecting: &ConnectHandle, via: ContextId, method: &str) {
        let context = connecting.context();
        let (id, name, method) = (context.id(), context.name().to_owned(), method.to_owned());
        let list = self.clone();
        connecting.on_done(move |outcome| {
            if outcome.is_ok() {
                list.lock().insert(id, ContextInfo { id, name, via, method, since: SystemTime::now() });
            }
        });
        let list = self.clone();
        context.on_disconnect(move |_| {
            list.lock().remove(&id);
        });
    }

    pub(super) fn all(&self) -> Vec<ContextInfo> {
        self.lock().values().cloned().collect()
    }
}
