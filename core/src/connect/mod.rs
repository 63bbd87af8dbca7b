//! Turning a plan into a route.

mod options;
mod plan;
mod plan_text;
pub mod rehearsal;
mod transport;

pub use options::{check_word, parse_options};
pub use plan::{Plan, Preamble, Stdio};
pub use transport::{ChildCommand, OptionsError, Registry, Transport, TransportKind};
