//! Sessions that outlive a command: [`crate::Master::listen`] opens a master to other processes of the same
//! user, and [`Client`] is such a process.
//!
//! Links and the handshake are in `mitogen_core::unix`. Here is what a client needs to know about the
//! session. It sends its requests to handle 121 (`WellKnownHandle::Tree`) as a pickled dict with a text `ask`:
//!
//! | `ask` | further keys | reply |
//! | --- | --- | --- |
//! | `contexts` | | a list of dicts: `id`, `name`, `via`, `method`, `since` (seconds since 1970), `target` (text or None) |
//! | `reach` | `targets`, `limit` (text or None) | a dict: `error` (text or None), `places`, a list of dicts: `label`, `id`, `name`, `way` (ids between, nearest first), `up` |
//! | `wait` | `label` | a dict: `ok`, `error` (a connection error or None); sent when the outcome is known |
//! | `ids` | `count` | a dict: `first`, of `count` context ids that belong to the client from then on |
//!
//! A client can bring modules ([`Client::serve`]). They are visible only to contexts that were started for
//! that client, its *scoped contexts*: copies of contexts of the session (`core/runtimes/python/python/scoped.py`) that
//! request modules from the client itself and end with it. So clients can use different versions of a module
//! at the same time.
//!
//! Requests are accepted only from contexts with the listener's own authority, which its clients have.
//! Replies contain no secrets: the options of connections stay with the listener.

mod client;
mod listener;
mod preload;
mod protocol;
mod socket_path;

pub use client::{Client, ClientError, ReachedTargets};
pub use listener::{Listener, ReplyHandle, TargetRequest};
pub use mitogen_core::connect::ContextInfo;
pub use mitogen_core::unix::{BindError, JoinError};
pub use preload::preload;
pub use protocol::{ListedContext, TargetLocation, TargetLocations};
pub use socket_path::{SocketPathError, default_path, prepare};
