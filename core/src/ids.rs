//! Context ids, handles, and a context's own identity.
//!
//! Values only: an identity is passed as data and never kept in a global, so that one process can have
//! several masters. Does not know messages or descriptors.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a context, unique in its tree. The master is [`ContextId::MASTER`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContextId(pub u32);

impl ContextId {
    /// The root of every tree.
    pub const MASTER: Self = Self(0);
}

impl fmt::Display for ContextId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a port inside a context: well-known ones below 1000, dynamic ones from there on.
///
/// [`Handle::NONE`] in a message's `reply_to` means that the sender waits for no reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Handle(pub u32);

impl Handle {
    /// No handle: the sender waits for no reply.
    pub const NONE: Self = Self(0);
    /// The first dynamic handle.
    pub const FIRST_DYNAMIC: Self = Self(1000);
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A context's own id and its ancestors'.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The id of this context.
    pub id: ContextId,
    /// The ids of its ancestors, nearest first; empty only for a master.
    pub parents: Vec<ContextId>,
}

impl Identity {
    /// The identity of a tree's root.
    pub fn master() -> Self {
        Self::default()
    }

    /// The direct parent, if this is not a master.
    pub fn parent(&self) -> Option<ContextId> {
        self.parents.first().copied()
    }

    /// Whether `auth` is this context or one of its ancestors. Upstream Mitogen has it under the same name.
    pub fn has_parent_authority(&self, auth: ContextId) -> bool {
        auth == self.id || self.parents.contains(&auth)
    }

    /// The identity of a direct child with the id `child`.
    pub fn child(&self, child: ContextId) -> Self {
        let mut parents = Vec::with_capacity(self.parents.len() + 1);
        parents.push(self.id);
        parents.extend_from_slice(&self.parents);
        Self { id: child, parents }
    }
}
