//! Who may say what to whom: routes, verdicts, handlers, policies, dead messages.
//!
//! [`decide`] is a pure function from a table and a header to a [`Verdict`]; [`Router`] carries
//! verdicts out. A router is a value: ten of them can live in one process. Knows nothing of
//! pickles, transports or calls. Invariant: the table is locked for a verdict only, never while a
//! handler runs.

mod decide;
mod error;
mod extensions;
mod handlers;
mod id_allocator;
mod keepalive;
mod links;
mod monitor;
mod policy;
mod route;
mod stream;
mod table;

pub use decide::{DropReason, Mode, Verdict, decide};
pub use error::SendError;
pub use extensions::Extensions;
pub use handlers::{Delivery, HandlerOptions};
pub use id_allocator::IdAllocator;
pub use keepalive::Keepalive;
pub use policy::Policy;
pub use route::{Router, RouterOptions, WeakRouter};
pub use stream::MitogenStream;
pub use table::{LinkId, Table};
