//! A tree that other processes of the same user can join: a unix socket, and the client's end of it.
//!
//! Knows the handshake and the links; who asks what about the tree is a higher room's affair.
//! Invariants: nobody but our own user and root gets in; the socket is never there with a mode
//! other than 0600; a client that says nothing holds nobody up; what we bound we unlink.

mod client;
mod handshake;
mod listener;
mod peer;
mod socket;

pub use client::{JoinError, Joined, attach, join};
pub use handshake::{Hello, Torn, Welcome};
pub use listener::Listener;
pub use socket::BindError;

/// Bytes a link may queue before user threads wait and relays stop reading.
const HIGH_WATER: usize = 4 << 20;
