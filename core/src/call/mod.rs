//! The API that people touch: contexts, calls, receivers and senders.
//!
//! Pickles are decoded by the thread that asked, never by the broker's. Knows nothing of how a
//! context is started.

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
pub use select::{Select, SelectError, Source};
pub use sender::Sender;
