//! Contexts, calls, receivers and senders: what a user of the library works with.
//!
//! Pickles are decoded by the thread that takes the message, never by the broker's. Does not know how
//! contexts are started.

mod chain;
mod context;
mod error;
mod function;
mod receiver;
mod reply;
mod request;
mod select;
mod sender;

pub use chain::CallChain;
pub use context::Context;
pub use error::{CallError, RemoteError};
pub use function::{FunctionName, FunctionNameError};
pub use receiver::{Channel, Receiver};
pub use reply::{FromMessage, Reply};
pub use request::Request;
pub use select::{Select, SelectError, Selectable};
pub use sender::Sender;
