//! Dialogues with programs that print lines and prompt for input.
//!
//! A [`Dialogue`] is data: rules of the form "in this state, when this source shows this pattern, send these
//! bytes (or this secret), fail with this error, or go to that state". An [`Engine`] without I/O runs it.
//! The Python runtime has another one, and both are tested with the same transcripts. The module knows
//! neither descriptors nor clocks nor transports.

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
