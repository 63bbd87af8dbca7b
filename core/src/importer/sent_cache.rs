//! What has been sent already, so that nothing is sent twice.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ids::ContextId;
use crate::router::{Router, WeakRouter};

/// What one router has sent to its neighbours and to other contexts, by name. What was sent to a
/// context is forgotten when that context is lost; ids are never used twice.
///
/// Each question notes its answer: it gives `true` the first time only.
#[derive(Debug)]
pub struct SentCache {
    router: WeakRouter,
    contexts: Mutex<HashMap<ContextId, Sent>>,
}

#[derive(Debug, Default)]
struct Sent {
    over_link: HashSet<Box<str>>,
    to_context: HashSet<Box<str>>,
    called: HashSet<Box<str>>,
}

impl SentCache {
    /// The cache of `router`.
    pub fn of(router: &Router) -> &Self {
        router.extensions().get_or_init(|| Self { router: router.downgrade(), contexts: Mutex::default() })
    }

    /// Whether `what` has not yet been sent over the link to `neighbor`.
    pub fn first_over_link(&self, neighbor: ContextId, what: &str) -> bool {
        self.first(neighbor, what, |sent| &mut sent.over_link)
    }

    /// Whether `what` has not yet been sent to `context`. Counted apart from what has crossed the link to it.
    pub fn first_to_context(&self, context: ContextId, what: &str) -> bool {
        self.first(context, what, |sent| &mut sent.to_context)
    }

    /// Whether no modules have been preloaded yet for calls into `module` in `context`.
    pub fn first_call(&self, context: ContextId, module: &str) -> bool {
        self.first(context, module, |sent| &mut sent.called)
    }

    fn first(&self, id: ContextId, what: &str, which: fn(&mut Sent) -> &mut HashSet<Box<str>>) -> bool {
        let mut contexts = self.contexts();
        let is_new = !contexts.contains_key(&id);
        let names = which(contexts.entry(id).or_default());
        // Looked up first: nearly always it is there, and then nothing is allocated.
        let is_first = !names.contains(what) && names.insert(what.into());
        drop(contexts);
        if is_new {
            self.forget_when_lost(id);
        }
        is_first
    }

    fn forget_when_lost(&self, id: ContextId) {
        let Some(router) = self.router.upgrade() else { return };
        let weak = self.router.clone();
        router.on_disconnect(id, move |_| {
            if let Some(router) = weak.upgrade() {
                Self::of(&router).contexts().remove(&id);
            }
        });
    }

    fn contexts(&self) -> MutexGuard<'_, HashMap<ContextId, Sent>> {
        self.contexts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Broker;
    use crate::ids::Identity;
    use crate::io::default_poller;
    use crate::router::RouterOptions;

    #[test]
    fn everything_is_first_once_and_again_after_a_loss() {
        let broker = Broker::start("test", default_poller().unwrap()).unwrap();
        let router = Router::new(Identity::master(), broker.handle(), RouterOptions::default());
        let cache = SentCache::of(&router);
        let [one, two] = [(); 2].map(|()| router.ids().allocate());
        let link = router.links().begin(one, "one");
        assert!(cache.first_over_link(one, "pkg"));
        assert!(!cache.first_over_link(one, "pkg"));
        assert!(cache.first_over_link(two, "pkg"), "another link");
        assert!(cache.first_to_context(one, "pkg"), "contexts are counted apart");
        assert!(!cache.first_to_context(one, "pkg"));
        assert!(cache.first_call(one, "pkg"), "and so are calls");
        assert!(!cache.first_call(one, "pkg"));
        router.links().lost(link, "it has gone");
        assert!(!cache.contexts().contains_key(&one));
        assert!(!SentCache::of(&router).first_over_link(two, "pkg"), "the others are kept");
        assert!(cache.first_over_link(one, "pkg"));
        broker.shutdown();
    }
}
