//! The reserved handles (docs/protocol.md#standard-handles, docs/protocol.md#handles-of-this-project).

use crate::ids::Handle;

/// A handle that the protocol reserves. The discriminant is its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
#[non_exhaustive]
pub enum WellKnownHandle {
    /// A child requests the source of a module from its parent.
    GetModule = 100,
    /// Calls a function. The payload is a pickled 6-tuple.
    CallFunction = 101,
    /// A log record for the master.
    ForwardLog = 102,
    /// A descendant has connected.
    AddRoute = 103,
    /// A descendant has disconnected.
    DelRoute = 104,
    /// A child requests a block of context ids from the master.
    AllocateId = 105,
    /// Requests a graceful shutdown.
    Shutdown = 106,
    /// The source of a module, requested or pushed.
    LoadModule = 107,
    /// Tells an intermediate to send a module to one of its descendants.
    ForwardModule = 108,
    /// A child is about to detach from its parent.
    Detaching = 109,
    /// Calls a method of a service.
    CallService = 110,
    /// Internal to upstream children; never on the wire.
    StubCallService = 111,
    /// A child requests a package resource from its parent.
    GetResource = 112,
    /// A package resource.
    LoadResource = 113,
    /// This project's: starts a connection plan and adopts the process as a child. The payload is a pickled
    /// dict; requires parent authority.
    RunPlan = 120,
    /// This project's: a unix client's query of a master's contexts and targets. The payload is a pickled dict
    /// with the text `ask`; requires parent authority. See `master/src/listen`.
    Tree = 121,
    /// This project's: a handle without a receiver; a keep-alive probe is answered by the dead message
    /// that says so (`router/keepalive.rs`).
    Probe = 122,
    /// This project's: the first message of a listener to a client, which may use every encoding from then
    /// on. The payload is empty. Upstream clients ignore it.
    Encodings = 123,
    /// This project's: a context requests that its master starts a child of the context with one of the
    /// master's transports. The payload is a pickled tuple. See `master/src/upstream/proxy.rs`.
    ProxyConnect = 124,
    /// This project's: one payload for several contexts, each of which is the receiver or one of its
    /// descendants. The payload is the number of contexts (four bytes), for each the context id and the
    /// handle (four bytes each), then the content; requires parent authority. A context with children
    /// forwards it once on each link (`routes.py`).
    Multicast = 125,
}

impl WellKnownHandle {
    /// The handle's number.
    pub const fn handle(self) -> Handle {
        Handle(self as u32)
    }
}

impl From<WellKnownHandle> for Handle {
    fn from(value: WellKnownHandle) -> Self {
        value.handle()
    }
}
