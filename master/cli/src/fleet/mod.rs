//! A run over many targets: one main thread and one queue of events.
//!
//! Connections, commands, calls, transfers, signals and standard input all send [`FleetEvent`]s to one channel.
//! The main thread receives them, keeps the state of each host and drives the presenter. There is no thread
//! per host, except for transfers, which read and write local files. Output is acknowledged to a command only
//! after it has been written, so a slow reader of our output slows the commands down instead of filling memory.

mod copy;
mod deadlines;
mod event;
mod host;
mod host_source;
mod input;
mod run;
mod signals;
mod streams;
mod task;
mod termination;

pub use copy::{Copy, Direction};
pub use event::{FleetEvent, TransferEvent};
pub use host_source::{HostSource, OwnConnections, SharedTree};
pub use input::InputSource;
pub use run::{Fleet, RunConfig};
pub use task::Task;
