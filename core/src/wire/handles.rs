//! The handles that the protocol reserves.

use crate::ids::Handle;

/// A standard handle; the discriminant is its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
#[non_exhaustive]
pub enum WellKnownHandle {
    /// A child asks its parent for a module's source.
    GetModule = 100,
    /// Run a function; pickled 6-tuple.
    CallFunction = 101,
    /// A log record on its way to the master.
    ForwardLog = 102,
    /// A descendant has come up.
    AddRoute = 103,
    /// A descendant has gone.
    DelRoute = 104,
    /// A child asks the master for a block of context ids.
    AllocateId = 105,
    /// Graceful shutdown.
    Shutdown = 106,
    /// A module's source, asked for or pushed ahead.
    LoadModule = 107,
    /// See to it that a descendant of yours has a module.
    ForwardModule = 108,
    /// A child is about to outlive its link.
    Detaching = 109,
    /// Call a method of a service.
    CallService = 110,
    /// Never on the wire; a sentinel inside stock children.
    StubCallService = 111,
    /// A child asks its parent for a package resource.
    GetResource = 112,
    /// A package resource.
    LoadResource = 113,
    /// Ours: run a connection plan and adopt the process as a child. Pickled dict; parent authority.
    RunPlan = 120,
    /// Ours: a question to a master about its tree, from a unix client. Pickled dict with a text
    /// `ask`; parent authority. See `master/src/listen`.
    Tree = 121,
    /// Ours: nobody ever listens here, and that nobody does is the answer (`router/keepalive.rs`).
    Probe = 122,
    /// Ours: the first word of a listener of ours to a client, which may send it every encoding from now
    /// on. No payload. Stock drops it.
    Encodings = 123,
    /// Ours: a context asks its master to start a child of its own by a transport of the master's; pickled
    /// tuple. See `master/src/stock/proxy.rs`.
    ProxyConnect = 124,
    /// Ours: one payload for several contexts, all of them the receiver or behind it. How many (four
    /// bytes), for each the context and the handle (four each), then what they get; parent authority.
    /// Who has children passes it on, once by each link (`routes.py`).
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
