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
//! Programs need this crate alone; the crates it is made of are re-exported by topic:
//!
//! | module | contents |
//! | --- | --- |
//! | [`call`] | contexts, calls and their replies, senders and receivers |
//! | [`connect`] | connections: requests, plans, transports and their options, errors |
//! | [`transports`] | the built-in transports |
//! | [`dialogue`] | conversations with programs that ask for passwords, for custom transports |
//! | [`runtime`] | what runs in a child: Python, or a runtime of the program's own |
//! | [`service`] | services: objects whose methods other contexts call by name |
//! | [`modules`] | where the Python modules that children import come from |
//! | [`command`], [`files`] | commands and file transfers |
//! | [`profiles`], [`targets`] | connection profiles, and expressions that select hosts |
//! | [`listen`] | sessions that other processes join |
//! | [`upstream`] | peers that run upstream (Python) Mitogen |
//! | [`router`], [`broker`] | handlers for messages, and the I/O loop |
//! | [`io`] | byte streams, for links that the program opens itself |
//! | [`wire`], [`pickle`], [`ids`] | messages, values, and numbers of contexts and handles |
//!
//! # Features
//!
//! All but `ssh2` are on by default. A program that needs few of them compiles faster and is smaller:
//! `mitogen = { version = "0.1", default-features = false, features = ["ssh"] }`. Without any, the
//! library has contexts that run Python, calls, services, modules, sessions and custom transports.
//!
//! | feature | adds |
//! | --- | --- |
//! | `local`, `fork`, `ssh`, `sudo`, `su`, `doas` | the transport of that name, in [`transports`] |
//! | `ssh2` | the transport `ssh2`: ssh by libssh2, without a process for each host; needs OpenSSL's headers and `pkg-config` |
//! | `containers` | the transports into containers, pods, chroots and scheduled jobs, in [`transports`] |
//! | `commands` | [`command`]: programs and scripts on remote hosts |
//! | `files` | [`files`]: file transfers |
//! | `profiles` | [`profiles`], [`targets`] and [`ConnectionPool`]: hosts from `mitogen.toml` |
//! | `upstream` | [`upstream`]: children that run upstream Mitogen, and upstream clients of sessions |
//! | `plugins` | [`plugins`]: transports that are loaded from shared objects |
//! | `zip` | zip archives on the module search path ([`modules::FinderOptions`]) |

#[cfg(feature = "profiles")]
mod chain_planner;
mod connection;
#[cfg(feature = "profiles")]
mod connection_pool;
mod facade;
pub mod listen;
mod master;
pub mod modules;
mod responder;
mod root_handlers;
pub mod transports;
#[cfg(feature = "upstream")]
pub mod upstream;

#[cfg(feature = "profiles")]
pub use chain_planner::{ChainError, ChainPlanner};
pub use connection::Connection;
#[cfg(feature = "profiles")]
pub use connection_pool::ConnectionPool;
pub use facade::{broker, connect, io, router};
pub use listen::{Client, ClientError, Listener};
pub use master::{Master, MasterOptions, StartError};
pub use mitogen_core::call::{CallChain, CallError, Channel, Context, Receiver, RemoteError, Select, Sender};
pub use mitogen_core::connect::{
    ChildSettings, ConnectError, ConnectHandle, ConnectRequest, Connector, Keepalive, Plan, Registry,
    RequestError, Transport, TransportKind,
};
pub use mitogen_core::error::with_causes;
pub use mitogen_core::pickle::Value;
pub use mitogen_core::runtime::Runtime;
pub use mitogen_core::secret::Secret;
pub use mitogen_core::{call, dialogue, ids, pickle, runtime, service, wire};
#[cfg(feature = "profiles")]
pub use mitogen_inventory::{profiles, targets};
#[cfg(feature = "commands")]
pub use mitogen_ops::command;
#[cfg(feature = "files")]
pub use mitogen_ops::files;
#[cfg(feature = "plugins")]
pub use mitogen_plugin_host as plugins;
pub use mitogen_python::Python;
#[cfg(feature = "upstream")]
pub use mitogen_upstream::{Upstream, UpstreamPackage};
pub use responder::{ImportPolicy, ModuleStats};

/// The examples in the README must compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The examples in the document about upstream peers must compile.
#[cfg(doctest)]
#[doc = include_str!("../../docs/interop.md")]
struct Interop;
