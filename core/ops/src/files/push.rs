//! Upstream Mitogen's `PushFileService`, the sending side: small files for contexts and the contexts between,
//! each sent once over each link and kept in memory.
//!
//! Python code reads them from `mitogen.service.PushFileService`, which waits for files that have not arrived
//! yet. For large files, and for files that belong on a disk, use [`super::put`].

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use mitogen_core::call::Context;
use mitogen_core::ids::ContextId;
use mitogen_core::pickle::Value;
use mitogen_core::router::Router;

use super::broadcast::shared_next_hop;
use super::error::FileError;

/// The name of the service in calls.
pub const PUSH_FILE_SERVICE: &str = "mitogen.service.PushFileService";

/// Files that have been pushed. Clones share them.
#[derive(Clone, Debug)]
pub struct PushFileService {
    router: Router,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    cache: HashMap<String, Bytes>,
    /// The paths that each next hop has been sent.
    sent: HashMap<ContextId, HashSet<String>>,
}

impl PushFileService {
    /// A service that pushes to the contexts of `router`.
    pub fn new(router: &Router) -> Self {
        Self { router: router.clone(), state: Arc::default() }
    }

    /// Reads the file and sends it to `context`, where it has the same path. Blocks for the disk only.
    ///
    /// # Errors
    /// The file cannot be read, or there is no route to the context.
    pub fn propagate_to(&self, context: &Context, path: &Path) -> Result<(), FileError> {
        let data = fs::read(path).map_err(|error| FileError::local(path, &error))?;
        self.propagate_data(context, &path.to_string_lossy(), data.into())
    }

    /// Sends `data` to `context` under the name `path`, which need not exist.
    ///
    /// # Errors
    /// There is no route to the context.
    pub fn propagate_data(&self, context: &Context, path: &str, data: Bytes) -> Result<(), FileError> {
        let peer = shared_next_hop(context);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.cache.get(path).is_some_and(|old| *old != data) {
            // Contents that have changed are sent again.
            for sent in state.sent.values_mut() {
                sent.remove(path);
            }
        }
        state.cache.insert(path.to_owned(), data.clone());
        let first = self.sent_to(&mut state, peer).insert(path.to_owned());
        let next_hop = Context::new(&self.router, peer, "");
        let mut arguments = vec![
            ("path", Value::from(path)),
            ("context", Value::Context { id: context.id(), name: Some(context.name().to_owned()) }),
        ];
        // With the lock held, so that the contents are sent before messages that refer to them.
        if first {
            arguments.push(("data", Value::Blob(data)));
            next_hop.call_service_no_reply(PUSH_FILE_SERVICE, "store_and_forward", &arguments)?;
        } else if peer != context.id() {
            next_hop.call_service_no_reply(PUSH_FILE_SERVICE, "forward", &arguments)?;
        }
        Ok(())
    }

    /// The paths that `peer` has been sent; forgotten when it disconnects.
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
