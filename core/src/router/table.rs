//! The routing table: links, and the contexts that are reached by each.
//!
//! Plain data, without locks and descriptors; generic in where a link's bytes go, so that verdicts
//! are tested without any.

use std::collections::{HashMap, HashSet};

use crate::ids::{ContextId, Identity};
use crate::wire::Encoding;

/// A link of one router. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u64);

/// One link.
#[derive(Debug)]
pub(crate) struct LinkEntry<O> {
    /// The context at the other end.
    pub(crate) remote_id: ContextId,
    /// The authority that replaces that of messages which come in by this link (unix clients).
    pub(crate) auth_stamp: Option<ContextId>,
    /// Whether contexts behind it have authority over this one; computed once.
    pub(crate) privileged: bool,
    /// Whether its other end knows, or may know, one payload encoding only (upstream Mitogen before
    /// 0.3.39).
    pub(crate) legacy_encoding_only: bool,
    /// Contexts that the other end has sent to: it must be told of their loss.
    pub(crate) egress: HashSet<ContextId>,
    /// Where its bytes go.
    pub(crate) outlet: O,
}

/// Links and routes.
#[derive(Debug)]
pub struct Table<O> {
    links: HashMap<LinkId, LinkEntry<O>>,
    routes: HashMap<ContextId, LinkId>,
    /// Child to parent, where it is known: an ancestor may report the loss of a context.
    lineage: HashMap<ContextId, ContextId>,
    parent: Option<LinkId>,
    next: u64,
}

impl<O> Default for Table<O> {
    fn default() -> Self {
        Self { links: HashMap::new(), routes: HashMap::new(), lineage: HashMap::new(), parent: None, next: 1 }
    }
}

impl<O> Table<O> {
    /// Adds a link and the route to its other end.
    pub fn add_link(
        &mut self,
        identity: &Identity,
        remote_id: ContextId,
        auth_stamp: Option<ContextId>,
        outlet: O,
    ) -> LinkId {
        let id = LinkId(self.next);
        self.next += 1;
        let privileged = identity.parents.contains(&remote_id)
            || auth_stamp.is_some_and(|stamp| identity.has_parent_authority(stamp));
        let egress = HashSet::new();
        let entry =
            LinkEntry { remote_id, auth_stamp, privileged, legacy_encoding_only: false, egress, outlet };
        self.links.insert(id, entry);
        self.routes.insert(remote_id, id);
        if identity.parent() == Some(remote_id) {
            self.parent = Some(id);
        } else {
            self.lineage.insert(remote_id, identity.id);
        }
        id
    }

    /// Removes a link. Gives the contexts that were reached by it, in the order of their ids.
    pub fn remove_link(&mut self, link: LinkId) -> Option<(O, Vec<ContextId>)> {
        let entry = self.links.remove(&link)?;
        let mut lost: Vec<ContextId> =
            self.routes.iter().filter(|&(_, via)| *via == link).map(|(id, _)| *id).collect();
        lost.sort_unstable();
        for id in &lost {
            self.routes.remove(id);
            self.lineage.remove(id);
        }
        if self.parent == Some(link) {
            self.parent = None;
        }
        Some((entry.outlet, lost))
    }

    /// Notes that `id` is reached by `link`, and that `parent`, if known, is its parent. Gives `false` and
    /// changes nothing if `id` is reached by another link, other than the one to this context's parent.
    pub fn add_route(&mut self, id: ContextId, link: LinkId, parent: Option<ContextId>) -> bool {
        if let Some(known) = self.routes.get(&id)
            && *known != link
            && Some(*known) != self.parent
        {
            return false;
        }
        self.routes.insert(id, link);
        if let Some(parent) = parent {
            self.lineage.entry(id).or_insert(parent);
        }
        true
    }

    /// Forgets the route to `id`.
    pub fn remove_route(&mut self, id: ContextId) -> Option<LinkId> {
        self.lineage.remove(&id);
        self.routes.remove(&id)
    }

    /// The parent of `id`, where it is known.
    pub(crate) fn parent_of(&self, id: ContextId) -> Option<ContextId> {
        self.lineage.get(&id).copied()
    }

    /// The link that leads to `id`, without the fallback to the parent.
    pub fn route(&self, id: ContextId) -> Option<LinkId> {
        self.routes.get(&id).copied()
    }

    /// The link to the parent.
    pub fn parent(&self) -> Option<LinkId> {
        self.parent
    }

    /// Every context with a route of its own.
    pub fn contexts(&self) -> impl Iterator<Item = (ContextId, LinkId)> {
        self.routes.iter().map(|(id, link)| (*id, *link))
    }

    /// Whether `src` is known to be on the path from this context to `id`, or is `id`.
    pub fn is_on_path_to(&self, src: ContextId, id: ContextId) -> bool {
        let peer = self.route(id).and_then(|link| self.links.get(&link)).map(|entry| entry.remote_id);
        if src == id || peer == Some(src) {
            return true;
        }
        self.ancestors(id, id).contains(&src)
    }

    /// The known ancestors of `id` below `top`, nearest first.
    pub(crate) fn ancestors(&self, id: ContextId, top: ContextId) -> Vec<ContextId> {
        let mut above = Vec::new();
        let mut at = id;
        while let Some(up) = self.lineage.get(&at) {
            if *up == top || above.contains(up) {
                break;
            }
            above.push(*up);
            at = *up;
        }
        above
    }

    /// Sets whether the other end of `link` may know one payload encoding only.
    pub(crate) fn set_legacy_encoding_only(&mut self, link: LinkId, legacy_encoding_only: bool) {
        if let Some(entry) = self.links.get_mut(&link) {
            entry.legacy_encoding_only = legacy_encoding_only;
        }
    }

    /// A message has come in by `link` with `encoding`: its other end can read what it writes.
    pub(crate) fn note_encoding(&mut self, link: LinkId, encoding: Encoding) {
        if encoding != Encoding::Legacy
            && let Some(entry) = self.links.get_mut(&link)
        {
            entry.legacy_encoding_only = false;
        }
    }

    /// Whether the other end of `link` may know one payload encoding only.
    pub(crate) fn legacy_encoding_only(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|entry| entry.legacy_encoding_only)
    }

    pub(crate) fn link(&self, link: LinkId) -> Option<&LinkEntry<O>> {
        self.links.get(&link)
    }

    pub(crate) fn link_mut(&mut self, link: LinkId) -> Option<&mut LinkEntry<O>> {
        self.links.get_mut(&link)
    }

    pub(crate) fn links_mut(&mut self) -> impl Iterator<Item = (LinkId, &mut LinkEntry<O>)> {
        self.links.iter_mut().map(|(id, entry)| (*id, entry))
    }

    /// The other end of `link`.
    pub fn remote_id(&self, link: LinkId) -> Option<ContextId> {
        self.links.get(&link).map(|entry| entry.remote_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_writes_other_encodings_is_sent_them() {
        let mut table = Table::default();
        let link = table.add_link(&Identity::master(), ContextId(7), None, ());
        let is_old = |table: &Table<()>| table.link(link).expect("it was added").legacy_encoding_only;
        table.link_mut(link).expect("it was added").legacy_encoding_only = true;
        table.note_encoding(link, Encoding::Legacy);
        assert!(is_old(&table), "every release writes that one");
        table.note_encoding(link, Encoding::Pickle);
        assert!(!is_old(&table));
        table.note_encoding(LinkId(99), Encoding::Raw);
    }
}
