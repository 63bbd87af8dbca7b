//! Services: objects whose methods other contexts may call by name, at handle 110.
//!
//! This module has services written in Rust, and calls of services of other contexts. Methods run on
//! threads of their own, never on the broker's; each has a policy of who may call it. Everything on the
//! wire, including the texts of errors, is as in upstream Mitogen.

mod call;
mod definition;
mod kind;
mod pool;

pub use definition::{Call, Service, ServiceError, ServicePolicy};
pub use kind::Kind;
pub use pool::{Deferrer, Services};
