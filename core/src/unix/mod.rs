//! Joining a running session: the unix socket that it listens at, and the client's end.
//!
//! Knows the handshake and the links; what clients ask for is known on higher levels. Invariants: only
//! processes of this user and of root are accepted; the socket has mode 0600 from the moment it
//! exists; a client that does not complete the handshake delays no other; the socket is removed by the
//! process that bound it.

mod client;
mod handshake;
mod listener;
mod peer;
mod socket;

pub use client::{JoinError, Joined, attach, join};
pub use handshake::{ClientHello, ServerHello, TruncatedHandshake};
pub use listener::Listener;
pub use socket::BindError;
