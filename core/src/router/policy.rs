//! Who may send to a handle.

use crate::ids::{ContextId, Identity};
use crate::wire::Message;

/// A handle's gate. Refused messages are answered with a dead message `refused by policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// Everybody who can route to us.
    #[default]
    Any,
    /// The message carries our own authority or an ancestor's (`has_parent_authority`).
    ParentAuthority,
    /// The message comes from the direct peer of the link it came in by.
    ImmediatePeer,
    /// The sender is the given context.
    Only(ContextId),
}

impl Policy {
    /// Whether `message`, which came in by the link to `peer` (or was made here: `None`), passes.
    pub fn allows(self, identity: &Identity, message: &Message, peer: Option<ContextId>) -> bool {
        match self {
            Self::Any => true,
            Self::ParentAuthority => identity.has_parent_authority(message.auth_id),
            Self::ImmediatePeer => peer.is_none_or(|peer| peer == message.src_id),
            Self::Only(context) => message.src_id == context,
        }
    }
}
