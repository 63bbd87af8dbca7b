//! Turning a plan into a route.
//!
//! A [`Transport`] is a pure function from options to a [`Plan`]. A [`Connector`] carries plans out: in
//! this process, with the connection driver, or in another context, to which it sends the plan (`via`).
//! The module knows no transport by name. Invariants: there is no thread per connection; every process
//! that was started is waited for; frames that are sent to a context before it is up are kept.

mod connect_handle;
mod connector;
mod detach;
mod driver;
mod error;
mod live_contexts;
mod option_spec;
mod options;
mod peers;
mod plan;
mod plan_text;
mod prepare;
mod request;
mod run_plan;
mod settings;
mod start;
pub mod testing;
mod transport;
mod validate;
mod via;

pub use crate::router::Keepalive;
pub use connect_handle::{Completer, ConnectHandle, Outcome};
pub use connector::{Connector, WeakConnector};
pub use driver::{HANDSHAKES_PER_DESTINATION, OpenDone, OpenedLink, Opener, RemoteEnd};
pub use error::ConnectError;
pub use live_contexts::ContextInfo;
pub use option_spec::{DEFAULT_CONNECT_TIMEOUT, OptionKind, OptionSpec};
pub use options::{OptionsError, check_word, parse_options};
pub use peers::{Peers, RuntimeRoot};
pub use plan::{PLAN_VERSION, Plan, Preamble};
pub use prepare::PlanRequest;
pub use request::{ConnectRequest, RequestError};
pub use settings::ChildSettings;
pub use start::{Dial, Spawn, Start, Stdio};
pub use transport::{ChildCommand, Registry, Transport, TransportKind, TransportOrigin};
pub use validate::PlanError;
