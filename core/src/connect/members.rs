//! Which contexts have been started and are up, for whoever draws the tree.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::connecting::Connecting;
use crate::ids::ContextId;

/// A context that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub id: ContextId,
    /// Its name.
    pub name: String,
    /// The context that started it.
    pub via: ContextId,
    /// The transport's name.
    pub method: String,
    /// When it came up.
    pub since: SystemTime,
}

/// The contexts of one connector. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub(super) struct Members(Arc<Mutex<BTreeMap<ContextId, Member>>>);

impl Members {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ContextId, Member>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists the context from when it comes up until it is lost.
    pub(super) fn follow(&self, connecting: &Connecting, via: ContextId, method: &str) {
        let context = connecting.context();
        let (id, name, method) = (context.id(), context.name().to_owned(), method.to_owned());
        let members = self.clone();
        connecting.on_done(move |outcome| {
            if outcome.is_ok() {
                members.lock().insert(id, Member { id, name, via, method, since: SystemTime::now() });
            }
        });
        let members = self.clone();
        context.on_disconnect(move |_| {
            members.lock().remove(&id);
        });
    }

    pub(super) fn all(&self) -> Vec<Member> {
        self.lock().values().cloned().collect()
    }
}
