//! Which contexts run stock's core, and whose copy of it: what is served to a context, and how it is
//! written, depends on what runs there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::child::StockPackage;
use crate::ids::ContextId;
use crate::router::{LinkId, Router, WeakRouter};

/// The contexts that were started with stock's core, here or by a context of ours. Cloning it gives
/// the same list.
#[derive(Clone, Debug)]
pub struct StockPeers {
    router: WeakRouter,
    known: Arc<Mutex<Known>>,
}

/// Plain data.
#[derive(Debug, Default)]
struct Known {
    contexts: HashMap<ContextId, Arc<StockPackage>>,
    /// Packages that contexts of ours have been sent, by their numbers there.
    sent: Vec<Arc<StockPackage>>,
}

/// Where stock's part of a tree begins: a context of its own kind, started by one of ours.
#[derive(Clone, Debug)]
pub struct StockRoot {
    /// That context.
    pub id: ContextId,
    /// Whose core it runs, and all those below it.
    pub package: Arc<StockPackage>,
}

impl StockPeers {
    pub(super) fn new(router: &Router) -> Self {
        Self { router: router.downgrade(), known: Arc::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stock context that `id` is, or that it is reached through: what is asked for from there as
    /// `mitogen.*` is of that one's package.
    pub fn behind(&self, id: ContextId) -> Option<StockRoot> {
        let router = self.router.upgrade()?;
        let above = router.intermediates(id);
        let peer = router.next_hop(id)?;
        let known = self.known();
        let mut way = [id].into_iter().chain(above).chain([peer]);
        way.find_map(|id| Some(StockRoot { id, package: Arc::clone(known.contexts.get(&id)?) }))
    }

    /// Remembers, for as long as `id` is there, that `package`'s core runs behind `link` to it.
    pub(super) fn add(&self, id: ContextId, link: LinkId, package: &Arc<StockPackage>) {
        let Some(router) = self.router.upgrade() else { return };
        if package.version().legacy_encoding_only() {
            router.links().set_legacy_encoding_only(link, true);
        }
        self.add_below(id, package);
    }

    /// The same for a context that is started by one of ours, which has the link and sees to it.
    pub(super) fn add_below(&self, id: ContextId, package: &Arc<StockPackage>) {
        let Some(router) = self.router.upgrade() else { return };
        self.known().contexts.insert(id, Arc::clone(package));
        let known = Arc::clone(&self.known);
        router.on_disconnect(id, move |_| {
            known.lock().unwrap_or_else(PoisonError::into_inner).contexts.remove(&id);
        });
    }

    /// The number by which contexts of ours are told of `package`; the same for equal ones.
    pub(super) fn number_of(&self, package: &Arc<StockPackage>) -> usize {
        let sent = &mut self.known().sent;
        let same = |other: &Arc<StockPackage>| Arc::ptr_eq(other, package) || other == package;
        sent.iter().position(same).unwrap_or_else(|| {
            sent.push(Arc::clone(package));
            sent.len() - 1
        })
    }
}
