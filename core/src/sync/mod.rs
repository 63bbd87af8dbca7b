//! Blocking synchronization for user threads.
//!
//! This module contains [`Latch`], a multi-producer, multi-consumer queue, and the protocol by which the
//! broker's loop is woken. It knows nothing about messages. The broker's thread may put into a latch but
//! never waits for one.
//!
//! The memory orderings are checked with loom:
//! `RUSTFLAGS="--cfg loom" cargo test -p mitogen-core --lib --release --target-dir target/loom sync::model`.

mod latch;
#[cfg(all(test, loom))]
mod model;
mod primitives;
#[cfg(all(test, not(loom)))]
mod tests;
mod wake_state;

pub use latch::{Closed, Latch, LatchError, LatchListener};
pub(crate) use wake_state::WakeState;
