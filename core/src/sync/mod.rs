//! Blocking rendezvous for user threads.
//!
//! Lives here: [`Latch`], a queue with many putters and many getters, and the protocol by which the
//! loop is woken. It knows nothing of messages.
//! The broker's thread may put, and never waits. The memory model of the room is checked by loom:
//! `RUSTFLAGS="--cfg loom" cargo test -p mitogen-core --lib sync:: --target-dir target/loom`.

mod alarm;
mod latch;
#[cfg(all(test, loom))]
mod model;
mod primitives;
#[cfg(all(test, not(loom)))]
mod tests;

pub(crate) use alarm::Alarm;
pub use latch::{Closed, Latch, LatchError, Listener};
