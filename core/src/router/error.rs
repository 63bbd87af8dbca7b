//! Why a message could not be sent. The texts are the reasons that stock peers put into dead
//! messages, so that both ends of a tree read alike.

use thiserror::Error;

use crate::ids::ContextId;

/// Why a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The payload is over the limit; the link is not harmed.
    #[error("message too large (max {limit} bytes)")]
    TooLarge {
        /// The configured limit in bytes.
        limit: usize,
    },
    /// Nothing leads to the destination.
    #[error("no route to {dst}, my ID is {me}")]
    NoRoute {
        /// The destination.
        dst: ContextId,
        /// The context that could not go on.
        me: ContextId,
    },
    /// Unidirectional mode keeps siblings apart.
    #[error("routing mode prevents forward of message from context {src} to context {dst} via context {me}")]
    Unidirectional {
        /// The sender.
        src: ContextId,
        /// The destination.
        dst: ContextId,
        /// The context that refused.
        me: ContextId,
    },
    /// The link has gone, with the reason that the peers are told.
    #[error("{0}")]
    LinkLost(String),
    /// The destination did not read for too long while the queue to it was full.
    #[error("the queue to context {dst} stayed full")]
    Congested {
        /// The destination.
        dst: ContextId,
    },
}
