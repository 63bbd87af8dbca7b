//! Why a message could not be sent. The texts are the reasons in the dead messages of upstream Mitogen.

use thiserror::Error;

use crate::ids::ContextId;

/// Why a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The payload is over the limit. The link stays usable.
    #[error("message too large (max {limit} bytes)")]
    TooLarge {
        /// The configured limit in bytes.
        limit: usize,
    },
    /// There is no route to the destination.
    #[error("no route to {dst}, my ID is {me}")]
    NoRoute {
        /// The destination.
        dst: ContextId,
        /// The context that has no route.
        me: ContextId,
    },
    /// Unidirectional mode: neither context is an ancestor of the other.
    #[error("routing mode prevents forward of message from context {src} to context {dst} via context {me}")]
    Unidirectional {
        /// The sender.
        src: ContextId,
        /// The destination.
        dst: ContextId,
        /// The context that refused.
        me: ContextId,
    },
    /// The link to the destination was lost, for this reason.
    #[error("{0}")]
    LinkLost(String),
    /// The queue of the link to the destination was full until the deadline.
    #[error("timed out: the send queue to context {dst} is full")]
    Congested {
        /// The destination.
        dst: ContextId,
    },
}
