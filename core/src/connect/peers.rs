//! Which runtime runs in which context, and what contexts have been sent because of it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::call::CallError;
use crate::ids::ContextId;
use crate::importer::{self, deliver};
use crate::router::{Router, WeakRouter};
use crate::runtime::{Blob, BlobId, Boot, Feature, Runtime, RuntimeModule};

/// The runtimes of the contexts of one router's tree.
#[derive(Debug)]
pub struct Peers {
    router: WeakRouter,
    /// The runtime of contexts that another process started.
    default: OnceLock<Arc<dyn Runtime>>,
    known: Mutex<HashMap<ContextId, Peer>>,
}

#[derive(Debug)]
struct Peer {
    runtime: Arc<dyn Runtime>,
    /// What the context was started with, in order.
    boot: Vec<BlobId>,
    /// What the context has been sent for its children.
    sent: HashSet<BlobId>,
}

/// The context with which a part of the tree begins that has a runtime of its own.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RuntimeRoot {
    /// The context.
    pub id: ContextId,
    /// What runs in it and in the contexts below it.
    pub runtime: Arc<dyn Runtime>,
}

impl Peers {
    /// The runtimes of `router`'s tree.
    pub fn of(router: &Router) -> &Self {
        router.extensions().get_or_init(|| Self {
            router: router.downgrade(),
            default: OnceLock::new(),
            known: Mutex::default(),
        })
    }

    /// Sets, once, the runtime of contexts that were started by another process: those of a running
    /// session that this process has joined.
    pub fn set_default(&self, runtime: Arc<dyn Runtime>) {
        // The first one stays: contexts may have been sent what it requires.
        let _ = self.default.set(runtime);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<ContextId, Peer>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records, until `id` is lost, that it was started as `boot` describes.
    pub(super) fn add(&self, id: ContextId, runtime: Arc<dyn Runtime>, boot: &Boot) {
        let Some(router) = self.router.upgrade() else { return };
        let boot = boot.blobs.iter().map(Blob::id).collect();
        self.known().insert(id, Peer { runtime, boot, sent: HashSet::new() });
        let weak = self.router.clone();
        router.on_disconnect(id, move |_| {
            if let Some(router) = weak.upgrade() {
                Self::of(&router).known().remove(&id);
            }
        });
    }

    /// The position of the blob among those that `id` was started with, and so has.
    pub(super) fn boot_blob(&self, id: ContextId, blob: BlobId) -> Option<usize> {
        self.known().get(&id)?.boot.iter().position(|own| *own == blob)
    }

    /// Records that the blob is sent to `id`, to be kept there. Returns whether it is the first time.
    pub(super) fn first_blob(&self, id: ContextId, blob: BlobId) -> bool {
        self.known().get_mut(&id).is_none_or(|peer| peer.sent.insert(blob))
    }

    /// The nearest context on the route to `id`, beginning with `id` itself, whose runtime is known
    /// because it was started from here.
    pub fn root(&self, id: ContextId) -> Option<RuntimeRoot> {
        let router = self.router.upgrade()?;
        let find = |id: ContextId| {
            let runtime = Arc::clone(&self.known().get(&id)?.runtime);
            Some(RuntimeRoot { id, runtime })
        };
        // Nearly always the context itself is known.
        find(id).or_else(|| {
            let neighbor = router.next_hop(id)?;
            router.intermediates(id).into_iter().chain([neighbor]).find_map(find)
        })
    }

    /// What runs in `id`; `None` if that is not known.
    pub fn runtime(&self, id: ContextId) -> Option<Arc<dyn Runtime>> {
        self.root(id).map(|root| root.runtime).or_else(|| self.default.get().cloned())
    }

    /// Makes sure that `id` can be asked for `feature`: sends the modules that its runtime requires for
    /// it and that it has not been sent yet. Does not wait.
    ///
    /// # Errors
    /// The runtime does not have the feature, or there is no route to the context.
    pub fn provide(&self, id: ContextId, feature: Feature) -> Result<(), CallError> {
        let (Some(router), Some(runtime)) = (self.router.upgrade(), self.runtime(id)) else {
            return Ok(());
        };
        for name in runtime.requirements(feature)? {
            deliver(&router, id, name, || match runtime.module(name) {
                Some(RuntimeModule::Shared(payload) | RuntimeModule::Private(payload)) => payload,
                Some(RuntimeModule::Preinstalled | RuntimeModule::Absent) | None => {
                    importer::negative_payload(name, None)
                }
            })?;
        }
        Ok(())
    }
}
