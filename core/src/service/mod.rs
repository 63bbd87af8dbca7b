//! Services: objects whose methods other contexts may call by name, at handle 110.
//!
//! Here are the ones written in Rust, and the calls of those elsewhere. Methods run on a few
//! threads of their own, never on the broker's; who may call is each method's policy. What is
//! said on the wire, down to the words of errors, is what stock Mitogen's peers expect.

mod call;
mod pool;
mod registry;

pub use pool::{Deferrer, Services};
pub use registry::{Call, Kind, Service, ServiceError, ServicePolicy};
