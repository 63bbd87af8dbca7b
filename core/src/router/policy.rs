//! Which senders a handler accepts.

use crate::ids::{ContextId, Identity};
use crate::wire::Message;

/// Which senders a handler accepts. Other messages are answered with a dead message, `refused by policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// Every context.
    #[default]
    Any,
    /// Contexts with the authority of this one or of an ancestor.
    ParentAuthority,
    /// The context at the other end of the link that the message came in by.
    ImmediatePeer,
    /// The given context.
    Only(ContextId),
}

impl Policy {
    /// Whether `message`, which came in by the link to `peer` (`None`: from this
    /// context), is accepted.
    pub fn allows(self, identity: &Identity, message: &Message, peer: Option<ContextId>) -> bool {
        match self {
            Self::Any => true,
            Self::ParentAuthority => identity.has_parent_authority(message.auth_id),
            Self::ImmediatePeer => peer.is_none_or(|peer| peer == message.src_id),
            Self::Only(context) => message.src_id == context,
        }
    }
}
