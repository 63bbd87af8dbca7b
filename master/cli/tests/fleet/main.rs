//! The command as a process, with real children on this machine: its output, its exit status, and that it
//! leaves no process behind.

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
