//! Turning a plan into a route.

mod plan;
mod transport;

pub use plan::{Plan, Preamble, Stdio};
pub use transport::{ChildCommand, OptionsError, Registry, Transport, TransportKind};
