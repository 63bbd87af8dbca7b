//! The driver: carries out one plan in this process.
//!
//! [`launch`] takes a [`Job`] and calls its completion once, when the link is up or has failed. All of it
//! runs on the broker's thread, without a thread per connection. The driver does not know who asks for a
//! connection: the connector does, and later the server of `RUN_PLAN`.

mod attempt;
mod dial;
mod handshake_limiter;
mod launcher;
mod opener;
mod process;
mod program;
mod remote_end;
mod sink;
mod streams;

pub(super) use attempt::launch;
pub use handshake_limiter::HANDSHAKES_PER_DESTINATION;
pub(super) use launcher::{Job, Launcher};
pub use opener::{OpenDone, OpenedLink, Opener};
pub use remote_end::RemoteEnd;
