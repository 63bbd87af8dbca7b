//! Stock Mitogen's `PushFileService`, from here: small files for branches of the tree, each once over each
//! link, kept in memory by every context on the way.
//!
//! Code there has them from `mitogen.service.PushFileService`, which waits for what is still coming. What
//! is large, or belongs on a disk, is better [`super::put`].

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use mitogen_core::call::Context;
use mitogen_core::ids::ContextId;
use mitogen_core::pickle::Value;
use mitogen_core::router::Router;

use super::error::FileError;
use super::group::relay_to;

/// The name under which Python programs call it.
pub const PUSH_FILE_SERVICE: &str = "mitogen.service.PushFileService";

/// Files that have been pushed, and how far. Clones are the same.
#[derive(Clone, Debug)]
pub struct PushFileService {
    router: Router,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    cache: HashMap<String, Bytes>,
    /// By neighbour: what it was sent.
    sent: HashMap<ContextId, HashSet<String>>,
}

impl PushFileService {
    /// For the contexts of this tree.
    pub fn new(router: &Router) -> Self {
        Self { router: router.clone(), state: Arc::default() }
    }

    /// Reads the file, now, and sends it to `context`, where it is known by the same path. Waits for
    /// nothing but the disk.
    ///
    /// # Errors
    /// The file cannot be read, or there is no way to the context.
    pub fn propagate_to(&self, context: &Context, path: &Path) -> Result<(), FileError> {
        let data = fs::read(path).map_err(|error| FileError::here(path, &error))?;
        self.propagate_data(context, &path.to_string_lossy(), data.into())
    }

    /// The same with contents that come from elsewhere: `path` is no more than their name.
    ///
    /// # Errors
    /// There is no way to the context.
    pub fn propagate_data(&self, context: &Context, path: &str, data: Bytes) -> Result<(), FileError> {
        let peer = relay_to(context);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.cache.get(path).is_some_and(|old| *old != data) {
            // What has changed since is sent again.
            for sent in state.sent.values_mut() {
                sent.remove(path);
            }
        }
        state.cache.insert(path.to_owned(), data.clone());
        let first = self.sent_to(&mut state, peer).insert(path.to_owned());
        let there = Context::new(&self.router, peer, "");
        let mut arguments = vec![
            ("path", Value::from(path)),
            ("context", Value::Context { id: context.id(), name: Some(context.name().to_owned()) }),
        ];
        // With the lock held, so that the contents go ahead of what refers to them.
        if first {
            arguments.push(("data", Value::Blob(data)));
            there.call_service_no_reply(PUSH_FILE_SERVICE, "store_and_forward", &arguments)?;
        } else if peer != context.id() {
            there.call_service_no_reply(PUSH_FILE_SERVICE, "forward", &arguments)?;
        }
        Ok(())
    }

    /// What `peer` was sent; forgotten when it is gone.
    fn sent_to<'s>(&self, state: &'s mut State, peer: ContextId) -> &'s mut HashSet<String> {
        state.sent.entry(peer).or_insert_with(|| {
            let all = Arc::clone(&self.state);
            self.router.on_disconnect(peer, move |_| {
                all.lock().unwrap_or_else(PoisonError::into_inner).sent.remove(&peer);
            });
            HashSet::new()
        })
    }
}
