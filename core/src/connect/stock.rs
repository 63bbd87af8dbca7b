//! Which direct children run stock's core, and whose copy of it: what is served over a link depends
//! on what runs behind it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::child::StockPackage;
use crate::ids::ContextId;
use crate::router::{LinkId, Router, WeakRouter};

/// The direct children that run stock's core. Cloning it gives the same list.
#[derive(Clone, Debug)]
pub struct StockPeers {
    router: WeakRouter,
    packages: Arc<Mutex<HashMap<ContextId, Arc<StockPackage>>>>,
}

impl StockPeers {
    pub(super) fn new(router: &Router) -> Self {
        Self { router: router.downgrade(), packages: Arc::default() }
    }

    fn packages(&self) -> MutexGuard<'_, HashMap<ContextId, Arc<StockPackage>>> {
        self.packages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The package whose core runs in the direct child through which `id` is reached, or which is
    /// `id`: what is asked for from there as `mitogen.*` is that package's.
    pub fn behind(&self, id: ContextId) -> Option<Arc<StockPackage>> {
        let (_, peer) = self.router.upgrade()?.way_to(id)?;
        self.packages().get(&peer).cloned()
    }

    /// Remembers, for as long as `id` is there, that `package`'s core runs behind `link` to it.
    pub(super) fn add(&self, id: ContextId, link: LinkId, package: &Arc<StockPackage>) {
        let Some(router) = self.router.upgrade() else { return };
        if package.version().has_one_encoding() {
            router.use_one_encoding(link);
        }
        self.packages().insert(id, Arc::clone(package));
        let packages = Arc::clone(&self.packages);
        router.on_disconnect(id, move |_| {
            packages.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        });
    }
}
