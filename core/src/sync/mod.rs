//! Blocking rendezvous for user threads.
//!
//! Lives here: [`Latch`], a queue with many putters and many getters. It knows nothing of messages.
//! The broker's thread may put, and never waits. The memory model of the room is checked by loom:
//! `RUSTFLAGS="--cfg loom" cargo test -p mitogen-core --lib sync:: --target-dir target/loom`.

mod latch;
mod primitives;

pub use latch::{Closed, Latch, LatchError, Listener};
