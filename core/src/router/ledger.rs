//! What has been sent ahead, by link and by context, so that nothing is sent twice.

use std::collections::{HashMap, HashSet};

use super::table::LinkId;
use crate::ids::ContextId;

/// Names of things that were sent. Plain data.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    links: HashMap<LinkId, HashSet<Box<str>>>,
    contexts: HashMap<ContextId, HashSet<Box<str>>>,
    calls: HashMap<ContextId, HashSet<Box<str>>>,
}

impl Ledger {
    /// Notes that `what` crosses `link`; whether it does so for the first time.
    pub(super) fn on_link(&mut self, link: LinkId, what: &str) -> bool {
        first(self.links.entry(link).or_default(), what)
    }

    /// Notes that `what` is for `context`; whether it is for the first time.
    pub(super) fn for_context(&mut self, context: ContextId, what: &str) -> bool {
        first(self.contexts.entry(context).or_default(), what)
    }

    /// Notes that calls of `module` in `context` have been seen to; whether for the first time.
    pub(super) fn for_calls(&mut self, context: ContextId, module: &str) -> bool {
        first(self.calls.entry(context).or_default(), module)
    }

    /// The link is gone. Links are never used again.
    pub(super) fn forget_link(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    /// The context is gone. Ids are never used again.
    pub(super) fn forget_context(&mut self, context: ContextId) {
        self.contexts.remove(&context);
        self.calls.remove(&context);
    }
}

fn first(names: &mut HashSet<Box<str>>, what: &str) -> bool {
    // Looked up first: nearly always it is there, and then nothing is allocated.
    !names.contains(what) && names.insert(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_first_once() {
        let mut ledger = Ledger::default();
        let (one, two) = (LinkId(1), LinkId(2));
        assert!(ledger.on_link(one, "pkg"));
        assert!(!ledger.on_link(one, "pkg"));
        assert!(ledger.on_link(two, "pkg"), "another link");
        assert!(ledger.for_context(ContextId(1), "pkg"), "contexts are counted apart");
        assert!(!ledger.for_context(ContextId(1), "pkg"));
        assert!(ledger.for_calls(ContextId(1), "pkg"), "and so are calls");
        assert!(!ledger.for_calls(ContextId(1), "pkg"));
        ledger.forget_link(one);
        ledger.forget_context(ContextId(1));
        assert!(ledger.on_link(one, "pkg"));
        assert!(ledger.for_context(ContextId(1), "pkg"));
        assert!(ledger.for_calls(ContextId(1), "pkg"));
    }
}
