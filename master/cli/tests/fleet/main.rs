//! The command as a process, with real children on this machine: what it prints where, how it ends,
//! and that nothing is left behind.

// clippy does not recognise helpers of integration tests as test code.
#![allow(clippy::unwrap_used)]

mod input;
mod interrupts;
mod many;
mod one;
mod scene;
mod script;
mod serve;
mod subcommands;
