//! Conversations with programs that print lines and ask questions.
//!
//! A [`Dialogue`] is data: rules of the form "in this state, when this source shows this pattern,
//! send these bytes (or this secret), fail with this error, or go to that state". One sans-I/O
//! engine runs it here, another in the Python runtime; both pass the same transcripts. Knows
//! nothing of descriptors, clocks or transports.

mod failure;
mod rules;
mod secret;

pub use failure::{Failure, FailureKind, Stage};
pub use rules::{Action, Dialogue, ExitRule, Rule, Shown, Source};
pub use secret::Secret;
