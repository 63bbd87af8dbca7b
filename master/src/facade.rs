//! Modules of the core of which programs need a part, or a part of another one beside them.

/// Connections to contexts: requests, plans, transports and their options, errors.
///
/// A [`Transport`] turns its options into a [`Plan`], which a [`Connector`] executes. A [`TransportKind`]
/// adds a name and option specifications to it, so that profiles can select it through a [`Registry`].
///
/// [`Transport`]: connect::Transport
/// [`Plan`]: connect::Plan
/// [`Connector`]: connect::Connector
/// [`TransportKind`]: connect::TransportKind
/// [`Registry`]: connect::Registry
pub mod connect {
    pub use mitogen_core::connect::*;
    /// The options of a transport, as [`TransportKind`] passes them on: a JSON object.
    pub use serde_json::Value as Json;
}

/// Sending messages, and handlers for those that arrive.
pub mod router {
    pub use mitogen_core::router::{
        Delivery, Directory, Extensions, HandlerOptions, IdAllocator, LinkId, Links, Policy, Router,
        RouterOptions, SendError, WeakRouter,
    };
}

/// The I/O loop of a master: work to run on its thread, and the ends of processes.
pub mod broker {
    pub use mitogen_core::broker::{
        BrokerHandle, DeferError, ExitCallback, ProcessMonitor, SignalWatch, WatchMethod,
    };
    pub use mitogen_core::io::{Reactor, Stopped, TimerId};
}

/// Byte streams as links, for an [`Opener`](crate::connect::Opener): one side each for reading and writing.
pub mod io {
    pub use mitogen_core::io::{FdSide, Residual, Side, Touch};
}
