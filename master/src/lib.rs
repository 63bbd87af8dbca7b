//! Programs that spread themselves over machines on which nothing is installed.
//!
//! A [`Master`] is the root of a tree of contexts: processes that it has started, here or
//! elsewhere, directly or through each other, and whose functions it can call.
//!
//! ```no_run
//! use mitogen::{Master, transports};
//!
//! let master = Master::start(mitogen::MasterOptions::default())?;
//! let local = transports::local::Local::new(transports::local::Options::new())?;
//! let child = master.connect(&local)?.wait()?;
//! let version: String = child.call("platform.python_version", ())?;
//! println!("the child runs Python {version}");
//! master.shutdown();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate knows the built-in transports by name; what they are made of is `mitogen_core`.

mod connection;
mod connection_pool;
pub mod listen;
mod master;
pub mod modules;
mod responder;
mod root_handlers;
pub mod transports;
pub mod upstream;

pub use connection::Connection;
pub use connection_pool::{ChainError, ConnectionPool};
pub use listen::{Client, ClientError, Listener};
pub use master::{Master, MasterOptions, StartError};
pub use mitogen_core::call::{CallChain, CallError, Context, Receiver, RemoteError, Select, Sender};
pub use mitogen_core::connect::{
    ChildSettings, ConnectError, ConnectHandle, ConnectRequest, Keepalive, Plan, Registry, RequestError,
    Transport,
};
pub use mitogen_core::error::with_causes;
pub use mitogen_core::pickle::Value;
pub use mitogen_core::runtime::{self, Runtime};
pub use mitogen_core::service;
pub use mitogen_core::{dialogue, ids, pickle, wire};
pub use mitogen_inventory::{profiles, targets};
pub use mitogen_ops::{command, files};
pub use mitogen_python::Python;
pub use mitogen_upstream::{Upstream, UpstreamPackage};
pub use responder::{ImportPolicy, ModuleStats};

/// The README's example must compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// So must that of the page on stock peers.
#[cfg(doctest)]
#[doc = include_str!("../../docs/interop.md")]
struct Interop;
