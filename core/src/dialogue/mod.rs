//! Conversations with programs that print lines and ask questions.
//!
//! A [`Dialogue`] is data: rules of the form "in this state, when this source shows this pattern,
//! send these bytes (or this secret), fail with this error, or go to that state". One sans-I/O
//! [`Engine`] runs it here, another in the Python runtime; both pass the same transcripts. Knows
//! nothing of descriptors, clocks or transports.

mod engine;
mod failure;
mod history;
mod quote;
mod rules;
#[cfg(test)]
mod tests;
mod text;
pub mod transcript;

pub use crate::secret::Secret;
pub use engine::{Engine, Step};
pub use failure::{Failure, FailureKind, Stage};
pub(crate) use history::MASK;
pub use quote::{quote, quote_argv};
pub use rules::{Action, BadPattern, Dialogue, ExitRule, RUNNING, Rule, START, Shown, Source, literal};
