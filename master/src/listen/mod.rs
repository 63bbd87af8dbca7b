//! A tree that outlives a command: [`crate::Master::listen`] opens it to other processes of the
//! same user, and [`Client`] is one of them.
//!
//! Links and the handshake are the core's. What is added here is what a client has to know of the
//! tree, which it asks from handle 121 (`WellKnownHandle::Tree`) by a pickled dict with a text `ask`:
//!
//! | `ask` | further keys | answer |
//! | --- | --- | --- |
//! | `contexts` | | a list of dicts: `id`, `name`, `via`, `method`, `since` (seconds since 1970), `target` (text or None) |
//! | `reach` | `targets`, `limit` (text or None) | a dict: `error` (text or None), `places`, a list of dicts: `label`, `id`, `name`, `way` (ids between, nearest first), `up` |
//! | `wait` | `label` | a dict: `ok`, `error` (a connection error or None); comes when the outcome is known |
//! | `ids` | `count` | a dict: `first`, of `count` context ids that are the client's from now on |
//!
//! A client may bring modules ([`Client::serve`]). Those are seen only by contexts that were started
//! for it, its *guests*: copies of contexts of the tree (`core/runtimes/python/python/guest.py`) that ask the client
//! itself and end with it. So clients with different versions of a module do not meet.
//!
//! Only those with the listener's own authority are answered, which is what its clients have.
//! Secrets are in no answer: what a context was connected with stays with the listener.

mod client;
mod listener;
mod place;
mod question;
mod warm;

pub use client::{Client, ClientError, Reached};
pub use listener::{Ask, Listener};
pub use mitogen_core::connect::ContextInfo;
pub use mitogen_core::unix::{BindError, JoinError};
pub use place::{PlaceError, default_path, prepare};
pub use question::{Place, Places, Told};
pub use warm::warm;
