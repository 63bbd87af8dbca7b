//! What contexts are called, and why those that are lost were lost.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ids::ContextId;

/// Characters of a name that are kept, as many as a message may carry.
const MAX_NAME_LEN: usize = 500;

/// How many lost contexts are remembered at most. When there are more, all are forgotten.
const MAX_DISCONNECT_REASONS: usize = 4096;

/// Names of contexts, and why contexts were lost. Ids are never used twice, so a context that has been
/// lost stays lost.
#[derive(Debug, Default)]
pub struct Directory(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    names: HashMap<ContextId, String>,
    disconnect_reasons: HashMap<ContextId, String>,
}

impl Directory {
    /// The name that `id` was announced or started with. The name of a lost context is known as long
    /// as the reason of its loss.
    pub fn name_of(&self, id: ContextId) -> Option<String> {
        self.lock().names.get(&id).cloned()
    }

    /// Notes the name of `id`, for logs; the first 500 characters of it.
    pub fn set_name(&self, id: ContextId, name: &str) {
        let name = name.chars().take(MAX_NAME_LEN).collect();
        self.lock().names.insert(id, name);
    }

    /// Why `id` was lost, if it was lost and is still remembered.
    pub fn disconnect_reason(&self, id: ContextId) -> Option<String> {
        self.lock().disconnect_reasons.get(&id).cloned()
    }

    /// `context ID (NAME)`, for messages to people.
    pub(super) fn describe(&self, id: ContextId) -> String {
        match self.name_of(id) {
            Some(name) => format!("context {id} ({name})"),
            None => format!("context {id}"),
        }
    }

    /// Notes that `id` has been lost.
    pub(super) fn note_lost(&self, id: ContextId, reason: &str) {
        let known = &mut *self.lock();
        if known.disconnect_reasons.len() >= MAX_DISCONNECT_REASONS {
            for (id, _) in known.disconnect_reasons.drain() {
                known.names.remove(&id);
            }
        }
        known.disconnect_reasons.insert(id, reason.to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_contexts_are_remembered_for_a_time() {
        const LOST: u32 = 10_000;
        let directory = Directory::default();
        let stays = ContextId(0);
        directory.set_name(stays, "stays");
        for id in (1..=LOST).map(ContextId) {
            directory.set_name(id, "goes");
            directory.note_lost(id, "it has gone");
            assert_eq!(directory.describe(id), format!("context {id} (goes)"));
            assert_eq!(directory.disconnect_reason(id).as_deref(), Some("it has gone"));
        }
        let known = (1..=LOST).filter(|id| directory.name_of(ContextId(*id)).is_some()).count();
        assert!(known <= MAX_DISCONNECT_REASONS, "{known} names of {LOST} contexts that are gone");
        assert_eq!(directory.name_of(stays).as_deref(), Some("stays"));
        directory.set_name(stays, &"x".repeat(1 << 20));
        assert_eq!(directory.name_of(stays).map(|name| name.len()), Some(MAX_NAME_LEN));
        assert_eq!(directory.describe(ContextId(1)), "context 1");
    }
}
