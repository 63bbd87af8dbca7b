//! Stock Mitogen as a peer: children that run its core, and its own way of starting contexts.
//!
//! The package is the user's own, read from where he has it ([`find`]); nothing of it is shipped.
//! Children that run it are started by [`crate::ChildSettings`] whose `core` is
//! [`crate::PythonCore::Stock`], and are called like any others. Contexts below them are started by
//! [`connect`]: stock's way, since they cannot carry out our plans.

mod connect;
mod find;
mod proxy;

use bytes::Bytes;
use mitogen_core::child::StockPackage;
use mitogen_core::importer;

pub use connect::{StockConnectError, connect};
pub use find::{FindError, find, find_at, find_in};
pub use mitogen_core::child::{BadPackage, Version};
pub(crate) use proxy::listen;

/// The payload of `LOAD_MODULE` for a module of `package`; the negative answer for any other name.
pub(crate) fn module_payload(package: &StockPackage, fullname: &str) -> Bytes {
    match package.module(fullname) {
        Some(module) => {
            let path = format!("{}.py", fullname.replace('.', "/"));
            importer::payload(fullname, module.submodules(), &path, module.deflated(), &[])
        }
        None => importer::negative_payload(fullname, None),
    }
}
