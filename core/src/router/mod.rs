//! Routes, verdicts, handlers, policies, dead messages.
//!
//! [`decide`] is a pure function from a table and a header to a [`Verdict`]; [`Router`] carries
//! verdicts out. [`Links`] opens and ends links, for those who make connections. A router is a value:
//! ten of them can exist in one process. Does not know pickles, transports or calls; what belongs to
//! one router and to a level above is kept in its [`Extensions`]. Invariant: the table is locked for
//! a verdict only, never while a handler runs or something is written.

mod announcements;
mod decide;
mod directory;
mod error;
mod extensions;
mod handlers;
mod id_allocator;
mod keepalive;
mod link_stream;
mod links;
mod outlet;
mod policy;
#[expect(clippy::module_inception, reason = "the file that defines `Router`")]
mod router;
mod table;

pub use decide::{DropReason, Mode, Verdict, decide};
pub use directory::Directory;
pub use error::SendError;
pub use extensions::Extensions;
pub use handlers::{Delivery, HandlerOptions};
pub use id_allocator::IdAllocator;
pub use keepalive::Keepalive;
pub use link_stream::{LINK_HIGH_WATER, MitogenStream};
pub use links::Links;
pub use policy::Policy;
pub use router::{Router, RouterOptions, WeakRouter};
pub use table::{LinkId, Table};
